"""BLEU and chrF: sacrebleu's statistics and formulas, over a corpus of cases.

Every repeat of a case is a segment. An answer that was not found is an empty segment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evalc.score.answers import is_valid
from evalc.score.cells import FloatArray
from evalc.score.columns import Corpus, Measured
from evalc.score.metrics.inputs import Inputs


def bleu(inputs: Inputs, _: int) -> Measured:
    """Corpus BLEU, 0..100, sacrebleu's defaults (13a tokens, exponential smoothing, mixed case).

    A single case's value has effective order, as sacrebleu's sentence BLEU.
    """
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415  heavy, and only tasks with BLEU need it

    return _corpus(inputs, BLEU(), BLEU(effective_order=True))


def chrf(inputs: Inputs, _: int) -> Measured:
    """Corpus chrF2, 0..100, sacrebleu's defaults (character 6-grams, no words, beta 2)."""
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415  heavy, and only tasks with chrF need it

    return _corpus(inputs, CHRF(), CHRF())


def _corpus(inputs: Inputs, corpus: Any, sentence: Any) -> Measured:
    hypotheses, owners, wanted = [], [], []
    for case, answers in enumerate(inputs.answers):
        for answer in answers:
            hypotheses.append(answer if is_valid(answer) else "")
            owners.append(case)
            wanted.append(inputs.references[case])
    n = len(inputs.cell)
    if not hypotheses:
        return Measured(np.full(n, np.nan), inputs.answered, Corpus(np.zeros((n, 1)), float))
    depth = max(map(len, wanted))
    streams = [[texts[k] if k < len(texts) else None for texts in wanted] for k in range(depth)]
    segments = np.array(corpus._extract_corpus_statistics(hypotheses, streams), dtype=np.float64)
    statistics = np.zeros((n, segments.shape[1]))
    np.add.at(statistics, np.array(owners), segments)

    def score(metric: Any, sums: FloatArray) -> float:
        return float(metric._compute_score_from_stats([int(x) for x in sums]).score)

    values = [
        score(sentence, row) if answered else np.nan
        for row, answered in zip(statistics, inputs.answered, strict=True)
    ]
    return Measured(
        np.array(values, dtype=np.float64),
        inputs.answered,
        Corpus(statistics, lambda sums: score(corpus, sums)),
    )
