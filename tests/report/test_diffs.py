from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from cell_builders import choice_cell, generate_cell, perplexity_cell
from reports import answers, quiz, texts

from evalc.diagnostics import Faults
from evalc.report import (
    build_report,
    diff_json,
    diff_markdown,
    diff_reports,
    diff_view,
    from_json,
    to_json,
    words,
)
from evalc.score import Scoring, score_cell

NAN = math.nan
stats = pytest.importorskip("scipy.stats")


def report(*cells):
    return build_report(cells, cases=True)


def only(diff, metric: str = "acc"):
    return next(entry for entry in diff["comparisons"] if entry["metric"] == metric)


def example():
    a = report(quiz([1, 1, 0, 0, 1, 1]), answers(["#### 7", "it is 7", "8"]), texts())
    b = report(
        quiz([1, 0, 1, 1, 1, 0], missing=1), answers(["7", "it is 7", "7"]), texts(scale=0.9)
    )
    return diff_reports(a, b, names=("main", "this branch"))


def test_a_diff_on_the_terminal(text, snapshot) -> None:
    snapshot(text(diff_view(example(), limit=3), 130), "diff.txt")


def test_a_diff_as_markdown(snapshot) -> None:
    snapshot(diff_markdown(example(), limit=3), "diff.md")


def test_a_diff_as_json_has_all_flips() -> None:
    found = json.loads(diff_json(example()))
    assert found["schema"] == "evalc.diff/1"
    entry = only(found)
    assert len(entry["flips"]) == entry["changed"] == entry["fixed"] + entry["broken"] == 4


def test_flips_are_counted_and_broken_ones_listed_first() -> None:
    entry = only(example())
    assert (entry["fixed"], entry["broken"], entry["n"], entry["only_b"]) == (2, 2, 6, 0)
    assert [flip["id"] for flip in entry["flips"]] == ["case-1", "case-5", "case-2", "case-3"]
    assert entry["flips"][0]["answer_a"] == "choice 0"
    assert entry["flips"][0]["answer_b"] == "choice 1"


def test_the_paired_test_equals_scipys_mcnemar() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    b[a == 1] = rng.random((a == 1).sum()) < 0.9
    entry = only(diff_reports(report(quiz(a.tolist())), report(quiz(b.tolist()))))
    fixed, broken = int(((a == 0) & (b == 1)).sum()), int(((a == 1) & (b == 0)).sum())
    assert (entry["fixed"], entry["broken"], entry["test"]) == (fixed, broken, "mcnemar")
    assert entry["p"] == pytest.approx(stats.binomtest(fixed, fixed + broken, 0.5).pvalue)
    assert entry["stderr"] == pytest.approx(np.std(b - a, ddof=1) / np.sqrt(300))


def test_equal_reports_have_no_flips() -> None:
    same = report(quiz([1, 0]), texts())
    for entry in diff_reports(same, same)["comparisons"]:
        assert (entry["delta"], entry["changed"], entry["flips"]) == (0, 0, [])


def test_only_common_cases_are_compared_and_the_rest_is_counted(text) -> None:
    a = report(quiz([1, 1, 1]))
    b = report(quiz([0, 1], case_ids=["case-2", "new"]))
    diff = diff_reports(a, b)
    entry = only(diff)
    assert (entry["n"], entry["only_a"], entry["only_b"]) == (1, 2, 1)
    assert not entry["complete"]
    for rendered in (text(diff_view(diff), 120), diff_markdown(diff)):
        assert "1/4" in rendered and "2 scored only in A, 1 scored only in B" in rendered


def test_a_case_scored_on_one_side_only_is_not_common() -> None:
    entry = only(diff_reports(report(quiz([1, 1])), report(quiz([1], missing=1))))
    assert (entry["n"], entry["only_a"], entry["complete"]) == (1, 1, False)


def test_cases_of_equal_content_are_paired_in_order() -> None:
    ids = ["same", "same"]
    a, b = report(quiz([1, 0], case_ids=ids)), report(quiz([1, 1], case_ids=ids))
    entry = only(diff_reports(a, b))
    assert (entry["n"], entry["fixed"], entry["broken"]) == (2, 1, 0)


def test_two_models_of_one_report_are_compared() -> None:
    both = report(quiz([1, 0, 1]), quiz([1, 1, 1], model="tuned"))
    entry = only(diff_reports(both, both, models=("base", "tuned")))
    assert (entry["model_a"], entry["model_b"], entry["fixed"]) == ("base", "tuned", 1)


