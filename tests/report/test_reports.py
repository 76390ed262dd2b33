from __future__ import annotations

import json

import pytest
from cell_builders import generate_cell
from reports import answers, full_report, quiz, texts

from evalc.diagnostics import Faults
from evalc.report import build_report, from_json, report_markdown, report_view, to_json
from evalc.score import Scoring, score_cell


def metric(report, result: int, name: str):
    return next(m for m in report["results"][result]["metrics"] if m["metric"] == name)


def test_a_report_on_the_terminal(text, snapshot) -> None:
    snapshot(text(report_view(full_report(cases=True), slices=True, cases=3)), "report.txt")


def test_a_report_as_markdown(snapshot) -> None:
    snapshot(report_markdown(full_report(cases=True), cases=2), "report.md")


def test_a_report_survives_json() -> None:
    report = full_report(cases=True)
    assert from_json(to_json(report), "r.json") == report


def test_equal_results_give_equal_bytes() -> None:
    assert to_json(full_report(cases=True)) == to_json(full_report(cases=True))


def test_an_incomplete_result_never_looks_complete(text) -> None:
    report = build_report([quiz([1, 0], missing=1)])
    assert not report["complete"] and not report["results"][0]["complete"]
    assert metric(report, 0, "acc")["complete"] is False
    for rendered in (text(report_view(report)), report_markdown(report)):
        assert "2/3" in rendered
        assert "ncomplete" in rendered


def test_a_report_that_lacks_a_task_never_looks_complete(text) -> None:
    report = build_report([quiz([1])], unscored=[("base", "code", "it needs a switch")])
    assert not report["complete"]
    assert from_json(to_json(report), "r.json") == report
    for rendered in (text(report_view(report)), report_markdown(report)):
        assert "code (base): not scored; it needs a switch" in rendered


def test_a_manifest_that_leaves_things_open_is_shown_as_far_as_it_goes(text) -> None:
    run = {
        "name": "r1",
        "asked": 3,
        "seconds": None,
        "usd": None,
        "prefill_tokens": 0,
        "prefill_tokens_unshared": 0,
    }
    assert "run r1: asked 3 requests, read 0 tokens\n" in text(
        report_view(build_report([quiz([1])], runs=[run, {"name": "r2"}]))
    )


def test_a_sample_never_looks_like_the_full_run(text) -> None:
    report = build_report([quiz([1, 0], population=500)])
    assert report["complete"]
    for rendered in (text(report_view(report)), report_markdown(report)):
        assert "2 of 500" in rendered
        assert "a sample of 2 of 500 cases" in rendered


def test_a_report_on_no_results(text) -> None:
    report = build_report([])
    assert from_json(to_json(report), "r.json") == report
    for rendered in (text(report_view(report, cases=5)), report_markdown(report, cases=5)):
        assert "no task of this selection has a result" in rendered


def test_a_report_on_zero_records(text) -> None:
    report = build_report([quiz([], missing=3), answers([])], cases=True)
    acc = metric(report, 0, "acc")
    assert (acc["value"], acc["stderr"], acc["n"], acc["total"]) == (None, None, 0, 3)
    assert from_json(to_json(report), "r.json") == report
    for rendered in (text(report_view(report, cases=5)), report_markdown(report, cases=5)):
        assert "0/3" in rendered
        assert "answers (base): there is no case" in rendered


def test_slices_are_reported_apart_and_only_where_cases_are() -> None:
    report = build_report([quiz([1, 0, 1], slices={"kind": ["b", "a", "b"]})])
    slices = metric(report, 0, "acc")["slices"]["kind"]
    assert list(slices) == ["a", "b"]
    assert [entry["value"] for entry in slices.values()] == [0, 1]
    assert [entry["n"] for entry in slices.values()] == [1, 2]


def test_a_macro_average_weighs_the_slice_equally() -> None:
    micro = quiz([1, 1, 1, 0], slices={"kind": ["a", "a", "a", "b"]})
    for average in ("macro:kind", "macro:{{ kind }}"):
        scoring = Scoring(("acc",), average=average)
        report = build_report([score_cell(micro.cell, scoring)])
        assert metric(report, 0, "acc")["value"] == 0.5
        assert "(macro:" in report_markdown(report)


