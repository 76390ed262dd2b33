"""Two verdicts at once: which of them a gate, and a run, ends with."""

from __future__ import annotations

from itertools import permutations

import pytest
from reports import gate

from evalc.decide.verdicts import OPEN, Verdict, together
from evalc.errors import ExitCode
from evalc.report.verdicts import exit_code

FAIL = Verdict("fail", "evidence", 0.05)
CERTAIN = Verdict("pass", "certain", 0.0)
EVIDENCE = Verdict("pass", "evidence", 0.04)


@pytest.mark.parametrize("order", list(permutations([OPEN, FAIL, CERTAIN])))
def test_a_condition_that_failed_decides_whatever_is_open(order: tuple[Verdict, ...]) -> None:
    assert together(list(order)) is FAIL


@pytest.mark.parametrize("order", list(permutations([OPEN, EVIDENCE, CERTAIN])))
def test_a_condition_that_is_open_keeps_a_gate_open(order: tuple[Verdict, ...]) -> None:
    assert together(list(order)) == OPEN


@pytest.mark.parametrize("order", list(permutations([EVIDENCE, CERTAIN])))
def test_a_gate_is_as_sure_as_the_least_sure_of_its_conditions(order: tuple[Verdict, ...]) -> None:
    assert together(list(order)) == Verdict("pass", "evidence", 0.04)
    assert together([CERTAIN, CERTAIN]) == CERTAIN


@pytest.mark.parametrize(
    "order", list(permutations([("fail", True), ("inconclusive", True), ("pass", True)]))
)
def test_a_failed_gate_gives_the_exit_code_whatever_is_undecided(
    order: tuple[tuple[str, bool], ...],
) -> None:
    states = [gate(f"g{at}", state, needed=needed) for at, (state, needed) in enumerate(order)]
    assert exit_code(states) is ExitCode.GATE_FAILED


def test_an_undecided_gate_counts_only_where_it_has_to_be_decided() -> None:
    undecided = [gate("a", "inconclusive", needed=False), gate("b", "pass")]
    assert exit_code(undecided) is ExitCode.DONE
    needed = [*undecided, gate("c", "inconclusive", needed=True)]
    assert exit_code(needed) is ExitCode.GATE_INCONCLUSIVE
    # one that failed fails the run, whether or not it had to be decided
    assert exit_code([gate("d", "fail", needed=False)]) is ExitCode.GATE_FAILED
