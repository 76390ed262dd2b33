"""Scores: every metric of a task over the records of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evalc.hooks.limits import Limits
from evalc.score.answers import Answers
from evalc.score.cache import ScoreCache
from evalc.score.cells import CellRecords, IntArray
from evalc.score.columns import Column
from evalc.score.metrics import Inputs, Metric, parse_metric
from evalc.score.metrics.choice import picks, picks_of
from evalc.score.sandbox import Sandbox
from evalc.score.scoring import Scoring, column_name


@dataclass(frozen=True)
class CellScores:
    """A scored cell. `columns` by name, in the order of the spec.

    `picked` (multiple choice) is the likeliest choice, int64[n], -1 where a record is missing;
    `picks` has what each metric picks that picks one. `answers` (generate) has the
    extracted answers of each named extract.
    """

    cell: CellRecords
    scoring: Scoring
    columns: dict[str, Column]
    picked: IntArray | None
    answers: dict[str, Answers]
    picks: dict[str, IntArray] = field(default_factory=dict)


def score_cell(
    cell: CellRecords,
    scoring: Scoring,
    *,
    root: Path | None = None,
    allow_code_execution: bool = False,
    sandbox: Sandbox | None = None,
    cache: ScoreCache | None = None,
    extract_roots: Mapping[str, Path] | None = None,
    limits: Limits | None = None,
) -> CellScores:
    """Score a cell. Asks no model; raises `Faults` for what the spec or a hook has wrong.

    `root` is the folder of the spec, from which hooks are imported; `extract_roots` has others for
    those of named extracts (--set may have put them elsewhere). Without
    `allow_code_execution` a metric that has to run programs is refused; `sandbox` is where they
    run, None for the best there is. Values of expensive scorers come from `cache` and go there.
    Hooks may take what `limits` says.
    """
    names = scoring.extracts if cell.kind == "generate" else {"": None}
    metrics = [(name, parse_metric(name, cell.kind)) for name in scoring.metrics]
    kept = ScoreCache() if cache is None else cache
    subjects = [
        Inputs(
            cell,
            scoring,
            extract,
            root or Path(),
            (extract_roots or {}).get(extract, root or Path()),
            allow_code_execution,
            sandbox,
            kept,
            limits or Limits(),
        )
        for extract in names
    ]
    columns = {}
    for name, metric in metrics:
        for inputs in subjects:
            column = _column(name, metric, inputs)
            columns[column.name] = column
    return CellScores(
        cell,
        scoring,
        columns,
        picks(cell) if cell.kind == "multiple_choice" else None,
        {inputs.extract: inputs.answers for inputs in subjects if cell.kind == "generate"},
        picks_of(cell, columns) if cell.kind == "multiple_choice" else {},
    )


def _column(name: str, metric: Metric, inputs: Inputs) -> Column:
    measured = metric.compute(inputs, metric.k)
    present = measured.values[measured.present]
    binary = bool(np.isin(present, (0.0, 1.0)).all()) and metric.direction == "higher"
    return Column(
        name=column_name(name, inputs.extract),
        metric=name,
        extract=inputs.extract,
        values=np.where(measured.present, measured.values, np.nan),
        present=measured.present,
        aggregate=measured.aggregate,
        binary=binary,
        direction=metric.direction,
    )


def needs_code_execution(scoring: Scoring) -> bool:
    """Whether a metric of the task runs what the model wrote."""
    return any(metric.startswith(("code_pass@", "code_pass^")) for metric in scoring.metrics)