def test_the_only_models_of_two_reports_are_compared_whatever_they_are_called() -> None:
    entry = only(diff_reports(report(quiz([1])), report(quiz([0], model="tuned"))))
    assert entry["broken"] == 1


def test_models_are_matched_by_name_when_there_are_several() -> None:
    a = report(quiz([1]), quiz([1], model="x"))
    b = report(quiz([0]), quiz([0], model="y"))
    diff = diff_reports(a, b)
    assert {entry["model_a"] for entry in diff["comparisons"]} == {"base"}
    assert diff["unmatched_a"] == ["quiz (x): acc", "quiz (x): likelihood_diff"]
    assert diff["unmatched_b"] == ["quiz (y): acc", "quiz (y): likelihood_diff"]


def test_for_a_metric_where_lower_is_better_a_fall_is_a_fix() -> None:
    entry = only(diff_reports(report(texts()), report(texts(scale=0.9))), "word_perplexity")
    assert (entry["fixed"], entry["broken"]) == (2, 0)
    assert entry["delta"] < 0
    assert (entry["p"], entry["test"]) == (None, "none")


def test_where_neither_way_is_better_nothing_is_fixed_or_broken() -> None:
    a = score_cell(choice_cell([[-1, -2]], [0]), Scoring(("likelihood_diff",)))
    b = score_cell(choice_cell([[-1, -4]], [0]), Scoring(("likelihood_diff",)))
    entry = only(diff_reports(report(a), report(b)), "likelihood_diff")
    assert (entry["fixed"], entry["broken"], entry["changed"]) == (None, None, 1)


def test_a_corpus_metric_on_unequal_cases_has_no_difference() -> None:
    a, b = report(texts()), report(texts(scale=0.9))
    b["results"][0]["cases"][0]["scores"]["word_perplexity"] = None
    entry = only(diff_reports(a, b), "word_perplexity")
    assert (entry["a"], entry["b"], entry["delta"]) == (None, None, None)


KINDS = {"kind": ["x", "x", "y", "y"]}
BLEU_BEFORE = ["the cat sat on the mat", "a dog ran far away", "one two three four", "no"]
BLEU_AFTER = ["the cat sat on a mat", "a dog ran far away", "one two four three", "no one"]


def books(scale: float, scoring: Scoring) -> Any:
    """Four texts of very different lengths, so that a mean of perplexities is far from that of all
    words; the last has no word, and so none of its own."""
    windows = [[-300.0 * scale], [-2.0], [-90.0 * scale], [-1.5]]
    cell = perplexity_cell(windows, [100, 1, 30, 0], [500, 5, 150, 3], slices=KINDS)
    return score_cell(cell, scoring)


def translated(texts: list[str], scoring: Scoring) -> Any:
    wanted = ["the cat sat on the mat", "a dog ran far away", "one two three four", "no one knows"]
    cell = generate_cell([[text] for text in texts], wanted, slices=KINDS)
    return score_cell(cell, scoring)


CORPORA = {
    "word_perplexity": (lambda s: books(1.0, s), lambda s: books(0.8, s)),
    "byte_perplexity": (lambda s: books(1.0, s), lambda s: books(0.8, s)),
    "bits_per_byte": (lambda s: books(1.0, s), lambda s: books(0.8, s)),
    "bleu": (lambda s: translated(BLEU_BEFORE, s), lambda s: translated(BLEU_AFTER, s)),
    "chrf": (lambda s: translated(BLEU_BEFORE, s), lambda s: translated(BLEU_AFTER, s)),
}
FORMS = ("as it is", "an early end", "of an older evalc")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("average", ["micro", "macro:kind"])
@pytest.mark.parametrize("metric", CORPORA)
def test_a_corpus_metric_is_compared_by_the_values_of_the_reports(
    metric: str, average: str, form: str, text
) -> None:
    scoring = Scoring((metric,), average=average)
    a, b = (report(made(scoring)) for made in CORPORA[metric])
    own = [one["results"][0]["metrics"][0] for one in (a, b)]
    for entry in own:
        if form == "an early end":
            entry["method"] = "none"
        if form == "of an older evalc":
            del entry["aggregate"]
    found = diff_reports(a, b)
    entry = only(found, metric)
    before, after = own[0]["value"], own[1]["value"]
    assert before != pytest.approx(after, rel=1e-3)
    assert (entry["a"], entry["b"]) == (before, after)
    assert entry["delta"] == pytest.approx(after - before)
    assert (entry["n"], entry["only_a"], entry["only_b"], entry["complete"]) == (4, 0, 0, True)
    assert (entry["stderr"], entry["p"], entry["test"]) == (None, None, "none")
    for shown in (text(diff_view(found), 160), diff_markdown(found)):
        assert words.number(before) in shown
        assert words.number(after) in shown


