"""Races: which of several is best, with a bounded probability of being wrong, and at what cost."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from populations import binary, flipped

from evalc.decide.races import GROWTH, WAVE, RaceTrial
from evalc.decide.racing import Race
from evalc.decide.units import Units
from evalc.score.columns import Column, Mean

SIMULATIONS = int(os.environ.get("EVALC_SIMULATIONS", "200"))
Values = npt.NDArray[np.float64]


def column(values: Values, direction: str = "higher") -> Column:
    return Column(
        name="acc",
        metric="acc",
        extract="",
        values=values,
        present=np.isfinite(values),
        binary=True,
        direction=direction,  # type: ignore[arg-type]
        aggregate=Mean(),
    )


def cases(count: int) -> list[str]:
    return [f"c{n}" for n in range(count)]


def trial(models: Sequence[str], count: int, budget: int | None = None) -> RaceTrial:
    return RaceTrial(
        models, Units.of(cases(count)), alpha=0.05, budget=count if budget is None else budget
    )


def run(race: RaceTrial, values: Mapping[str, Values], direction: str = "higher") -> dict[str, int]:
    """Ask the candidates in turns until nothing more is wanted; tells how many each answered."""
    answered = {name: np.zeros(len(v), dtype=np.bool_) for name, v in values.items()}
    more = True
    while more:
        more = False
        for name in values:
            wanted = race.wanted(name)
            more = more or not answered[name][wanted].all()
            answered[name][wanted] = True
            columns = {
                each: column(np.where(answered[each], v, np.nan), direction)
                for each, v in values.items()
            }
            race.follow(columns, answered)
    assert not race.unfinished()
    return {name: int(own.sum()) for name, own in answered.items()}


def test_the_one_that_is_clearly_best_wins_early_and_the_others_end_where_they_lose() -> None:
    draw = np.random.default_rng(1)
    shares = {"a": 0.5, "b": 0.8, "c": 0.1, "d": 0.3}
    values = {name: binary(2000, share, draw) for name, share in shares.items()}
    race = trial(list(values), 2000)
    asked = run(race, values)
    first, *rest = race.candidates()
    assert (first.model, first.standing, race.verdict.state) == ("b", "best", "pass")
    assert race.verdict.error == 0.05
    assert {each.standing for each in rest} == {"out"}
    assert asked["c"] <= asked["a"] < 1000
    assert asked == {each.model: each.seen for each in race.candidates()}
    for each in rest:
        assert each.difference is not None
        assert each.difference.high < 0
        assert each.difference.low <= shares[each.model] - 0.8 <= each.difference.high


def test_the_smaller_wins_where_less_is_better() -> None:
    draw = np.random.default_rng(2)
    values = {"a": binary(900, 0.7, draw), "b": binary(900, 0.2, draw)}
    race = trial(["a", "b"], 900)
    run(race, values, "lower")
    first, second = race.candidates()
    assert first.model == "b"
    assert first.value == pytest.approx(0.2, abs=0.12)
    assert second.difference is not None
    assert second.difference.low > 0


def test_equals_are_all_best_once_everything_was_asked() -> None:
    values = binary(300, 0.5, np.random.default_rng(3))
    race = trial(["a", "b"], 300)
    run(race, {"a": values, "b": values.copy()})
    assert race.verdict.state == "pass"
    assert race.verdict.basis == "certain"
    assert [each.standing for each in race.candidates()] == ["best", "best"]


def test_a_full_run_is_certain_whatever_the_evidence_on_the_way_said() -> None:
    # `a` leads by much in what comes first, and loses in all
    order = trial(["a", "b"], 300).units.members
    a, b = np.zeros(300), np.zeros(300)
    a[order[:100]], b[order[100:250]] = 1.0, 1.0
    race = trial(["a", "b"], 300)
    assert run(race, {"a": a, "b": b})["b"] < 300
    assert (race.verdict.basis, race.candidates()[0].model) == ("evidence", "a")
    answered = dict.fromkeys(("a", "b"), np.ones(300, dtype=np.bool_))
    race.follow({"a": column(a), "b": column(b)}, answered)
    assert race.verdict.basis == "certain"
    assert [(c.model, c.standing) for c in race.candidates()] == [("b", "best"), ("a", "out")]


def test_a_budget_that_ends_leaves_a_race_open() -> None:
    draw = np.random.default_rng(4)
    values = {"a": binary(1000, 0.5, draw), "b": binary(1000, 0.52, draw)}
    race = trial(["a", "b"], 1000, budget=100)
    assert run(race, values) == {"a": 100, "b": 100}
    assert race.verdict.state == "open"
    assert [each.standing for each in race.candidates()] == ["open", "open"]


@pytest.mark.parametrize("size", [3, 4, 5])
def test_what_is_certain_is_what_the_full_run_says(size: int) -> None:
    """Every pair of binary populations, asked case by case to where it is certain."""
    for one in itertools.product((0.0, 1.0), repeat=size):
        for two in itertools.product((0.0, 1.0), repeat=size):
            race = Race(["a", "b"], np.full(size, 1 / size), alpha=1e-9)
            for a, b in zip(one, two, strict=True):
                if not race.decided:
                    race.add({"a": np.array([a]), "b": np.array([b])})
            assert race.basis == "certain"
            best = {n for n, v in (("a", one), ("b", two)) if sum(v) == max(sum(one), sum(two))}
            assert set(race.alive) == best


def test_the_best_is_put_out_at_most_as_often_as_alpha() -> None:
    """Four nearly equal candidates: the one a case ahead must not lose to any of the others."""
    lost = 0
    for seed in range(SIMULATIONS):
        draw = np.random.default_rng([5, seed])
        best = binary(600, 0.6, draw)
        others = {name: flipped(best, 61, 1, draw) for name in "bcd"}
        race = trial("abcd", 600)
        run(race, {"a": best, **others})
        lost += race.candidates()[0].model != "a"
    assert lost / SIMULATIONS <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / SIMULATIONS)


def test_the_order_in_which_a_round_is_answered_does_not_matter() -> None:
    draw = np.random.default_rng(6)
    values = {name: binary(500, share, draw) for name, share in (("a", 0.5), ("b", 0.6))}
    forward, backward = trial(["a", "b"], 500), trial(["a", "b"], 500)
    run(forward, values)
    run(backward, dict(reversed(values.items())))
    assert forward.candidates() == backward.candidates()
    assert forward.looks == backward.looks


def test_rounds_grow_so_that_loadings_stay_few() -> None:
    draw = np.random.default_rng(7)
    values = {"a": binary(14_000, 0.5, draw), "b": binary(14_000, 0.5, draw)}
    race = trial(["a", "b"], 14_000)
    run(race, values)
    assert race.looks[0] == WAVE
    assert all(b <= a + max(WAVE, math.ceil(GROWTH * a)) for a, b in itertools.pairwise(race.looks))
    assert len(race.looks) <= 16
