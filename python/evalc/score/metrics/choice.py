"""Metrics of multiple choice: which choice does the model find likeliest?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from evalc.score.cells import CellRecords, FloatArray, IntArray
from evalc.score.columns import Mean, Measured
from evalc.score.faults import fault
from evalc.score.metrics.inputs import Inputs


def picks(cell: CellRecords, scale: npt.NDArray[np.uint32] | None = None) -> IntArray:
    """int64[n]: the choice with the highest log-likelihood, divided by its `scale` if given.

    Ties go to the first; -1 where a record is missing. A scale of 0 counts as 1.
    """
    weighed = cell.loglik if scale is None else cell.loglik / np.maximum(scale, 1)
    answered = cell.answered()
    chosen = np.full(len(cell), -1, dtype=np.int64)
    for cases, requests in cell.by_size():
        whole = answered[cases]
        chosen[cases[whole]] = weighed[requests[whole]].argmax(axis=1)
    return chosen


SCALES: dict[str, Callable[[CellRecords], npt.NDArray[np.uint32] | None]] = {
    "acc": lambda _: None,
    "acc_norm": lambda cell: cell.choice_texts_chars,
    "acc_bytes": lambda cell: cell.choice_bytes,
}
"""What each metric that picks a choice divides log-likelihoods by."""


def picks_of(cell: CellRecords, metrics: Iterable[str]) -> dict[str, IntArray]:
    """The choice that each of these metrics picks, of those that pick one."""
    return {name: picks(cell, SCALES[name](cell)) for name in metrics if name in SCALES}


def _accuracy(inputs: Inputs, chosen: IntArray) -> Measured:
    present = chosen >= 0
    values = np.full(len(inputs.cell), np.nan)
    requests = inputs.cell.starts[present] + chosen[present]
    values[present] = inputs.right[requests].astype(np.float64)
    return Measured(values, present, Mean())


def acc(inputs: Inputs, _: int) -> Measured:
    """1 if the likeliest choice is right."""
    return _accuracy(inputs, picks(inputs.cell))


def acc_norm(inputs: Inputs, _: int) -> Measured:
    """`acc` by log-likelihood per character of the choice, as the reference harness does."""
    return _accuracy(inputs, picks(inputs.cell, inputs.cell.choice_texts_chars))


def acc_bytes(inputs: Inputs, _: int) -> Measured:
    """`acc` by log-likelihood per UTF-8 byte of the choice."""
    return _accuracy(inputs, picks(inputs.cell, inputs.cell.choice_bytes))


def mc2(inputs: Inputs, _: int) -> Measured:
    """The probability on the right choices, normalised over all (TruthfulQA, Lin et al. 2022)."""
    cell, present = inputs.cell, inputs.answered
    values = np.full(len(cell), np.nan)
    for cases, requests in cell.by_size():
        logs = cell.loglik[requests]
        mass = np.exp(logs - logs.max(axis=1, keepdims=True))
        values[cases] = (mass * inputs.right[requests]).sum(axis=1) / mass.sum(axis=1)
    return Measured(np.where(present, values, np.nan), present, Mean())


def likelihood_diff(inputs: Inputs, _: int) -> Measured:
    """|loglik(first) - loglik(second)| of two choices (CrowS-Pairs, Nangia et al. 2020)."""
    cell, present = inputs.cell, inputs.answered
    others = np.flatnonzero(cell.sizes != 2)
    if others.size:
        raise fault(
            "unfit-metric",
            f"`likelihood_diff` compares two choices, but case `{cell.case_ids[others[0]]}` of "
            f"task `{cell.task}` has {cell.sizes[others[0]]}",
            hint="remove the metric from the task, or give every case two choices",
        )
    pairs: FloatArray = cell.loglik.reshape(-1, 2)
    return Measured(np.abs(pairs[:, 0] - pairs[:, 1]), present, Mean())
