"""Scores: records -> extraction -> a metric's value for every case."""

from evalc.score.cells import CellRecords, Kind
from evalc.score.columns import Column, Corpus, Mean, Ratio
from evalc.score.extract import INVALID
from evalc.score.metrics import METRICS, parse_metric
from evalc.score.scores import CellScores, needs_code_execution, score_cell
from evalc.score.scoring import CodeSettings, Extract, Scoring, column_name

__all__ = [
    "INVALID",
    "METRICS",
    "CellRecords",
    "CellScores",
    "CodeSettings",
    "Column",
    "Corpus",
    "Extract",
    "Kind",
    "Mean",
    "Ratio",
    "Scoring",
    "column_name",
    "needs_code_execution",
    "parse_metric",
    "score_cell",
]
