"""Units: what a decision draws and weighs, in the one order that every budget is a prefix of.

A unit is a case, or a cluster of cases, which runs whole. Its weight a_u is its share of the
benchmark's value, sum a_u v_u = theta: equal for every case under a micro average; under a macro
average equal for every group, and within a group for every case.

The order is ascending -ln(U_u) / a_u with U_u uniform, a hash of the unit's name: units are drawn
without replacement, each with a probability in proportion to its weight among those that remain
(Efraimidis and Spirakis 2006). Another unit coming or going leaves the others' order alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalc import _core
from evalc.decide.estimates import cluster_codes
from evalc.score.cells import FloatArray, IntArray

KEY_BYTES = 16
EQUAL = 1e-12
"""Weights closer than this, relatively, are equal."""


@dataclass(frozen=True)
class Units:
    """The u units of n cases, in order.

    `weights` float64[u] sum to 1. Unit k owns the cases `members[starts[k]:starts[k + 1]]`, and
    case `members[i]` counts `shares[i]` of its unit's value; shares of a unit sum to 1.
    """

    weights: FloatArray
    members: IntArray
    starts: IntArray
    shares: FloatArray

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def of(
        cls,
        cases: Sequence[str],
        clusters: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Units:
        """Units of the cases with these ids; `clusters` run whole, `groups` weigh equally."""
        names, owner = _named(cases if clusters is None else clusters)
        weight = _case_weights(len(cases), groups)
        weights = np.bincount(owner, weights=weight, minlength=len(names)).astype(np.float64)
        order = _order(names, weights, seed)
        place = np.empty(len(names), dtype=np.int64)
        place[order] = np.arange(len(names))
        members = np.argsort(place[owner], kind="stable")
        counts = np.bincount(place[owner], minlength=len(names))
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        ordered: FloatArray = weights[order]
        shares = weight[members] / np.repeat(ordered, counts)
        return cls(ordered, members, starts, shares)

    def values(self, scores: FloatArray, first: int = 0, last: int | None = None) -> FloatArray:
        """float64[last - first]: the value of each unit from the scores of all n cases."""
        last = len(self) if last is None else last
        if first == last:
            return np.zeros(0)
        begin, end = int(self.starts[first]), int(self.starts[last])
        weighted = scores[self.members[begin:end]] * self.shares[begin:end]
        found: FloatArray = np.add.reduceat(weighted, self.starts[first:last] - begin)
        return found

    def cases(self, first: int, last: int) -> IntArray:
        """The cases of the units from `first` up to `last`."""
        return self.members[self.starts[first] : self.starts[last]]


def _named(names: Sequence[str]) -> tuple[list[str], IntArray]:
    codes = cluster_codes(names)
    assert codes is not None
    return list(dict.fromkeys(names)), codes


def _case_weights(n: int, groups: Sequence[str] | None) -> FloatArray:
    codes = cluster_codes(groups)
    if codes is None:
        return np.full(n, 1.0 / n)
    sizes = np.bincount(codes)
    found: FloatArray = 1.0 / (len(sizes) * sizes[codes])
    return found


def _order(names: Sequence[str], weights: FloatArray, seed: int) -> IntArray:
    """At equal weights the planner's own order of tiers, in which no logarithm enters."""
    keys = np.frombuffer(_core.order_keys(seed, names), ">u8").reshape(-1, 2).astype(np.uint64)
    if weights.max() - weights.min() <= EQUAL * weights.max():
        return np.lexsort((keys[:, 1], keys[:, 0])).astype(np.int64)
    # the keys are the complement of the hash
    uniform = ((~keys[:, 0]).astype(np.float64) + 0.5) / 2.0**64
    return np.lexsort((keys[:, 1], keys[:, 0], -np.log(uniform) / weights)).astype(np.int64)
