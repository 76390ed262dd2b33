"""Verdicts as JUnit XML, for the test views of CI systems.

A suite is a model, a test case a gate on it: `classname` is the task, `name` the gate and the
model, as readers tell cases apart by these two alone. A case carries its numbers in words; suites
have them as properties, since the schema that readers agree on (`junit-10.xsd` of Jenkins' xUnit
plugin) has no properties of cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from evalc.diagnostics import Diagnostic, Place
from evalc.diagnostics.visible import visible_lines
from evalc.report import verdicts, words
from evalc.report.shape import (
    ConditionEntry,
    GateEntry,
    Report,
    ResultEntry,
    UnjudgedEntry,
    UnscoredEntry,
)

NAME = "evalc"
ENDED = "the command ended before it was judged"
NUMBERS = ("bound", "value", "low", "high", "seen", "total", "looks")


def junit_xml(report: Report) -> str:
    """The document. A gate that failed is a failure; so is one that is not decided, unless it only
    warns: that is skipped, and so are a task that was not scored and, in a suite of their own, the
    gates that judged no model."""
    root = Element("testsuites", {"name": NAME})
    gates = report.get("gates", [])
    models = dict.fromkeys([entry["model"] for entry in (*gates, *report["unscored"])])
    seconds = _seconds(report)
    for model in models:
        own = [gate for gate in gates if gate["model"] == model]
        results = [result for result in report["results"] if result["model"] == model]
        unscored = [entry for entry in report["unscored"] if entry["model"] == model]
        suite = _suite(root, model, own, unscored, results)
        if len(models) == 1 and seconds is not None:
            suite.set("time", seconds)
    if report.get("unjudged"):
        _unjudged(root, report["unjudged"])
    if seconds is not None:
        root.set("time", seconds)
    return _document(root)


def junit_of_faults(
    faults: Sequence[Diagnostic],
    places: Sequence[str],
    gates: Sequence[tuple[str, str, Collection[Place]]] = (),
) -> str:
    """The document of a command that found faults and judged nothing; each is an error.

    `places` has where each was found, empty where nowhere. `gates` has task and case name of the
    gates that were to be judged, errors as well, and where each is written: a fault that stands
    there is the gate's own, and told by its case alone. A fault that is no gate's keeps the others
    from being judged.
    """
    root, suite = _single()
    own = [[fault for fault in faults if _stands_in(fault, where)] for *_, where in gates]
    told = [fault for each in own for fault in each]
    for number, (fault, at) in enumerate(zip(faults, places, strict=True), start=1):
        if fault not in told:
            case = _case(suite, NAME, f"{number}: {fault.code} {at}".rstrip())
            _outcome(case, "error", fault.code, fault.message, _lines(fault))
    common = next((f.message for f in faults if f not in told), ENDED)
    for (task, name, _), mistakes in zip(gates, own, strict=True):
        why = mistakes[0].message if mistakes else common
        lines = [line for fault in mistakes for line in _lines(fault)]
        _outcome(_case(suite, task, name), "error", "not-judged", f"not judged: {why}", lines)
    return _document(root)


def _stands_in(fault: Diagnostic, where: Collection[Place]) -> bool:
    return any(place in where for place in (fault.place, *(at for at, _ in fault.related)))


def _lines(fault: Diagnostic) -> list[str]:
    return [fault.message, *fault.notes, *([f"hint: {fault.hint}"] if fault.hint else [])]


def case_name(gate: str, model: str | None) -> str:
    """The name of a gate's case. Which model leads a race is its result, and not in its name."""
    return gate if model is None else f"{gate} ({model})"


def junit_unfinished() -> str:
    """The document of a command that has not come to its verdicts, and may never do so."""
    root, suite = _single()
    message = "evalc ended before it came to a verdict; its log says why"
    _outcome(_case(suite, NAME, "run"), "error", "unfinished", message, [])
    return _document(root)


