"""The HTML report without a browser: what is in it, what is not, and that texts stay texts."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pages
import pytest
from cell_builders import choice_cell
from page_tree import Tree
from pages import CASES, HOSTILE, browsed, cells, condition, gate, page, report
from reports import quiz

from evalc.decide.units import Units
from evalc.diagnostics import Faults
from evalc.diagnostics.visible import visible_lines
from evalc.report import build_report
from evalc.report.html import cases as case_room
from evalc.report.html import extra, report_page, texts
from evalc.report.html.accounts import accounts
from evalc.score import Scoring, score_cell


@pytest.fixture(scope="module")
def text() -> str:
    return page()


@pytest.fixture(scope="module")
def tree(text: str) -> Tree:
    return Tree(text)


def svgs(text: str) -> list[str]:
    return re.findall(r"<svg .*?</svg>", text, re.DOTALL)


def test_the_page_is_whole_and_its_elements_are_nested(tree: Tree) -> None:
    assert tree.open == []
    assert [a["lang"] for a in tree.named("html")] == ["en"]
    assert [tag for tag, _ in tree.elements].count("h1") == 1


def test_equal_reports_give_equal_pages(text: str) -> None:
    assert page() == text


def test_the_page_refers_to_nothing_outside_itself(text: str, tree: Tree) -> None:
    for _, attributes in tree.elements:
        for name in ("src", "href", "action", "srcset", "poster", "data", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), (name, value)
    assert not tree.named("link") and not tree.named("base") and not tree.named("iframe")
    assert "@import" not in text and "url(" not in text
    outside = set(re.findall(r"https?://[^\"'\s<)]+", text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_the_policy_lets_in_the_pages_own_style_and_script_only(text: str, tree: Tree) -> None:
    (policy,) = [a["content"] for a in tree.named("meta") if "http-equiv" in a]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    for _, attributes in tree.elements:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]


def test_no_text_of_a_case_becomes_mark_up(text: str, tree: Tree) -> None:
    assert "<img" not in text and "window.broken" not in text
    assert len(tree.named("script")) == 2
    case = next(task for task in browsed(text) if task["task"] == "quiz")
    assert case["prompts"][3] == f"Question 3: {visible_lines(HOSTILE)}"
    assert case["choices"][3] == ["red", visible_lines(HOSTILE)]
    sums = next(task for task in browsed(text) if task["task"] == "sums")
    assert sums["sides"][0]["outputs"][7] == [f"{visible_lines(HOSTILE)} #### 9"]


def test_no_name_becomes_mark_up() -> None:
    cell = choice_cell(
        [[-1.0, -2.0]] * 3, [0] * 3, model=HOSTILE, task=HOSTILE, slices={HOSTILE: [HOSTILE] * 3}
    )
    scores = score_cell(cell, Scoring(("acc",)))
    judged = gate(HOSTILE, "pass", model=HOSTILE, task=HOSTILE, baseline=HOSTILE, why=HOSTILE)
    run = {
        "name": HOSTILE,
        "asked": 1,
        "seconds": 1.0,
        "models": [dict.fromkeys(("name", "path", "device", "dtype", "model_id"), HOSTILE)],
    }
    made = build_report(
        [scores],
        tier=HOSTILE,
        gates=[judged],
        runs=[run],
        cases=True,
        unscored=[(HOSTILE, HOSTILE, HOSTILE)],
    )
    made["since"] = {"revision": HOSTILE, "why": HOSTILE}
    text = report_page(made, cells=[scores], title=HOSTILE)
    tree = Tree(text)
    assert tree.open == []
    assert not tree.named("img") and len(tree.named("script")) == 2
    assert "{{ 7*7 }}" in tree.said() and "49" not in tree.said()
    for drawn in svgs(text):
        ET.fromstring(drawn)


def test_every_chart_is_told_in_words_and_takes_its_colours_from_the_page(text: str) -> None:
    drawn = svgs(text)
    assert len(drawn) > 8
    for svg in drawn:
        root = ET.fromstring(svg)
        assert root.attrib["role"] == "img" and root.attrib["aria-label"]
        title, told = root[0], root[1]
        assert title.tag.endswith("title") and title.text
        assert told.tag.endswith("desc") and told.text
        colors = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
        assert all(
            color in ("none", "transparent") or color.startswith("var(--") for color in colors
        ), colors


def test_verdicts_come_first_and_those_that_failed_before_all(tree: Tree) -> None:
    said = tree.said()
    assert "1 of 3 gates failed 1 not decided, 1 passed" in said
    order = [said.index(name) for name in ("regression", "known", "floor", "All results")]
    assert order == sorted(order)


def test_a_verdict_is_told_with_its_numbers_and_its_risk(tree: Tree) -> None:
    said = tree.said()
    assert (
        "acc is at least 0.8000. Decided after 96 of 120 cases; such a verdict is wrong at most 1 "
        "in 20 times." in said
    )
    assert "acc is below 0.9800, what base reached less the drop that is allowed." in said
    assert "The budget ended before it was decided." in said
    assert "at most 0.05" in said
    assert "96 of 120 (80 %)" in said
    assert "0.8500 to 0.9900" in said


def test_every_look_has_a_line_beside_its_chart(text: str, tree: Tree) -> None:
    said = tree.said()
    assert said.count("Evidence over 3 looks") == 3
    assert "32 0.9000 0.7000 to 1.0000 1.5 0.5" in said
    assert "96 0.9600 0.8500 to 0.9900 148.4 < 0.1" in said
    assert text.count("Interval at every look</title>") == 3
    assert text.count("Evidence at every look</title>") == 3


def test_flips_against_the_baseline_are_counted(tree: Tree) -> None:
    said = tree.said()
    (line,) = re.findall(r"quiz acc base → tuned (\S+ \S+ \S+) \S+ to \S+ (\d+ \d+)", said)
    assert line == ("0.9833 0.9667 -0.0167", "3 1")
    assert "sums exact_match@strict base → tuned 0.3750 0.6250 +0.2500" in said


def test_an_early_end_leaves_the_benchmarks_interval_and_no_test() -> None:
    turn = Units.of([f"case-{i}" for i in range(80)]).members.tolist()
    seen = {case: place for place, case in enumerate(turn[:40])}
    logs = [[-1.0, -2.0 * (seen[i] % 2)] if i in seen else [math.nan] * 2 for i in range(80)]
    cell = choice_cell(logs, [0] * 80, model="tuned")
    part, whole = score_cell(cell, Scoring(("acc",))), quiz([1] * 80)
    ended: Any = {("tuned", "quiz"): "decided"}
    made = build_report([whole, part], ended=ended, cases=True)
    found = made["results"][1]["metrics"][0].get("benchmark")
    assert found is not None and found["low"] < found["high"]
    said = Tree(report_page(made)).said()
    interval = f"{found['low']:.4f} to {found['high']:.4f}"
    assert f"quiz acc tuned {found['value']:.4f} — — {interval} 40/80" in said
    assert "quiz acc base 1.0000 0.0000 0.9542 to 1.0000 exact 80" in said
    assert "quiz acc base → tuned 1.0000 0.5000 -0.5000 — 20 0 — 40" in said
    assert "no test of their changes" in said
    assert "interval for this benchmark asked whole" in said
    assert "no test of their changes" not in Tree(page()).said()


def test_a_report_without_gates_cases_plan_or_runs_has_a_page() -> None:
    for made in (build_report([]), build_report([quiz([1, 0])])):
        tree = Tree(report_page(made))
        assert tree.open == []
        assert "This report lists no cases." in tree.said()
        assert len(tree.named("script")) == 1


def test_an_incomplete_report_says_so_at_the_top() -> None:
    said = Tree(report_page(build_report([quiz([1, 0], missing=1)]))).said()
    assert "Incomplete" in said[:60]
    assert "2 of 3 cases are scored; the others have no record yet" in said


def test_only_scored_cases_are_browsed() -> None:
    made = quiz([1, 0], missing=2)
    (task,) = browsed(report_page(build_report([made], cases=True), cells=[made]))
    assert task["ids"] == ["case-0", "case-1"]


def test_the_browsers_columns_are_the_reports(text: str) -> None:
    quiz_task, sums_task, prose_task = browsed(text)
    base, tuned = quiz_task["sides"]
    results = {(r["model"], r["task"]): r for r in report()["results"]}
    for side, model in ((base, "base"), (tuned, "tuned")):
        listed = results[model, "quiz"]["cases"]
        assert side["scores"]["acc"] == [case["scores"]["acc"] for case in listed]
        assert side["picked"] == [case["picked"] for case in listed]
    assert tuned["logs"][3] == [-2.0, -1.0]
    assert quiz_task["baselines"] == ["base"]
    assert quiz_task["prefix"] == pages.SHOTS
    assert quiz_task["prompts"][4] == "Question 4: which colour is it?"
    assert sums_task["sides"][1]["answers"][0] == "7"
    assert len(quiz_task["ids"]) == CASES and len(prose_task["ids"]) == 2


def test_a_result_from_outside_stands_beside_the_reports_own() -> None:
    before = build_report([pages.choices("old", {1})], cases=True)["results"][0]
    made = build_report([pages.choices("new", {2})], cases=True)
    text = report_page(made, others=[("main", before)])
    (task,) = browsed(text)
    assert [(side["name"], side["own"]) for side in task["sides"]] == [
        ("new", True),
        ("main", False),
    ]
    assert task["baselines"] == ["main"]
    assert "main → new" in Tree(text).said()
    assert task["prompts"] == [None] * CASES
    assert "This file has their scores and answers, not their texts." in Tree(text).said()


def test_each_model_is_compared_with_its_own_record() -> None:
    text = pages.recorded_page()
    (task,) = browsed(text)
    assert task["baselines"] == ["main (m)", "main (n)"]
    assert [side["model"] for side in task["sides"]] == ["m", "n", "m", "n"]
    said = Tree(text).said()
    assert "quiz acc main (m) → m 0.9917 0.9833" in said
    assert "quiz acc main (n) → n 0.9833 0.9750" in said
    assert "main (m) → n" not in said


def test_texts_beyond_the_budget_are_left_out_those_of_changed_cases_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(case_room, "TEXT_BUDGET", 20 * 50 + 150)
    text = page()
    quiz_task = browsed(text)[0]
    held = [at for at, prompt in enumerate(quiz_task["prompts"]) if prompt is not None]
    assert {5, 10, 20} <= set(held)
    assert 10 < len(held) < 25
    assert None not in quiz_task["sides"][0]["scores"]["acc"]
    assert "changed cases first" in Tree(text).said()


def test_a_prompt_that_begins_otherwise_is_whole_and_so_are_the_others() -> None:
    """The odd one is none of those from which the common beginning is guessed."""
    odd, shots = 101, [f"Example {n} of several that every prompt has.\n" for n in range(9)]

    def prompt(i: int) -> str:
        return "".join(shots[:6] if i == odd else shots) + f"Question {i}"

    cell = choice_cell(
        [[-1.0, -2.0]] * 200,
        [0] * 200,
        row=lambda i: {"row": {}, "prompt": prompt(i), "choices": ["a", "b"], "target": 0},
    )
    made = score_cell(cell, Scoring(("acc",)))
    (task,) = browsed(report_page(build_report([made], cases=True), cells=[made]))
    assert task["prefix"] == "".join(shots[:6])
    assert [task["prefix"] + text for text in task["prompts"]] == [prompt(i) for i in range(200)]


def test_a_long_text_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LONGEST", 30)
    sums_task = browsed(page())[1]
    assert sums_task["sides"][0]["outputs"][7] == [
        f"{HOSTILE[:30]}… ({len(HOSTILE) + 7 - 30} more characters are not in this file)"
    ]


def parts(report: Any) -> Iterator[tuple[str, str, float]]:
    for account in accounts(report):
        for part in account.parts:
            yield account.title, part.name, part.amount


def test_requests_tokens_and_seconds_are_accounted_for_wholly() -> None:
    run = {
        **pages.RUN,
        "planned": 18,
        "setup_seconds": 2.0,
        "prefill_seconds": 6.0,
        "decode_seconds": 3.0,
    }
    found = {(title, name): amount for title, name, amount in parts(report(runs=[run]))}
    requests = [amount for (title, _), amount in found.items() if title == "Requests"]
    assert sum(requests) == pages.PLAN["total"]["requests"]
    assert found["Requests", "asked in the last run"] == 18
    assert found["Tokens", "not read again: prefixes are shared"] == 400
    seconds = [amount for (title, _), amount in found.items() if title == "Time"]
    assert sum(seconds) == pytest.approx(run["seconds"])


def test_what_was_predicted_stands_beside_what_it_took() -> None:
    run = {**pages.RUN, "whole_seconds": 40.0}
    (told,) = [each.told for each in accounts(report(runs=[run])) if each.title == "Time"]
    assert "took 12.5 s; 11.0 s were predicted" in told
    assert "40.0 s for asking everything" in told
    judged = gate("g", "pass", condition("pass", expected=80))
    assert "96 of 120 (80 %), 80 predicted" in Tree(page(gates=[judged])).said()


def test_what_a_decided_run_did_not_read_is_not_counted_as_shared() -> None:
    run = {**pages.RUN, "planned": 36}
    ended = {("tuned", "quiz"): "decided"}
    found = {
        (title, name): amount for title, name, amount in parts(report(runs=[run], ended=ended))
    }
    assert found["Tokens", "not read: the gates were decided"] == 500
    assert ("Tokens", "not read again: prefixes are shared") not in found
    assert found["Requests", "never asked: the gates were decided"] == 2


def test_a_missing_package_is_said_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(extra.PACKAGES, "no_such_package", "no-such-package")
    with pytest.raises(Faults) as caught:
        extra.require()
    (found,) = caught.value.diagnostics
    assert found.code == "needs-report-extra"
    assert "no-such-package" in found.message
    assert found.hint is not None and "evalc[report]" in found.hint


def test_texts_come_from_cells_of_the_same_task_and_model() -> None:
    made = report()
    other = [cell for cell in cells() if cell.cell.model == "tuned"]
    text = report_page(made, cells=other)
    assert browsed(text)[0]["prompts"][0] is None
