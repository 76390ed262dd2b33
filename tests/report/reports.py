"""The reports that the tests of this room render and compare."""

from __future__ import annotations

import math
from typing import Any

from cell_builders import choice_cell, generate_cell, perplexity_cell

from evalc.report import Report, build_report
from evalc.score import Extract, Scoring, score_cell

NAN = math.nan
PLAN = {
    "total": {"requests": 24, "deduped": 4, "cached": 18, "to_run": 2},
    "cells": [],
}
RUN = {
    "name": "2026-01-31-1",
    "asked": 18,
    "seconds": 12.5,
    "predicted_seconds": 11.0,
    "prefill_tokens": 600,
    "prefill_tokens_unshared": 1000,
    "decode_tokens": 64,
    "usd": 0.01,
}
SCORING = Scoring(
    ("exact_match",), {"strict": Extract(regex=r"#### (\d+)"), "last": Extract(regex=r"\d+")}
)


def quiz(right: list[int], *, model: str = "base", missing: int = 0, **others: Any) -> Any:
    """A two-choice task; case i is right where right[i] is 1; the last `missing` lack a record."""
    logs = [[-1.0, -2.0] if r else [-2.0, -1.0] for r in right] + [[NAN, -1.0]] * missing
    cell = choice_cell(logs, [0] * len(logs), model=model, **others)
    return score_cell(cell, Scoring(("acc", "likelihood_diff")))


def answers(texts: list[str], *, model: str = "base") -> Any:
    """A generation task with two extractions; the target is always 7."""
    cell = generate_cell([[text] for text in texts], ["7"] * len(texts), model=model)
    return score_cell(cell, SCORING)


def texts(*, model: str = "base", scale: float = 1.0) -> Any:
    """A perplexity task."""
    windows = [[-10.0 * scale, -20.0 * scale], [-6.0 * scale]]
    cell = perplexity_cell(windows, [10, 2], [50, 10])
    return score_cell(cell, Scoring(("word_perplexity",)))


def full_report(**others: Any) -> Report:
    """Three kinds of task, one incomplete, one sampled, one sliced."""
    kinds = ["odd", "even", "odd", "even", "odd", "even"]
    cells = [
        quiz([1, 0, 1, 1], missing=2, slices={"parity": kinds}),
        answers(["#### 7", "it is 7", "8"]),
        texts(),
        quiz([1, 1], model="tuned", task="sampled", population=10_042),
    ]
    return build_report(cells, tier="smoke", plan=PLAN, runs=[RUN], **others)


def condition(key: str = "min", **others: Any) -> dict[str, Any]:
    """A condition that passed early."""
    found: dict[str, Any] = {
        "key": key,
        "scope": "value",
        "bound": 0.4,
        "state": "pass",
        "basis": "evidence",
        "value": 0.5,
        "low": 0.45,
        "high": 0.55,
        "seen": 120,
        "total": 500,
        "looks": 4,
    }
    return {**found, **others}


def gate(name: str, state: str = "pass", *, needed: bool = True, **others: Any) -> Any:
    """A gate on the quiz of `base`, with one condition in its state unless others are given."""
    found: dict[str, Any] = {
        "gate": name,
        "model": "base",
        "task": "quiz",
        "metric": "acc",
        "baseline": None,
        "state": state,
        "basis": "none" if state == "inconclusive" else "evidence",
        "alpha": 0.05,
        "error": 0.05,
        "needed": needed,
        "why": None,
        "conditions": [condition(state=state)],
    }
    return {**found, **others}


def change(**others: Any) -> Any:
    """A change against a baseline."""
    found: dict[str, Any] = {
        "difference": -0.0125,
        "low": -0.0301,
        "high": 0.0051,
        "better": 3,
        "worse": 7,
        "compared": 120,
        "total": 500,
        "p": None,
    }
    return {**found, **others}


def judged_report(**others: Any) -> Report:
    """Every verdict, one against a baseline, over a task that stopped early."""
    drop = condition("max_drop", bound=0.48, state="fail")
    gates = [
        gate("floor"),
        gate("drop", "fail", baseline="main", conditions=[drop], change=change()),
        gate("open", "inconclusive"),
        gate("soft", "inconclusive", needed=False, conditions=[], why="nothing was asked"),
    ]
    cell = quiz([1, 0, 1, 1], missing=2)
    plan = {"total": {"requests": 24, "deduped": 4, "cached": 18, "to_run": 2}}
    run = {**RUN, "asked": 12, "models": [{"name": "base", "device": "cuda"}]}
    ended: Any = {("base", "quiz"): "decided"}
    return build_report([cell], tier="smoke", plan=plan, runs=[run], gates=gates, ended=ended,
                        **others)  # fmt: skip
