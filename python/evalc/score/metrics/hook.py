"""Metrics that are the user's own functions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from evalc.diagnostics import Diagnostic
from evalc.score.answers import case_of
from evalc.score.cache import Scored
from evalc.score.cells import CaseDict
from evalc.score.columns import Mean, Measured
from evalc.score.faults import faults
from evalc.score.hooks import HookError, load_hook
from evalc.score.keys import canonical
from evalc.score.metrics.inputs import Inputs
from evalc.score.scorers import hook_scorer

SOURCES = ("hooks.py", "metrics/hook.py")
"""What of this room takes part in a hook's value."""


def hook_metric(inputs: Inputs, name: str) -> Measured:
    """The hook's value for every answered case; it is imported and called for those only whose
    value is not kept. Raises `Faults` naming the cases it fails on."""
    cases = np.flatnonzero(inputs.answered).tolist()
    failures: list[Diagnostic] = []

    def keys() -> list[bytes]:
        scorer = hook_scorer("metric", name, inputs.root, SOURCES)
        views = ((_said(inputs, case), case_of(inputs.cell, case)) for case in cases)
        return [scorer.key(canonical(said), canonical(case)) for said, case in views]

    def compute(missing: list[int]) -> Iterator[Scored]:
        hook = load_hook(name, inputs.root)
        for at in missing:
            view = {**case_of(inputs.cell, cases[at]), **_said(inputs, cases[at])}
            try:
                yield Scored(at, canonical(hook.value(view)))
            except HookError as error:
                failures.append(error.diagnostic)

    found = inputs.cache.values(len(cases), keys, compute)
    if failures:
        raise faults(failures)
    values = np.full(len(inputs.cell), np.nan)
    values[cases] = [json.loads(value) for value in found if value is not None]
    return Measured(values, inputs.answered, Mean())


def _said(inputs: Inputs, case: int) -> CaseDict:
    """What the model said to the case, as the hook sees it."""
    cell = inputs.cell
    if cell.kind == "generate":
        return {"texts": cell.texts_of(case), "extracted": list(inputs.answers[case])}
    own = slice(int(cell.offsets[case]), int(cell.offsets[case + 1]))
    return {"logliks": cell.loglik[own].tolist()}
