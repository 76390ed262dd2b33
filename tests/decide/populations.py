"""Finite populations with a known truth, and runs through them by rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalc.decide.betting import Evidence
from evalc.decide.predictors import Known, Predictor, predictor_of
from evalc.decide.rounds import next_round
from evalc.decide.trials import Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast
from evalc.score.columns import Column, Mean

Values = npt.NDArray[np.float64]
ALPHA = 0.05
WAVE = 32
PREDICTORS = ("none", "good", "opposite")
GUIDES = ("none", "one", "mean", "ridge")
WEIGHTS = ("equal", "macro", "clusters", "both")


@dataclass(frozen=True)
class Population:
    """Units in the order of a run: weights, values, and what is predicted of them."""

    weights: Values
    values: Values
    predicted: Values | None

    @property
    def truth(self) -> float:
        """What the full run would print."""
        return float(self.weights @ self.values)


def binary(size: int, share: float, draw: np.random.Generator) -> Values:
    """0/1 values of which exactly a share is 1, shuffled."""
    values = np.zeros(size)
    values[: round(share * size)] = 1.0
    draw.shuffle(values)
    return values


def flipped(values: Values, flips: int, drop: int, draw: np.random.Generator) -> Values:
    """Another model's values: `flips` differ, and `drop` fewer are 1."""
    found = values.copy()
    fell = (flips + drop) // 2
    found[draw.choice(np.flatnonzero(values == 1), fell, replace=False)] = 0.0
    found[draw.choice(np.flatnonzero(values == 0), flips - fell, replace=False)] = 1.0
    return found


def predictions(kind: str, values: Values, draw: np.random.Generator) -> Values | None:
    """A predictor: of no use, right in 95 % of units, or wrong in 90 %."""
    if kind == "none":
        return None
    wrong = draw.random(len(values)) < {"good": 0.05, "opposite": 0.9}[kind]
    return np.where(wrong, 1.0 - values, values)


def grouped(
    size: int, share: float, kind: str, draw: np.random.Generator, weights: str = "both"
) -> Population:
    """Cases in clusters of 1 to 5, or in 6 groups that weigh equally, in the order of `Units`."""
    cases = [f"case {draw.integers(1 << 60)}" for _ in range(size)]
    clusters = [f"cluster {i // 3 if i % 7 else i // 5}" for i in range(size)]
    groups = [str(int(code)) for code in draw.geometric(0.4, size).clip(1, 6)]
    scores = binary(size, share, draw)
    units = Units.of(
        cases,
        clusters if weights in {"clusters", "both"} else None,
        groups if weights in {"macro", "both"} else None,
        seed=int(draw.integers(1 << 60)),
    )
    guessed = predictions(kind, scores, draw)
    predicted = None if guessed is None else units.values(guessed)
    return Population(units.weights, units.values(scores), predicted)


def plain(size: int, share: float, kind: str, draw: np.random.Generator) -> Population:
    """Cases of equal weight in random order."""
    scores = binary(size, share, draw)
    return Population(np.full(size, 1.0 / size), scores, predictions(kind, scores, draw))


def weighed(
    weights: str, size: int, share: float, kind: str, draw: np.random.Generator
) -> Population:
    """A population of one of `WEIGHTS`."""
    if weights == "equal":
        return plain(size, share, kind, draw)
    return grouped(size, share, kind, draw, weights)


def column(values: Values) -> Column:
    """A metric's values of all cases."""
    present = np.ones(len(values), dtype=np.bool_)
    return Column("m", "m", "", values, present, Mean(), True, "higher")


def floor(size: int, bound: float, predictor: Predictor | None) -> Trial:
    """A trial of a floor on cases that are in their order already, as `family` draws them."""
    units = Units(np.full(size, 1 / size), np.arange(size), np.arange(size + 1), np.ones(size))
    return Trial(
        AtLeast(bound),
        units,
        np.arange(size),
        alpha=ALPHA,
        gates=1,
        budget=size,
        predictor=predictor,
    )


def guides(others: Values) -> dict[str, Predictor | None]:
    """Every way to use the scores of other models, by its name in `GUIDES`."""
    ways = (
        None,
        predictor_of(list(others[:1]), leading=False),
        Known(others.mean(axis=0)),
        predictor_of(list(others), leading=False),
    )
    return dict(zip(GUIDES, ways, strict=True))


def asked(trial: Trial, values: Values) -> Trial:
    """Answer what a trial wants until it wants nothing more; values are of all cases."""
    answered = np.zeros(len(values), dtype=np.bool_)
    while len(wanted := trial.wanted()):
        answered[wanted] = True
        trial.follow(column(values), answered)
    return trial


def run(
    population: Population,
    look: Callable[[Evidence], bool],
    wave: int = WAVE,
    most: int | None = None,
    margin: float = 0.0,
) -> Evidence:
    """Feed rounds until `look` says that it has seen enough, or `most` units are seen."""
    evidence = Evidence(population.weights, margin)
    total = len(population.weights)
    most = total if most is None else most
    while evidence.seen < most:
        seen = evidence.seen
        size = min(most - seen, next_round(seen, total, wave))
        rest = None if population.predicted is None else population.predicted[seen:]
        evidence.add(population.values[seen : seen + size], rest)
        if look(evidence):
            break
    return evidence


def most_evidence(found: Population) -> tuple[float, float]:
    """Logs of the most evidence, at any unit before the last, that the truth is another value."""
    total = len(found.weights)
    evidence = run(found, lambda _: False, most=total - 1)
    return evidence.up(found.truth), evidence.down(found.truth)


def family(size: int, share: float, models: int, draw: np.random.Generator) -> Values:
    """0/1 values (models, size) of models that find the same cases hard, each with exactly a share
    right."""
    hardness = draw.normal(size=size)
    rows = []
    for _ in range(models):
        own = hardness + 0.7 * draw.normal(size=size)
        values = np.zeros(size)
        values[np.argsort(own)[: round(share * size)]] = 1.0
        rows.append(values)
    return np.stack(rows)
