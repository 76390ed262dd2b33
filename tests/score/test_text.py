from __future__ import annotations

import math
import random

import pytest
import sacrebleu
from cell_builders import generate_cell
from hypothesis import given
from hypothesis import strategies as st

from evalc.decide import estimate
from evalc.diagnostics import Faults
from evalc.score import Extract, Scoring, score_cell
from evalc.score.metrics.text import plain_words, token_f1

WORDS = ["the", "cat", "sat", "on", "a", "mat", "while", "dogs", "barked", ",", "and", "slept", "."]


def values(cell, metric: str, **extract: object) -> list[float]:
    scoring = Scoring((metric,), {"": Extract(**extract)})  # type: ignore[arg-type]
    return score_cell(cell, scoring).columns[metric].values.tolist()


def test_exact_match_accepts_any_of_the_targets() -> None:
    cell = generate_cell([[" b "], ["c"], ["18"]], [["a", "b"], ["a", "b"], 18])
    assert values(cell, "exact_match") == [1, 0, 1]


def test_targets_print_as_python_prints_them() -> None:
    assert values(generate_cell([["True"], ["0.5"]], [True, 0.5]), "exact_match") == [1, 1]


def test_normalisation_applies_to_the_target_too() -> None:
    cell = generate_cell([["1000"]], ["work\n#### 1,000"])
    assert values(cell, "exact_match", ignore=("(?s).*#### ", ",")) == [1]


def test_an_answer_that_was_not_found_scores_0_even_against_that_word() -> None:
    cell = generate_cell([["none"]], ["[invalid]"])
    for metric in ("exact_match", "quasi_exact_match", "f1"):
        assert values(cell, metric, regex=r"\d") == [0]


def test_repeats_score_their_mean_and_a_missing_repeat_leaves_the_case_out() -> None:
    found = values(generate_cell([["a", "b"], ["a", None]], ["a", "a"]), "exact_match")
    assert found[0] == 0.5
    assert math.isnan(found[1])


def test_a_case_without_a_target_is_a_fault() -> None:
    with pytest.raises(Faults) as caught:
        values(generate_cell([["a"]], [None]), "exact_match")
    assert caught.value.diagnostics[0].code == "bad-target"


def test_quasi_exact_match_ignores_case_articles_and_punctuation() -> None:
    cell = generate_cell([["The cat!"], [""], ["cats"]], ["cat", "", "cat"])
    assert values(cell, "quasi_exact_match") == [1, 0, 0]
    assert plain_words("A  Theory, of an  ANT.") == "theory of ant"


def test_f1_is_that_of_squad() -> None:
    assert token_f1("the red cat", "a cat sat") == pytest.approx(2 * 0.5 * 0.5 / (0.5 + 0.5))
    assert token_f1("cat cat", "cat") == pytest.approx(2 / 3)
    assert token_f1("the", "a") == 1
    assert token_f1("", "cat") == 0
    cell = generate_cell([["red cat"]], [["dog", "cat"]])
    assert values(cell, "f1") == [pytest.approx(2 / 3)]


@given(st.text(), st.text())
def test_f1_is_symmetric_and_between_0_and_1(a: str, b: str) -> None:
    assert token_f1(a, b) == token_f1(b, a)
    assert 0 <= token_f1(a, b) <= 1
    assert token_f1(a, a) == 1


def corpus(n: int, seed: int) -> tuple[list[str], list[list[str]]]:
    rng = random.Random(seed)
    wanted = [
        [" ".join(rng.choices(WORDS, k=rng.randint(1, 14))) for _ in range(2)] for _ in range(n)
    ]
    got = [
        " ".join(w if rng.random() < 0.7 else "noise" for w in refs[0].split()) for refs in wanted
    ]
    return got, wanted


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_bleu_and_chrf_equal_sacrebleu(metric: str, seed: int) -> None:
    got, wanted = corpus(40, seed)
    scores = score_cell(generate_cell([[text] for text in got], wanted), Scoring((metric,)))
    column = scores.columns[metric]
    streams = [[refs[k] for refs in wanted] for k in range(2)]
    reference = getattr(sacrebleu, f"corpus_{metric}")(got, streams).score
    assert estimate(column).value == pytest.approx(reference, abs=1e-9)
    for text, refs, value in zip(got, wanted, column.values, strict=True):
        sentence = getattr(sacrebleu, f"sentence_{metric}")(text, refs).score
        assert value == pytest.approx(sentence, abs=1e-9)


def test_bleu_takes_cases_with_unequal_numbers_of_references() -> None:
    cell = generate_cell([["a b c d"], ["e f g h"]], [["a b c d", "x"], "e f g h"])
    assert estimate(score_cell(cell, Scoring(("bleu",))).columns["bleu"]).value == pytest.approx(
        100
    )


def test_bleu_leaves_out_cases_without_a_record() -> None:
    whole = generate_cell([["a b c d e"], ["q r s t"]], ["a b c d x", "q r s u"])
    part = generate_cell([["a b c d e"], [None], ["q r s t"]], ["a b c d x", "zzz", "q r s u"])
    scores = [score_cell(cell, Scoring(("bleu",))).columns["bleu"] for cell in (whole, part)]
    a, b = map(estimate, scores)
    assert (a.value, a.stderr) == (b.value, b.stderr)
    assert (b.n, b.total, b.complete) == (2, 3, False)


def test_bleu_of_nothing_is_no_value() -> None:
    scores = score_cell(generate_cell([[None]], ["a"]), Scoring(("bleu", "chrf")))
    assert [estimate(column).value for column in scores.columns.values()] == [None, None]
