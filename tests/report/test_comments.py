"""The Markdown comment: what it leads with, and that it always fits."""

from __future__ import annotations

import pytest
from reports import change, gate, judged_report, quiz

from evalc.report import Report, build_report, diff_markdown, diff_reports, report_markdown
from evalc.report.markdown import MARKER
from evalc.report.marks import COMMENT, cell

GITHUB = 65_536
"""Characters that a comment on GitHub may not reach."""


def units(text: str) -> int:
    """UTF-16 code units, the most that any counting of characters finds."""
    return len(text.encode("utf-16-le")) // 2


def test_a_judged_report_as_markdown(snapshot) -> None:
    report = judged_report()
    report["since"] = {"revision": "origin/main", "why": "no other trigger applies"}
    snapshot(report_markdown(report), "judged.md")


def test_the_first_line_is_what_a_comment_is_found_again_by() -> None:
    for report in (judged_report(), build_report([quiz([1])]), build_report([])):
        assert report_markdown(report).splitlines()[0] == MARKER == "<!-- evalc -->"


@pytest.mark.parametrize(
    ("gates", "title"),
    [
        ([gate("a")], "✅ evalc: the gate passed"),
        ([gate("a"), gate("b")], "✅ evalc: all 2 gates passed"),
        ([gate("a"), gate("b", "fail")], "❌ evalc: 1 of 2 gates failed"),
        ([gate("a", "inconclusive")], "⚠️ evalc: 1 of 1 gate is not decided"),
        ([gate("a", "inconclusive", needed=False)], "✅ evalc: 1 of 1 gate is not decided"),
    ],
)
def test_the_title_is_the_verdict(gates, title: str) -> None:
    assert report_markdown(build_report([], gates=gates)).splitlines()[1] == f"## {title}"


def test_gates_that_were_not_judged_are_counted_in_the_title_and_grouped_by_why() -> None:
    apart = [(f"g{n}", f"task{n}", "task not selected") for n in range(9)]
    apart.append(("best", "quiz", "candidates not selected: `b`"))
    lines = report_markdown(build_report([], gates=[gate("a")], unjudged=apart)).splitlines()
    assert lines[1] == "## ✅ evalc: the gate passed, 10 not judged"
    assert [line for line in lines if "Not judged" in line] == [
        "- Not judged: g0, g1, g2, g3, g4, g5 and 3 more: task not selected",
        "- Not judged: best: candidates not selected: \\`b\\`",
    ]


def test_what_changed_says_by_how_much_how_certain_and_in_which_cases() -> None:
    moved = gate("drop", baseline="main", change=change(p=0.21875, compared=500))
    text = report_markdown(build_report([], gates=[moved]))
    row = next(line for line in text.splitlines() if "-0.0125" in line)
    assert row == (
        "| drop | base | main | -0.0125 | -0.0301 to +0.0051 | 3 | 7 | 500 of 500 | 0.2188 |"
    )
    assert "McNemar" in text


def test_what_was_saved_is_counted_in_requests_and_cases() -> None:
    text = report_markdown(judged_report())
    assert (
        "- saved requests: 6 of 24 (25 %) answered by the cache, 4 of 24 (17 %) the same as "
        "others, 2 of 24 (8 %) not needed any more\n"
    ) in text
    assert "- stopped early: 2 of 6 (33 %) cases were not asked\n" in text
    assert "took 12.5 s of GPU time" in text


def test_a_run_of_another_tier_is_no_saving_of_this_one() -> None:
    report = judged_report()
    report["runs"][0]["asked"] = 1000
    assert "saved requests" not in report_markdown(report)


def many(tasks: int, *, gates: int = 0, text: str = "case") -> Report:
    kinds = [f"{text}-{n}" for n in range(4)]
    cells = [
        quiz([1, 0, 1, 1], task=f"task-{n}", slices={"kind": kinds}, case_ids=kinds)
        for n in range(tasks)
    ]
    judged = [gate(f"gate-{n}", baseline="main", change=change()) for n in range(gates)]
    return build_report(cells, gates=judged, cases=True)


@pytest.mark.parametrize(
    "report",
    [many(1), many(57), many(600), many(40, gates=2000), many(100, text="日本語🎈" * 40)],
    ids=["one", "mmlu", "many tasks", "many gates", "wide letters"],
)
def test_a_comment_fits_whatever_there_is_to_say(report: Report) -> None:
    text = report_markdown(report, cases=1000)
    assert units(text) <= len(text.encode()) <= COMMENT < GITHUB
    assert text.startswith(MARKER)
    assert text.count("<details>") == text.count("</details>")
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_what_was_left_out_is_counted() -> None:
    assert "Left out" not in report_markdown(many(2), cases=2)
    text = report_markdown(many(600), cases=4)
    last = text.splitlines()[-1]
    assert last.startswith("Left out to keep this short: ")
    shown = sum(line.startswith("| base | task-") for line in text.splitlines())
    left = int(last.partition(" rows of results")[0].rpartition(" ")[2].replace(",", ""))
    assert (shown > 100, shown + left) == (True, 1200)
    assert "2,400 cases" in last


def test_verdicts_have_room_before_anything_else() -> None:
    text = report_markdown(many(600, gates=100))
    assert sum("✅ pass" in line for line in text.splitlines()) == 100
    assert text.index("gate-99") < text.index("task-0")


def test_a_time_is_left_as_it_is_and_a_picture_is_not_drawn() -> None:
    for time in ("2026-11-29T14:10:58+00:00", "12:30-13:45:00", "14:10:58.5-05:00: done"):
        assert cell(time) == time
    for picture in (":+1:", ":100:", ":tada:", ":e-mail:"):
        assert "&#8203;" in cell(picture)


def test_a_long_table_of_results_is_folded() -> None:
    assert "<summary>114 results</summary>" in report_markdown(many(57))
    assert "results</summary>" not in report_markdown(many(3))


def test_a_larger_limit_leaves_nothing_out() -> None:
    text = report_markdown(many(600), cases=4, limit=1 << 20)
    assert "Left out" not in text
    assert len(text.encode()) <= 1 << 20


def test_a_verdict_without_conditions_has_its_row_too() -> None:
    text = report_markdown(build_report([], gates=[gate("best", conditions=[])]))
    assert "| best | base | ✅ pass |  |  |  |\n" in text


def test_a_diff_fits_too_and_counts_what_it_leaves_out() -> None:
    right = [1, 0, 1, 1]
    before, after = (
        build_report([quiz(r, task=f"task-{n}") for n in range(600)], cases=True)
        for r in (right, [1, 1, 0, 1])
    )
    text = diff_markdown(diff_reports(before, after))
    assert len(text.encode()) <= COMMENT
    assert text.splitlines()[-1].startswith("Left out to keep this short: ")
    few = build_report([quiz([1, 1, 0, 1], task="task-0")], cases=True)
    assert "Left out" not in diff_markdown(diff_reports(few, few))
    assert "178 notes" in diff_markdown(diff_reports(before, few)).splitlines()[-1]
