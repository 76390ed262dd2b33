"""The records of one cell (a model under a task), as the columns that scoring reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["multiple_choice", "generate", "perplexity"]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
U32Array = npt.NDArray[np.uint32]
CaseDict = dict[str, Any]


def _u32() -> U32Array:
    return np.zeros(0, dtype=np.uint32)


def _f64() -> FloatArray:
    return np.zeros(0, dtype=np.float64)


def _bool() -> BoolArray:
    return np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True)
class CellRecords:
    """What a model answered to the n cases (m requests) of a task; missing records are visible.

    `targets[i]` is a JSON text: an index `3`, a text `"B"`, one 0/1 label per choice `[1,0,0]`, a
    list of acceptable texts `["a","b"]`, or `null`. Case i owns requests offsets[i]:offsets[i+1]:
    its choices, its windows (perplexity) or its repeats (generate).

    Columns a kind does not use may stay empty. `choice_texts_chars` and `choice_bytes` measure a
    choice without its delimiter; `loglik` is a sum of natural logs, NaN where there is no record;
    `texts` has None there. `slices` maps a slice's name to one value per case. `row(i)` is lazy:
    {"row": ..., "prompt": ..., "choices": [...], "target": ...}. `population` is the number of
    cases the task has without a tier's budget, when known. `cut_off` counts the cases with an
    answer that ended at `max_new_tokens`.
    """

    model: str
    task: str
    kind: Kind
    case_ids: list[str]
    targets: list[str]
    offsets: U32Array
    row: Callable[[int], CaseDict]
    choice_texts_chars: U32Array = field(default_factory=_u32)
    choice_bytes: U32Array = field(default_factory=_u32)
    cont_tokens: U32Array = field(default_factory=_u32)
    loglik: FloatArray = field(default_factory=_f64)
    greedy: BoolArray = field(default_factory=_bool)
    texts: list[str | None] = field(default_factory=list)
    text_words: U32Array = field(default_factory=_u32)
    text_bytes: U32Array = field(default_factory=_u32)
    clusters: list[str] | None = None
    slices: dict[str, list[str]] = field(default_factory=dict)
    population: int | None = None
    cut_off: int = 0

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def starts(self) -> IntArray:
        """int64[n]: the first request of each case."""
        return self.offsets[:-1].astype(np.int64)

    @property
    def sizes(self) -> IntArray:
        """int64[n]: the number of requests of each case."""
        ends: IntArray = self.offsets[1:].astype(np.int64)
        return ends - self.starts

    @property
    def owners(self) -> IntArray:
        """int64[m]: the case each request belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.sizes)

    def sums(self, column: npt.NDArray[Any]) -> FloatArray:
        """float64[n]: a request column summed per case (NaN spreads)."""
        weights = column.astype(np.float64)
        return np.bincount(self.owners, weights=weights, minlength=len(self)).astype(np.float64)

    def by_size(self) -> Iterator[tuple[IntArray, IntArray]]:
        """Cases grouped by their number s > 0 of requests: cases int64[g], requests int64[g, s]."""
        sizes, starts = self.sizes, self.starts
        for size in np.unique(sizes):
            if size:
                cases = np.flatnonzero(sizes == size)
                yield cases, starts[cases][:, None] + np.arange(size)

    def answered(self) -> BoolArray:
        """bool[n]: every request of the case has its record (and it has at least one)."""
        if self.kind == "generate":
            missing = np.fromiter((text is None for text in self.texts), bool, len(self.texts))
        else:
            missing = np.isnan(self.loglik)
        whole = np.bincount(self.owners[missing], minlength=len(self)) == 0
        found: BoolArray = whole & (self.sizes > 0)
        return found

    def texts_of(self, case: int) -> list[str]:
        """The generated texts of an answered case, in the order of its repeats."""
        own = self.texts[int(self.offsets[case]) : int(self.offsets[case + 1])]
        return [text for text in own if text is not None]
