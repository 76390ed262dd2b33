"""Running a pack of log-likelihood requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalc.contract.outcomes import Outcomes, likelihood_payload
from evalc.contract.packs import PackColumns
from evalc.exec.answer.rowwise import score_rows
from evalc.exec.answer.treewise import score_tree
from evalc.exec.layout.forest import Targets
from evalc.exec.passes.engine import Engine
from evalc.exec.passes.scores import Scores


def run_loglikelihoods(engine: Engine, columns: PackColumns) -> Outcomes:
    """Score every request of a pack; a non-finite score is a failure, never a record."""
    outcomes = Outcomes()
    fitting = []
    for request in range(len(columns)):
        node = columns.req_node[request]
        size = columns.node_offsets[node + 1] - columns.node_offsets[node]
        length = int(columns.node_start[node] + size)
        if length - 1 > engine.max_length:
            outcomes.failures[request] = (
                f"its {length} tokens exceed the model's length of {engine.max_length}"
            )
        else:
            fitting.append(request)
    if fitting:
        scores = Scores(engine.forward, Targets.of(columns, fitting))
        if engine.capability.path == "tree":
            score_tree(engine, columns, fitting, scores)
        else:
            score_rows(engine, columns, fitting, scores)
        _settle(scores, fitting, outcomes)
    return outcomes


def _settle(scores: Scores, members: Sequence[int], outcomes: Outcomes) -> None:
    """A payload or a failure for each of `members`."""
    owners, values = scores.targets.owners, scores.values
    edges = np.searchsorted(owners, [*members, members[-1] + 1])
    for request, first, last in zip(members, edges[:-1], edges[1:], strict=True):
        if request in scores.failures:
            outcomes.failures[request] = scores.failures[request]
            continue
        total = float(values[first:last].sum())
        if np.isfinite(total):
            greedy = bool(scores.greedy[first:last].all())
            outcomes.payloads[request] = likelihood_payload(total, greedy, int(last - first))
        else:
            outcomes.failures[request] = "the model gave a NaN or infinite logit"
