"""What the looks of a trial saw is worked out again as it was, from prefixes of the evidence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalc.decide.betting import Evidence
from evalc.decide.course import course, limits
from evalc.decide.trials import Trial
from evalc.decide.units import Units
from evalc.decide.verdicts import AtLeast, AtMost, Condition, Narrow, half
from evalc.score.columns import Column, Mean

N = 400


def column(values: np.ndarray) -> Column:
    return Column("acc", "acc", "", values, np.ones(N, dtype=np.bool_), Mean(), True, "higher")


def followed(condition: Condition, budget: int = N, **others: Any) -> Trial:
    values = (np.random.default_rng(5).random(N) < 0.6).astype(np.float64)
    units = Units.of([f"case-{n}" for n in range(N)])
    cases = np.arange(N, dtype=np.int64)
    trial = Trial(condition, units, cases, alpha=0.05, gates=2, budget=budget, **others)
    trial.follow(column(values), np.ones(N, dtype=np.bool_))
    return trial


def test_each_look_says_what_was_known_when_it_was_taken() -> None:
    trial = followed(AtLeast(0.59))
    looks = course(trial)
    assert len(looks) == len(trial.looks) > 3
    grown = Evidence(trial.units.weights)
    for look, units in zip(looks, trial.looks, strict=True):
        grown.add(trial.evidence._values[grown.seen : units])
        found = grown.interval(trial.alpha)
        assert (look.value, look.low, look.high) == (found.value, found.low, found.high)
        assert (look.log_for, look.log_against) == (grown.up(0.59), grown.down(0.59))
        assert look.seen == units


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        (AtLeast(0.4), "pass"),
        (AtMost(0.73), "pass"),
        (AtLeast(0.8), "fail"),
        (AtMost(0.4), "fail"),
    ],
    ids=str,
)
def test_evidence_reaches_its_limit_at_the_look_that_decides(
    condition: Condition, state: str
) -> None:
    looks, (for_it, against) = course(followed(condition)), limits(followed(condition))
    reached = next(
        place
        for place, look in enumerate(looks)
        if look.log_for is not None
        and look.log_against is not None
        and (look.log_for >= for_it or look.log_against >= against)
    )
    assert 0 < reached < len(looks) - 1
    assert followed(condition, looks[reached].seen).verdict.state == state
    assert followed(condition, looks[reached - 1].seen).verdict.state == "open"


def test_the_limits_are_those_that_verdicts_go_by() -> None:
    assert limits(followed(AtLeast(0.3))) == (math.log(20), math.log(40))


def test_a_width_has_no_evidence_for_or_against() -> None:
    looks = course(followed(Narrow(0.1)))
    assert {(look.log_for, look.log_against) for look in looks} == {(None, None)}
    assert looks[0].high - looks[0].low > 0.2 >= looks[-1].high - looks[-1].low


def test_a_difference_is_told_as_a_difference() -> None:
    baseline = (np.random.default_rng(6).random(N) < 0.6).astype(np.float64)
    trial = followed(AtLeast(half(0.3)), 40, baseline=baseline)
    last, found = course(trial)[-1], trial.interval()
    assert found is not None
    assert (last.value, last.low, last.high) == pytest.approx((found.value, found.low, found.high))
    assert -1 <= last.low < 0 < last.high <= 1


def test_a_metric_without_bets_has_no_course() -> None:
    trial = followed(AtLeast(0.5))
    trial.bounded = False
    assert course(trial) == []
