"""Metrics that compare a generated answer with the acceptable texts.

A case asked several times scores the mean of its repeats.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable

import numpy as np

from evalc.score.answers import is_valid
from evalc.score.columns import Mean, Measured
from evalc.score.metrics.inputs import Inputs

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain_words(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces (SQuAD, Rajpurkar et
    al. 2016; HELM, Liang et al. 2022)."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def token_f1(answer: str, reference: str) -> float:
    """F1 of the bags of `plain_words` tokens; two empty bags agree."""
    got, wanted = plain_words(answer).split(), plain_words(reference).split()
    if not got or not wanted:
        return float(got == wanted)
    shared = sum((Counter(got) & Counter(wanted)).values())
    return 2 * shared / (len(got) + len(wanted))


def each_answer(inputs: Inputs, compare: Callable[[str, list[str]], float]) -> list[list[float]]:
    """`compare(answer, references)` for every repeat of every answered case; invalid ones are 0."""
    return [
        [compare(answer, wanted) if is_valid(answer) else 0.0 for answer in answers]
        for answers, wanted in zip(inputs.answers, inputs.references, strict=True)
    ]


def _mean_of_repeats(inputs: Inputs, compare: Callable[[str, list[str]], float]) -> Measured:
    scores = each_answer(inputs, compare)
    values = np.array([sum(own) / len(own) if own else np.nan for own in scores], dtype=np.float64)
    return Measured(values, inputs.answered, Mean())


def exact_match(inputs: Inputs, _: int) -> Measured:
    """1 if the answer equals an acceptable text after the normalisation of `extract`."""
    return _mean_of_repeats(inputs, lambda answer, wanted: float(answer in wanted))


def quasi_exact_match(inputs: Inputs, _: int) -> Measured:
    """`exact_match` of `plain_words`; an empty answer never matches (HELM)."""

    def compare(answer: str, wanted: list[str]) -> float:
        got = plain_words(answer)
        return float(bool(answer) and any(got == plain_words(text) for text in wanted))

    return _mean_of_repeats(inputs, compare)


def f1(inputs: Inputs, _: int) -> Measured:
    """SQuAD's bag-of-tokens F1, the best over the acceptable texts."""
    return _mean_of_repeats(
        inputs, lambda answer, wanted: max(token_f1(answer, text) for text in wanted)
    )
