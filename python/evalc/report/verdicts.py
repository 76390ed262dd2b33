"""Verdicts of gates in words, for every renderer."""

from __future__ import annotations

from collections.abc import Sequence

from evalc.errors import ExitCode
from evalc.report import words
from evalc.report.shape import ConditionEntry, GateEntry

MARKS = {"pass": "pass", "fail": "FAIL", "inconclusive": "open"}
CONDITIONS = {
    "min": "at least {bound}",
    "max": "at most {bound}",
    "max_drop": "at least {bound}, which is {baseline} less what may be lost",
    "half_width": "known to {bound} on each side",
}


def exit_code(gates: Sequence[GateEntry]) -> ExitCode:
    """3 when a gate failed, 4 when one that has to be decided is not, else 0."""
    if any(gate["state"] == "fail" for gate in gates):
        return ExitCode.GATE_FAILED
    if any(gate["state"] == "inconclusive" and gate["needed"] for gate in gates):
        return ExitCode.GATE_INCONCLUSIVE
    return ExitCode.DONE


def wanted(gate: GateEntry, condition: ConditionEntry) -> str:
    """What a condition wants: `at least 0.4000`."""
    if condition["scope"] == "difference":
        return f"change from {gate['baseline']} at least {words.signed(condition['bound'])}"
    bound = words.number(condition["bound"])
    text = CONDITIONS[condition["key"]]
    return text.format(bound=bound, baseline=gate["baseline"])


def found(condition: ConditionEntry) -> str:
    """What was found: `0.4312, 0.4105 to 0.4519`."""
    differs = condition["scope"] == "difference"
    number, interval = (
        (words.signed, words.signed_interval) if differs else (words.number, words.interval)
    )
    if condition["low"] == condition["high"]:
        return number(condition["value"])
    return f"{number(condition['value'])}, {interval(condition['low'], condition['high'])}"


def rests_on(gate: GateEntry, condition: ConditionEntry) -> str:
    """`512 of 10,042 cases (5 %), wrong with probability at most 0.05`."""
    seen, total = condition["seen"], condition["total"]
    share = f" ({100 * seen / total:.0f} %)" if seen < total and total else ""
    text = f"{seen:,} of {total:,} cases{share}"
    if condition["basis"] == "certain":
        return f"{text}, certain"
    if condition["basis"] == "evidence":
        return f"{text}, wrong with probability at most {gate['error']:g}"
    return text


def why(gate: GateEntry) -> str | None:
    """Why a gate is inconclusive, and what that does."""
    if gate["state"] != "inconclusive":
        return None
    reason = gate["why"] or "the budget ended before it was decided"
    return reason if gate["needed"] else f"{reason}; it does not fail the run"