def test_clusters_widen_the_interval() -> None:
    right = [1, 1, 0, 0, 1, 1]
    alone = build_report([quiz(right)])
    together = build_report([quiz(right, clusters=list("aabbcc"))])
    a, b = (metric(report, 0, "acc") for report in (alone, together))
    assert b["method"] == "clustered"
    assert b["stderr"] > a["stderr"]


def test_cases_are_listed_only_when_asked_for() -> None:
    assert "cases" not in full_report()["results"][0]
    (first, *_), last = (full_report(cases=True)["results"][i]["cases"] for i in (0, 1))
    assert first == {
        "id": "case-0",
        "scores": {"acc": 1.0, "likelihood_diff": 1.0},
        "target": 0,
        "picked": 0,
        "slices": {"parity": "odd"},
    }
    assert last[1]["answers"] == {"strict": ["[invalid]"], "last": ["7"]}
    assert last[1]["scores"] == {"exact_match@strict": 0.0, "exact_match@last": 1.0}


def test_a_case_without_a_record_has_a_null_score() -> None:
    case = build_report([quiz([], missing=1)], cases=True)["results"][0]["cases"][0]
    assert case["scores"] == {"acc": None, "likelihood_diff": None}
    assert case["picked"] is None


def test_numbers_that_json_cannot_hold_are_null() -> None:
    report = build_report([texts(scale=1e6)], cases=True)
    assert metric(report, 0, "word_perplexity")["value"] is None
    json.loads(to_json(report), parse_constant=pytest.fail)


def test_names_and_texts_cannot_break_the_table() -> None:
    cell = generate_cell([["a | b\n<b>**x**"]], ["`|`"], task="odd|task", model="[m](u)")
    report = build_report([score_cell(cell, Scoring(("exact_match",)))], cases=True)
    rows = [line for line in report_markdown(report, cases=1).splitlines() if "odd" in line]
    assert rows[0].replace("\\|", "").count("|") == 8
    assert "[m](u)" not in rows[0]


def test_terminal_markup_in_names_is_printed_as_it_is(text) -> None:
    cell = generate_cell([["[red]x"]], ["[/red]"], task="[bold]t", model="m")
    report = build_report([score_cell(cell, Scoring(("exact_match",)))], cases=True)
    rendered = text(report_view(report, cases=1))
    assert "[bold]t" in rendered and "[red]x" in rendered and "[/red]" in rendered


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "not JSON"),
        ("[]", "valid dictionary"),
        ('{"schema": "evalc.report/9"}', "schema"),
        ('{"schema": "evalc.report/1"}', "tier"),
    ],
)
def test_what_is_no_report_is_a_fault(content: str, why: str) -> None:
    with pytest.raises(Faults) as caught:
        from_json(content, "r.json")
    assert caught.value.diagnostics[0].code == "not-a-report"
    assert "`r.json`" in str(caught.value) and why in str(caught.value)


def test_a_missing_number_is_a_dash(text) -> None:

    assert "—" in text(report_view(build_report([quiz([1])])))


def test_a_report_says_which_difference_it_could_show(text) -> None:
    report = build_report([quiz([1, 0, 1, 0] * 25)])
    acc = metric(report, 0, "acc")
    # (1.96 + 0.84) times the standard error of a difference of two such values
    assert acc["detectable"] == pytest.approx(2.8016 * 2**0.5 * acc["stderr"], rel=1e-4)
    for rendered in (text(report_view(report), 200), report_markdown(report)):
        assert f"{acc['detectable']:.4f} in" in rendered
    many = text(report_view(build_report([quiz([1, 0] * n) for n in range(20, 30)])), 200)
    (line,) = [line for line in many.splitlines() if "would show a difference" in line]
    assert line.count(" in quiz") == 2
    alike = build_report([quiz([1, 1])])
    assert metric(alike, 0, "acc")["detectable"] is None
    assert "would show a difference" not in text(report_view(alike))
