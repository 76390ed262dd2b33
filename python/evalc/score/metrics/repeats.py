"""Metrics over repeats: one case asked n times with sampling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from evalc.score.answers import is_valid
from evalc.score.columns import Mean, Measured
from evalc.score.faults import fault
from evalc.score.metrics.inputs import Inputs
from evalc.score.metrics.text import each_answer

Estimate = Callable[[int, int, int], float]
"""From the numbers of answers, of right ones, and k."""


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The unbiased estimate 1 - C(n - correct, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374).

    Needs 1 <= k <= n.
    """
    if n - correct < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - correct + 1, n + 1)))


def pass_all_k(n: int, correct: int, k: int) -> float:
    """pass^k, that k answers are all right: the unbiased estimate C(correct, k) / C(n, k).

    As in tau-bench (Yao et al. 2024, arXiv 2406.12045). Needs 1 <= k <= n.
    """
    return 1.0 - pass_at_k(n, n - correct, k)


def over_repeats(
    inputs: Inputs, scores: Sequence[Sequence[float]], k: int, estimate: Estimate = pass_at_k
) -> Measured:
    """The `estimate` of 0/1 scores per repeat; a case without scores is absent."""
    values = [estimate(len(own), int(sum(own)), k) if own else np.nan for own in scores]
    return Measured(np.array(values, dtype=np.float64), inputs.answered, Mean())


def need_repeats(inputs: Inputs, metric: str, k: int) -> None:
    """Raise `Faults` (`too-few-repeats`) unless every case was asked at least k times."""
    sizes = inputs.cell.sizes
    fewest = int(sizes.min()) if sizes.size else k
    if fewest < k:
        raise fault(
            "too-few-repeats",
            f"`{metric}{k}` of task `{inputs.cell.task}` needs {k} answers a case, but there "
            f"{'is' if fewest == 1 else 'are'} {fewest}",
            hint=f"set `generate.repeats` to at least {k} and `generate.temperature` above 0",
        )


def pass_k(inputs: Inputs, k: int) -> Measured:
    """pass@k with `exact_match` as correctness."""
    need_repeats(inputs, "pass@", k)
    return over_repeats(inputs, _right(inputs), k)


def pass_every_k(inputs: Inputs, k: int) -> Measured:
    """pass^k with `exact_match` as correctness."""
    need_repeats(inputs, "pass^", k)
    return over_repeats(inputs, _right(inputs), k, pass_all_k)


def _right(inputs: Inputs) -> list[list[float]]:
    return each_answer(inputs, lambda answer, wanted: float(answer in wanted))


def majority_k(inputs: Inputs, k: int) -> Measured:
    """1 if the commonest answer of the first k repeats is right.

    Ties go to the answer given first; answers that were not found vote together, and are wrong
    when they win (self-consistency, Wang et al. 2022, as in the reference harness).
    """
    need_repeats(inputs, "maj@", k)
    values = np.full(len(inputs.cell), np.nan)
    for case, answers in enumerate(inputs.answers):
        if answers:
            winner = Counter(answers[:k]).most_common(1)[0][0]
            values[case] = float(is_valid(winner) and winner in inputs.references[case])
    return Measured(values, inputs.answered, Mean())
