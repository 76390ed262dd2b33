from __future__ import annotations

import math

import pytest
from cell_builders import perplexity_cell

from evalc.decide import estimate
from evalc.score import Scoring, score_cell

METRICS = ("word_perplexity", "byte_perplexity", "bits_per_byte", "token_perplexity")
NAN = math.nan


def columns(cell):
    return score_cell(cell, Scoring(METRICS)).columns


def test_a_corpus_weighs_texts_by_their_length() -> None:
    found = columns(perplexity_cell([[-10.0, -20.0], [-6.0]], words=[10, 2], bytes_=[50, 10]))
    assert estimate(found["word_perplexity"]).value == pytest.approx(math.exp(36 / 12))
    assert estimate(found["byte_perplexity"]).value == pytest.approx(math.exp(36 / 60))
    assert estimate(found["bits_per_byte"]).value == pytest.approx(36 / 60 / math.log(2))
    assert estimate(found["token_perplexity"]).value == pytest.approx(math.exp(36 / 30))
    assert found["word_perplexity"].values.tolist() == pytest.approx([math.exp(3), math.exp(3)])


def test_a_missing_window_leaves_the_text_out() -> None:
    found = columns(perplexity_cell([[-10.0, NAN], [-6.0]], words=[10, 2], bytes_=[50, 10]))
    word = estimate(found["word_perplexity"])
    assert word.value == pytest.approx(math.exp(3))
    assert (word.n, word.total) == (1, 2)


def test_a_text_without_words_still_counts_in_the_corpus() -> None:
    found = columns(perplexity_cell([[-4.0], [-6.0]], words=[0, 2], bytes_=[4, 10]))
    assert math.isnan(found["word_perplexity"].values[0])
    assert estimate(found["word_perplexity"]).value == pytest.approx(math.exp(5))


def test_no_text_has_no_perplexity() -> None:
    for column in columns(perplexity_cell([], [], [])).values():
        assert estimate(column).value is None