def test_a_corpus_metric_that_is_averaged_in_two_ways_has_no_difference() -> None:
    a, b = (
        report(books(1.0, Scoring(("byte_perplexity",), average=average)))
        for average in ("micro", "macro:kind")
    )
    entry = only(diff_reports(a, b), "byte_perplexity")
    assert (entry["a"], entry["b"], entry["delta"]) == (None, None, None)


def test_a_corpus_metric_without_values_of_cases_has_a_difference() -> None:
    cells = [perplexity_cell([[-4.0 * s], [-2.0 * s]], [0, 0], [5, 3]) for s in (1.0, 0.5)]
    a, b = (
        report(score_cell(cell, Scoring(("word_perplexity", "byte_perplexity")))) for cell in cells
    )
    for one, value in ((a, 30.0), (b, 20.0)):
        metric = one["results"][0]["metrics"][0]
        assert [case["scores"]["word_perplexity"] for case in one["results"][0]["cases"]] == [
            None,
            None,
        ]
        metric["value"] = value  # as of a corpus whose words lie across its cases
    entry = only(diff_reports(a, b), "word_perplexity")
    assert (entry["a"], entry["b"], entry["delta"], entry["n"]) == (30.0, 20.0, -10.0, 2)


def test_a_corpus_metric_of_which_a_case_is_missing_has_no_difference() -> None:
    a, b = report(books(1.0, Scoring(("byte_perplexity",)))), report(texts())
    cell = perplexity_cell([[-300.0], [NAN], [-90.0], [-1.5]], [9, 1, 3, 0], [500, 5, 150, 3])
    b = report(score_cell(cell, Scoring(("byte_perplexity",))))
    entry = only(diff_reports(a, b), "byte_perplexity")
    assert (entry["a"], entry["b"], entry["delta"]) == (None, None, None)
    assert (entry["n"], entry["only_a"], entry["complete"]) == (3, 1, False)


def test_clusters_and_macro_averages_carry_over() -> None:
    kinds = {"kind": ["x", "x", "x", "y"]}
    names = ["p", "p", "q", "q"]
    scoring = Scoring(("acc",), average="macro:kind")
    a, b = (
        report(score_cell(quiz(right, slices=kinds, clusters=names).cell, scoring))
        for right in ([1, 0, 0, 0], [1, 1, 0, 1])
    )
    entry = only(diff_reports(a, b))
    assert entry["delta"] == pytest.approx((1 / 3 + 1) / 2)
    assert entry["a"] == pytest.approx(a["results"][0]["metrics"][0]["value"])
    clustered = only(
        diff_reports(
            report(quiz([1, 0, 0, 0], clusters=names)), report(quiz([1, 1, 0, 1], clusters=names))
        )
    )
    assert clustered["test"] == "clustered"


def test_a_diff_of_reports_read_back_is_the_same() -> None:
    a, b = report(quiz([1, 0])), report(quiz([0, 0]))
    read = [from_json(to_json(r), "r") for r in (a, b)]
    assert diff_reports(*read) == diff_reports(a, b)


def test_reports_without_cases_cannot_be_compared() -> None:
    with pytest.raises(Faults) as caught:
        diff_reports(report(quiz([1])), build_report([quiz([1])]), names=("a.json", "b.json"))
    assert caught.value.diagnostics[0].code == "no-cases-in-report"
    assert "`b.json`" in str(caught.value)


@pytest.mark.parametrize(
    ("b", "models", "code"),
    [
        (report(answers(["7"])), None, "nothing-to-compare"),
        (build_report([]), None, "nothing-to-compare"),
        (report(quiz([1])), ("base", "tuned"), "unknown-model"),
    ],
)
def test_what_cannot_be_compared_is_a_fault(b, models, code: str) -> None:
    with pytest.raises(Faults) as caught:
        diff_reports(report(quiz([1])), b, models=models)
    assert caught.value.diagnostics[0].code == code
