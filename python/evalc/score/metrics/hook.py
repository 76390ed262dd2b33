"""Metrics that are the user's own functions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from evalc.hooks.crew import CREW
from evalc.hooks.limits import Failure
from evalc.hooks.values import Unfit, as_score
from evalc.score.answers import case_of
from evalc.score.cells import CaseDict
from evalc.score.columns import Mean, Measured
from evalc.score.hooks import Asked
from evalc.score.keys import canonical
from evalc.score.metrics.inputs import Inputs
from evalc.score.scorers import hook_scorer


def hook_metric(inputs: Inputs, name: str) -> Measured:
    """The hook's value for every answered case; it is imported and called for those only whose
    value is not kept. Raises `Faults` naming the cases it fails on."""
    cases = np.flatnonzero(inputs.answered).tolist()
    ids = [inputs.cell.case_ids[case] for case in cases]

    def halves(at: int) -> tuple[bytes, bytes]:
        case, said = case_of(inputs.cell, cases[at]), _said(inputs, cases[at])
        return canonical(case), canonical(said)

    asked = Asked(name, inputs.root, "case", ids, halves, inputs.limits)

    def keys() -> Iterator[bytes]:
        scorer = hook_scorer("metric", name, inputs.root)
        return (scorer.key(said, case) for case, said in map(asked.seen, range(len(cases))))

    found = inputs.cache.values(len(cases), keys, asked.values, CREW.expect)
    scores = [
        np.nan if value is None else _kept(asked, at, value) for at, value in enumerate(found)
    ]
    asked.check()
    values = np.full(len(inputs.cell), np.nan)
    values[cases] = scores
    return Measured(values, inputs.answered, Mean())


def _kept(asked: Asked, at: int, value: bytes) -> float:
    """A value of the store, which an earlier evalc may have taken without a look."""
    try:
        return as_score(json.loads(value.decode()))
    except Unfit as unfit:
        asked.failed(at, Failure(str(unfit)))
        return np.nan


def _said(inputs: Inputs, case: int) -> CaseDict:
    """What the model said to the case, as the hook sees it."""
    cell = inputs.cell
    if cell.kind == "generate":
        return {"texts": cell.texts_of(case), "extracted": list(inputs.answers[case])}
    own = slice(int(cell.offsets[case]), int(cell.offsets[case + 1]))
    return {"logliks": cell.loglik[own].tolist()}
