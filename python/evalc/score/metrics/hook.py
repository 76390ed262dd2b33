"""Metrics that are the user's own functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evalc.diagnostics import Diagnostic
from evalc.score.answers import case_of
from evalc.score.cells import CaseDict
from evalc.score.columns import Mean, Measured
from evalc.score.faults import faults
from evalc.score.hooks import HookError, load_hook
from evalc.score.metrics.inputs import Inputs


def hook_metric(inputs: Inputs, name: str) -> Measured:
    """The hook's value for every answered case. Raises `Faults` naming the cases it fails on."""
    hook = load_hook(name, inputs.root or Path())
    values = np.full(len(inputs.cell), np.nan)
    failures: list[Diagnostic] = []
    for case in np.flatnonzero(inputs.answered).tolist():
        try:
            values[case] = hook.value(_view(inputs, case))
        except HookError as error:
            failures.append(error.diagnostic)
    if failures:
        raise faults(failures)
    return Measured(values, inputs.answered, Mean())


def _view(inputs: Inputs, case: int) -> CaseDict:
    cell = inputs.cell
    view = case_of(cell, case)
    if cell.kind == "generate":
        view["texts"] = cell.texts_of(case)
        view["extracted"] = list(inputs.answers[case])
    else:
        own = slice(int(cell.offsets[case]), int(cell.offsets[case + 1]))
        view["logliks"] = cell.loglik[own].tolist()
    return view
