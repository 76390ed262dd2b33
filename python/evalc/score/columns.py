"""A column: one metric's value for every case of a cell, and how cases combine into one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evalc.score.cells import BoolArray, FloatArray

Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Mean:
    """The value over cases is the mean of their values."""


@dataclass(frozen=True)
class Ratio:
    """The value over cases is sum(numerator) / sum(denominator), or its exponential.

    Both are float64[n]; entries of absent cases are not read.
    """

    numerator: FloatArray
    denominator: FloatArray
    exponential: bool


@dataclass(frozen=True)
class Corpus:
    """The value over cases is `combine` of their summed `statistics`, float64[n, p]."""

    statistics: FloatArray
    combine: Callable[[FloatArray], float]


Aggregate = Mean | Ratio | Corpus


@dataclass(frozen=True)
class Measured:
    """What a metric computes: values float64[n], and present bool[n]: does the case count?

    A present value may be NaN when a single case has none of its own but still enters a `Ratio`
    or a `Corpus`.
    """

    values: FloatArray
    present: BoolArray
    aggregate: Aggregate


@dataclass(frozen=True)
class Column:
    """A measured metric with its name (see `scoring.column_name`) and its nature.

    `binary`: every present value is 0 or 1. `direction`: which way is better.
    """

    name: str
    metric: str
    extract: str
    values: FloatArray
    present: BoolArray
    aggregate: Aggregate
    binary: bool
    direction: Direction
