"""Every binary population of up to 8 units, in every order it can have, at every threshold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from evalc.decide.betting import Evidence
from evalc.decide.verdicts import AtLeast, AtMost, Verdict

SIZES = range(1, 9)


def sequences(size: int) -> Iterator[tuple[float, ...]]:
    """Every distinct order of every population: all 2^size sequences of 0 and 1."""
    return itertools.product((0.0, 1.0), repeat=size)


def thresholds(size: int) -> list[float]:
    """Every value that a population can have, between any two of them, and beyond."""
    return [-0.1, *(k / (2 * size) for k in range(2 * size + 1)), 1.1]


def followed(values: tuple[float, ...], gate: AtLeast | AtMost, alpha: float) -> list[Verdict]:
    """The verdict after each unit."""
    evidence = Evidence(np.full(len(values), 1 / len(values)))
    found = []
    for value in values:
        evidence.add(np.array([value]))
        found.append(gate.judge(evidence, alpha))
    return found


@pytest.mark.parametrize("size", range(1, 7))
def test_the_sequences_are_every_order_of_every_population(size: int) -> None:
    populations = [[1.0] * ones + [0.0] * (size - ones) for ones in range(size + 1)]
    orders = {order for own in populations for order in itertools.permutations(own)}
    assert orders == set(sequences(size))


@pytest.mark.parametrize("size", SIZES)
def test_certain_verdicts_are_those_of_the_full_run_and_stay(size: int) -> None:
    for values in sequences(size):
        truth = sum(values) / size
        for bound in thresholds(size):
            at_least, at_most = truth >= bound - 1e-12, truth <= bound + 1e-12
            for gate, passes in ((AtLeast(bound), at_least), (AtMost(bound), at_most)):
                wanted = Verdict("pass" if passes else "fail", "certain")
                # so small an alpha that no evidence decides
                verdicts = followed(values, gate, 1e-9)
                decided = [v.state != "open" for v in verdicts]
                assert decided == sorted(decided), "what is certain stays certain"
                assert {v for v in verdicts if v.state != "open"} == {wanted}
                assert verdicts[-1] == wanted


@pytest.mark.parametrize("size", SIZES)
def test_a_verdict_is_certain_as_soon_as_no_answer_can_change_it(size: int) -> None:
    for values in sequences(size):
        for bound in thresholds(size):
            verdicts = followed(values, AtLeast(bound), 1e-9)
            for seen, verdict in enumerate(verdicts, start=1):
                least = sum(values[:seen])
                ends = {(least + more) / size >= bound - 1e-12 for more in (0, size - seen)}
                assert (verdict.state != "open") == (len(ends) == 1)


@pytest.mark.parametrize("size", SIZES)
def test_at_the_end_the_interval_is_a_point_and_the_verdict_exact(size: int) -> None:
    for values in sequences(size):
        truth = sum(values) / size
        evidence = Evidence(np.full(size, 1 / size))
        for value in values:
            assert not evidence.complete
            evidence.add(np.array([value]))
            found = evidence.interval(0.05)
            assert found.low <= found.value <= found.high
        assert found.low == found.high == found.value == pytest.approx(truth)
        for bound in thresholds(size):
            verdict = AtLeast(bound).judge(evidence, 0.05)
            wanted = "pass" if truth >= bound - 1e-12 else "fail"
            assert verdict == Verdict(wanted, "certain")  # type: ignore[arg-type]
