"""What deciding costs by itself: the order of units, one look, one interval."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from populations import Population, binary, flipped, run

from evalc.decide.units import Units

TOTAL = 14_042
SEEN = (1_000, 3_000, 7_000, 14_000)
REPEATS = 7


def order_ms() -> float:
    """Milliseconds to order the ids of the largest benchmark."""
    ids = [f"case {case}" for case in range(TOTAL)]
    return _ms(lambda: Units.of(ids))


def look_ms() -> list[tuple[int, float, float]]:
    """Units seen, milliseconds of a gate's look at them, and of an interval."""
    draw = np.random.default_rng(0)
    before = binary(TOTAL, 0.6, draw)
    after = flipped(before, TOTAL // 20, 0, draw)
    found = Population(np.full(TOTAL, 1 / TOTAL), after, before)
    rows = []
    for seen in SEEN:
        evidence = run(found, lambda _: False, most=seen)
        gate = found.truth - 0.02
        look = _ms(lambda e=evidence, g=gate: (e.up(g), e.down(g)))
        rows.append((seen, look, _ms(lambda e=evidence: e.interval(0.05))))
    return rows


def exponent(first: tuple[float, float], last: tuple[float, float]) -> float:
    """Of milliseconds over units, between two points (units, milliseconds)."""
    return math.log(last[1] / first[1]) / math.log(last[0] / first[0])


def _ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.median(taken))
