"""BLEU and chrF: sacrebleu's statistics and formulas, over a corpus of cases.

Every repeat of a case is a segment. An answer that was not found is an empty segment. Statistics
are slow to count (0.2 to 0.3 ms a case of 20 words) and are kept by case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

from evalc.score.answers import is_valid
from evalc.score.cache import Missing, Scored
from evalc.score.cells import FloatArray
from evalc.score.columns import Corpus, Measured
from evalc.score.keys import canonical
from evalc.score.metrics.inputs import Inputs
from evalc.score.scorers import built_in

SOURCES = ("metrics/overlap.py",)


def bleu(inputs: Inputs, _: int) -> Measured:
    """Corpus BLEU, 0..100, sacrebleu's defaults (13a tokens, exponential smoothing, mixed case).

    A single case's value has effective order, as sacrebleu's sentence BLEU.
    """
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415  heavy, and only tasks with BLEU need it

    return _corpus(inputs, "bleu", BLEU(), BLEU(effective_order=True))


def chrf(inputs: Inputs, _: int) -> Measured:
    """Corpus chrF2, 0..100, sacrebleu's defaults (character 6-grams, no words, beta 2)."""
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415  heavy, and only tasks with chrF need it

    return _corpus(inputs, "chrf", CHRF(), CHRF())


def _corpus(inputs: Inputs, name: str, corpus: Any, sentence: Any) -> Measured:
    n = len(inputs.cell)
    cases = [case for case, answers in enumerate(inputs.answers) if answers]
    if not cases:
        return Measured(np.full(n, np.nan), inputs.answered, Corpus(np.zeros((n, 1)), float))
    segments = [
        [answer if is_valid(answer) else "" for answer in inputs.answers[case]] for case in cases
    ]
    wanted = [inputs.references[case] for case in cases]

    def keys() -> list[bytes]:
        scorer = built_in("metric", name, SOURCES, [("sacrebleu", version("sacrebleu"))])
        pairs = zip(segments, wanted, strict=True)
        return [scorer.key(canonical(own), canonical(texts)) for own, texts in pairs]

    def compute(coming: Missing) -> Iterator[Scored]:
        missing = list(coming)
        counted = _statistics(
            corpus, [segments[at] for at in missing], [wanted[at] for at in missing]
        )
        for at, row in zip(missing, counted, strict=True):
            yield Scored(at, canonical([int(x) for x in row]))

    found = inputs.cache.values(len(cases), keys, compute)
    rows = np.array([json.loads(value or b"") for value in found], dtype=np.float64)
    statistics = np.zeros((n, rows.shape[1]))
    statistics[cases] = rows
    values = np.full(n, np.nan)
    values[cases] = [_score(sentence, row) for row in rows]
    aggregate = Corpus(statistics, lambda sums: _score(corpus, sums))
    return Measured(values, inputs.answered, aggregate)


def _score(metric: Any, sums: FloatArray) -> float:
    return float(metric._compute_score_from_stats([int(x) for x in sums]).score)


def _statistics(corpus: Any, segments: list[list[str]], wanted: list[list[str]]) -> FloatArray:
    """Statistics of each case, float64[n, p], summed over its segments."""
    owners = [at for at, own in enumerate(segments) for _ in own]
    depth = max(map(len, wanted))
    streams = [
        [wanted[at][k] if k < len(wanted[at]) else None for at in owners] for k in range(depth)
    ]
    flat = [text for own in segments for text in own]
    counted = np.array(corpus._extract_corpus_statistics(flat, streams), dtype=np.float64)
    sums = np.zeros((len(segments), counted.shape[1]))
    np.add.at(sums, np.array(owners), counted)
    return sums
