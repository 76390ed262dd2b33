"""Verdicts as JUnit XML, within the schema that readers agree on."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from reports import condition, gate, judged_report, quiz

from evalc.diagnostics import Diagnostic
from evalc.diagnostics.visible import visible
from evalc.report import build_report
from evalc.report.junit import junit_of_faults, junit_unfinished, junit_xml

# jenkinsci/xunit-plugin, junit-10.xsd: element -> (attributes, those it must have, children)
SUITE = {"name", "tests", "failures", "errors"}
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({*SUITE, "time"}, set(), {"testsuite"}),
    "testsuite": (
        {*SUITE, "time", "skipped", "timestamp", "hostname", "id", "package", "group", "file",
         "log", "url"},
        SUITE,
        {"properties", "testcase", "testsuite", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "time", "classname", "group"},
        {"name"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "failure": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")
MIXED = ("failure", "error", "skipped", "system-out")


def valid(text: str) -> Element:
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        known, needed, children = SCHEMA[element.tag]
        assert needed <= set(element.attrib) <= known, element.tag
        assert {child.tag for child in element} <= children, element.tag
        assert element.tag in MIXED or not (element.text or "").strip()
        assert element.tag == "testcase" or TIME.fullmatch(element.get("time", ""))
    for suite in root.iter("testsuite"):
        counts = {"tests": "testcase", "failures": "failure", "errors": "error"}
        for name, tag in {**counts, "skipped": "skipped"}.items():
            assert int(suite.attrib[name]) == len(list(suite.iter(tag)))
    return root


def outcomes(root: Element) -> dict[tuple[str, str], str]:
    """The kind of outcome by class and name of the case."""
    found = {}
    for case in root.iter("testcase"):
        kinds = [child.tag for child in case if child.tag != "system-out"]
        found[case.attrib["classname"], case.attrib["name"]] = kinds[0] if kinds else "passed"
    return found


def test_a_gate_on_a_model_is_a_case_and_its_verdict_the_outcome() -> None:
    root = valid(junit_xml(judged_report()))
    assert outcomes(root) == {
        ("quiz", "floor (base)"): "passed",
        ("quiz", "drop (base)"): "failure",
        ("quiz", "open (base)"): "failure",
        ("quiz", "soft (base)"): "skipped",
    }
    assert {e.attrib["type"] for e in root.iter("failure")} == {"fail", "inconclusive"}
    assert root.attrib["time"] == "12.500"


def test_a_case_says_its_numbers_and_a_suite_has_them_as_properties() -> None:
    root = valid(junit_xml(judged_report()))
    failure = next(root.iter("failure"))
    assert "found 0.5000, 0.4500 to 0.5500; 120 of 500 cases (24 %)" in failure.attrib["message"]
    found = {p.attrib["name"]: p.attrib["value"] for p in root.iter("property")}
    assert found["floor.min.seen"] == "120"
    assert (found["floor.min.total"], found["floor.min.low"]) == ("500", "0.45")
    assert (found["floor.alpha"], found["drop.baseline"]) == ("0.05", "main")


def test_two_models_under_one_gate_are_two_suites_with_cases_of_two_names() -> None:
    gates = [gate("g"), gate("g", "fail", model="tuned")]
    root = valid(junit_xml(build_report([], gates=gates)))
    assert [suite.attrib["name"] for suite in root] == ["base", "tuned"]
    assert outcomes(root) == {("quiz", "g (base)"): "passed", ("quiz", "g (tuned)"): "failure"}


def test_a_race_is_one_case_whoever_leads_it() -> None:
    lead = {"standing": "best", "seen": 96, "value": 0.5, "difference": 0.0}
    leader = {"model": "base", **lead, "low": 0.0, "high": 0.0}
    other = {**leader, "model": "tuned", "standing": "out", "low": -0.1, "high": -0.02}
    race = gate("best", conditions=[], candidates=[leader, other])
    root = valid(junit_xml(build_report([], gates=[race])))
    assert outcomes(root) == {("quiz", "best"): "passed"}
    assert next(root.iter("system-out")).text == (
        "quiz.acc: base: best of 2, 0.5000; 96 cases, wrong with probability at most 0.05\n"
        "quiz.acc: tuned: not the best, 0.5000, -0.1000 to -0.0200 from the leader; 96 cases"
    )


def test_a_task_that_was_not_scored_is_skipped() -> None:
    report = build_report([quiz([1])], unscored=[("base", "code", "it needs a switch")])
    root = valid(junit_xml(report))
    assert outcomes(root) == {("code", "scored (base)"): "skipped"}
    assert next(root.iter("skipped")).attrib["message"] == "it needs a switch"


def test_gates_that_were_not_judged_are_skipped_in_a_suite_of_their_own() -> None:
    apart = [("floor", "sums", "task not selected")]
    root = valid(junit_xml(build_report([], gates=[gate("g")], unjudged=apart)))
    assert [suite.attrib["name"] for suite in root] == ["base", "evalc"]
    assert outcomes(root) == {("quiz", "g (base)"): "passed", ("sums", "floor"): "skipped"}
    assert next(root.iter("skipped")).attrib["message"] == "task not selected"


def test_a_report_without_gates_is_a_document_without_cases() -> None:
    root = valid(junit_xml(build_report([quiz([1])])))
    assert (root.attrib["tests"], list(root)) == ("0", [])


@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\x1b[1m", "\ud800", "\ufffe"])
def test_what_xml_cannot_hold_is_written_as_an_escape(bad: str) -> None:
    named = gate(f"g{bad}", "fail", task=f"t{bad}", model=f"m{bad}", baseline=f"b{bad}",
                 conditions=[condition(state="fail")])  # fmt: skip
    text = junit_xml(build_report([], gates=[named]))
    (case,) = valid(text.encode().decode()).iter("testcase")
    assert visible(bad[0]) in case.attrib["name"]


def test_mark_up_and_line_ends_come_back_as_they_were() -> None:
    odd = '<a href="x">&amp; é 🎈\n]]>'
    (case,) = valid(junit_xml(build_report([], gates=[gate(odd)]))).iter("testcase")
    assert case.attrib["name"] == f"{odd} (base)"


def test_faults_are_errors_with_their_hints() -> None:
    faults = [
        Diagnostic("unknown-key", "no such key", hint="remove it"),
        Diagnostic("unknown-key", "no such key", notes=("it was once",)),
    ]
    root = valid(junit_of_faults(faults, ["spec.toml:3:1", ""]))
    assert outcomes(root) == {
        ("evalc", "1: unknown-key spec.toml:3:1"): "error",
        ("evalc", "2: unknown-key"): "error",
    }
    assert [error.text for error in root.iter("error")] == [
        "no such key\nhint: remove it",
        "no such key\nit was once",
    ]


def test_a_run_that_did_not_end_is_an_error() -> None:
    root = valid(junit_unfinished())
    assert outcomes(root) == {("evalc", "run"): "error"}
    assert root.attrib["errors"] == "1"