def _single() -> tuple[Element, Element]:
    root = Element("testsuites", {"name": NAME})
    return root, SubElement(root, "testsuite", {"name": NAME})


def _suite(
    root: Element,
    model: str,
    gates: Sequence[GateEntry],
    unscored: Sequence[UnscoredEntry],
    results: Sequence[ResultEntry],
) -> Element:
    suite = SubElement(root, "testsuite", {"name": _legal(model)})
    if gates:
        properties = SubElement(suite, "properties")
        for name, value in (pair for gate in gates for pair in _properties(gate)):
            fields = {"name": _legal(name), "value": _legal(value)}
            SubElement(properties, "property", fields)
    for gate in gates:
        of_task = [result for result in results if result["task"] == gate["task"]]
        _gate(suite, gate, words.caveats(of_task))
    for entry in unscored:
        case = _case(suite, entry["task"], f"scored ({entry['model']})")
        _outcome(case, "skipped", "not-scored", entry["why"], [])
    return suite


def _unjudged(root: Element, entries: Sequence[UnjudgedEntry]) -> None:
    suite = SubElement(root, "testsuite", {"name": NAME})
    for entry in entries:
        case = _case(suite, entry["task"], entry["gate"])
        _outcome(case, "skipped", "not-judged", entry["why"], [])


def _gate(suite: Element, gate: GateEntry, caveats: Sequence[str]) -> None:
    name = case_name(gate["gate"], None if "candidates" in gate else gate["model"])
    case = _case(suite, gate["task"], name)
    lines = [*verdicts.told(gate), *(f"note: {line}" for line in caveats)]
    state = gate["state"]
    if state == "pass":
        SubElement(case, "system-out").text = _legal("\n".join(lines))
    else:
        skipped = state == "inconclusive" and not gate["needed"]
        kind = "skipped" if skipped else "failure"
        _outcome(case, kind, state, lines[0], lines)


def _case(suite: Element, task: str, name: str) -> Element:
    # a verdict takes no time of its own; readers want the attribute all the same
    fields = {"classname": _legal(task), "name": _legal(name), "time": "0.000"}
    return SubElement(suite, "testcase", fields)


def _outcome(case: Element, kind: str, why: str, message: str, lines: Sequence[str]) -> None:
    fields = {"type": why, "message": _legal(message)}
    element = SubElement(case, kind, fields)
    if lines:
        element.text = _legal("\n".join(lines))


def _properties(gate: GateEntry) -> Iterator[tuple[str, str]]:
    name = gate["gate"]
    yield f"{name}.metric", f"{gate['task']}.{gate['metric']}"
    yield f"{name}.state", gate["state"]
    yield f"{name}.basis", gate["basis"]
    yield f"{name}.alpha", f"{gate['alpha']:g}"
    if gate["baseline"] is not None:
        yield f"{name}.baseline", gate["baseline"]
    for condition in gate["conditions"]:
        for key, value in _numbers(condition):
            yield f"{name}.{condition['key']}.{key}", value


def _numbers(condition: ConditionEntry) -> Iterator[tuple[str, str]]:
    for key in NUMBERS:
        value = condition[key]  # type: ignore[literal-required]
        if value is not None:
            yield key, str(value)


def _seconds(report: Report) -> str | None:
    found = [run["seconds"] for run in report["runs"] if run.get("seconds") is not None]
    return f"{sum(found):.3f}" if found else None


def _document(root: Element) -> str:
    for element in (*root, root):
        counts = {"tests": "testcase", "failures": "failure", "errors": "error"}
        # the schema gives the number of skipped cases to suites alone
        counts |= {"skipped": "skipped"} if element is not root else {}
        for name, tag in counts.items():
            element.set(name, str(sum(1 for _ in element.iter(tag))))
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _legal(text: str) -> str:
    """Text with what XML cannot hold, and what a reader would not see, written as escapes."""
    return visible_lines(text)
