"""What scores of other models are worth to a gate that has no baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from populations import GUIDES, asked, family, floor, guides

SIZE = 3_000
OTHERS = 4


@dataclass(frozen=True)
class Gain:
    """The mean share of cases until a bound 2 points below is passed, and of runs in which a
    bound half a case above the truth was."""

    kind: str
    share: float
    wrong: float


def gains(runs: int) -> list[Gain]:
    """`runs` families of models for each way to use the others."""
    found = []
    for kind in GUIDES:
        shares, wrong = [], 0
        for seed in range(runs):
            models = family(SIZE, 0.6, OTHERS + 1, np.random.default_rng(seed))
            bound = float(models[0].mean()) - 0.02
            done = asked(floor(SIZE, bound, guides(models[1:])[kind]), models[0])
            shares.append(done.seen / SIZE)
            small = family(164, 0.75, OTHERS + 1, np.random.default_rng([1, seed]))
            above = float(small[0].mean()) + 0.5 / 164
            done = asked(floor(164, above, guides(small[1:])[kind]), small[0])
            wrong += done.verdict.state == "pass"
        found.append(Gain(kind, float(np.mean(shares)), wrong / runs))
    return found
