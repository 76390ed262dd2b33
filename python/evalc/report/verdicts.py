"""Verdicts of gates in words, for every renderer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalc.diagnostics.amounts import form, many
from evalc.errors import ExitCode
from evalc.report import words
from evalc.report.shape import CandidateEntry, ConditionEntry, GateEntry, MovesEntry, Report
from evalc.spec.metrics import slice_name

MARKS = {"pass": "pass", "fail": "FAIL", "inconclusive": "open"}
CONDITIONS = {
    "min": "at least {bound}",
    "max": "at most {bound}",
    "max_drop": "at least {bound}, which is {baseline} less what may be lost",
    "half_width": "known to {bound} on each side",
}


UNASKED = "nothing has been asked yet, which `evalc exec` does"


def exit_code(gates: Sequence[GateEntry]) -> ExitCode:
    """3 when a gate failed, 4 when one that has to be decided is not, else 0."""
    if any(gate["state"] == "fail" for gate in gates):
        return ExitCode.GATE_FAILED
    if any(gate["state"] == "inconclusive" and gate["needed"] for gate in gates):
        return ExitCode.GATE_INCONCLUSIVE
    return ExitCode.DONE


def rows(gate: GateEntry) -> Iterator[tuple[str, str, str]]:
    """What is wanted, what was found and what that rests on, of each condition or candidate."""
    for condition in gate["conditions"]:
        yield wanted(gate, condition), found(condition), rests_on(gate, condition)
    for candidate in gate.get("candidates", []):
        yield standing(gate, candidate), compared(candidate), raced(gate, candidate)


def standing(gate: GateEntry, candidate: CandidateEntry) -> str:
    """`b: best of 3`."""
    best = [each for each in gate["candidates"] if each["standing"] == "best"]
    count = len(gate["candidates"])
    name = candidate["model"]
    if candidate["standing"] == "out":
        return f"{name}: not the best"
    if candidate["standing"] == "open":
        return f"{name}: may be the best of {count}"
    return f"{name}: best of {count}" if len(best) == 1 else f"{name}: as good as the best"


def compared(candidate: CandidateEntry) -> str:
    """`0.4312, -0.0410 to -0.0112 from the leader`."""
    value = words.number(candidate["value"])
    low, high = candidate["low"], candidate["high"]
    if low is None or high is None or low == high == 0.0:
        return value
    if low == high:
        return f"{value}, {words.signed(low)} from the leader"
    return f"{value}, {words.signed_interval(low, high)} from the leader"


def raced(gate: GateEntry, candidate: CandidateEntry) -> str:
    """`96 cases`, with how sure the winner is."""
    text = many(candidate["seen"], "case")
    if candidate["standing"] != "best":
        return text
    if gate["basis"] == "certain":
        return f"{text}, certain"
    return f"{text}, wrong with probability at most {gate['error']:g}"


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
    foreseen = condition.get("expected")
    predicted = "" if foreseen is None or seen == total else f", predicted {foreseen:,}"
    cases = form(total, "case")
    if condition["scope"] == "difference":
        cases = f"{cases} that {recorded(gate)} has answered"
    text = f"{seen:,} of {total:,} {cases}{share}{predicted}"
    if condition["basis"] == "certain":
        return f"{text}, certain"
    if condition["basis"] == "evidence":
        return f"{text}, wrong with probability at most {gate['error']:g}"
    return text


def recorded(gate: GateEntry) -> str:
    """What a gate compares with: `main`, or `main, recorded on 40 of 240 cases,`."""
    name, part = gate["baseline"] or words.NOTHING, gate.get("recorded")
    if part is None:
        return name
    return f"{name}, recorded on {part['scored']:,} of {many(part['total'], 'case')},"


def why(gate: GateEntry) -> str | None:
    """Why a gate is inconclusive, and what that does."""
    if gate["state"] != "inconclusive":
        return None
    looked = [*gate["conditions"], *gate.get("candidates", [])]
    asked = any(each["seen"] for each in looked)
    short = "the budget ended before it was decided" if asked else UNASKED
    reason = gate["why"] or short
    return reason if gate["needed"] else f"{reason}; it does not fail the run"


def unjudged(report: Report) -> list[str]:
    """A line for every reason why gates were not judged: `floor, drop: task not selected`."""
    by_reason: dict[str, list[str]] = {}
    for entry in report.get("unjudged", []):
        by_reason.setdefault(entry["why"], []).append(entry["gate"])
    return [f"{words.first(gates)}: {why}" for why, gates in by_reason.items()]


def moves(report: Report) -> list[str]:
    """A line for every family of values of which some moved against their baselines."""
    return [_moves(entry) for entry in report.get("moves", []) if entry["moved"]]


def _moves(entry: MovesEntry) -> str:
    names = [
        f"{words.one_line(own['name'])} by {words.signed(own['difference'])}"
        for own in entry["moved"]
    ]
    what = "metrics of gates"
    if entry["slice"] is not None:
        what = f"groups by {slice_name(entry['slice'])} of {entry['gate']} ({entry['model']})"
    return (
        f"moved: {words.first(names)}; {len(names):,} of {entry['compared']:,} {what} "
        f"(false discovery rate at most {100 * entry['rate']:g} %)"
    )


def headline(gate: GateEntry) -> str:
    """`no_regression (base): FAIL`."""
    return f"{gate['gate']} ({gate['model']}): {MARKS[gate['state']]}"


def told(gate: GateEntry) -> list[str]:
    """A line for every condition or candidate, and why nothing more is known; never empty."""
    metric = f"{gate['task']}.{gate['metric']}"
    verb = ("", "") if "candidates" in gate else ("wanted ", "found ")
    lines = [
        f"{metric}: {verb[0]}{condition}, {verb[1]}{value}; {basis}"
        for condition, value, basis in rows(gate)
    ]
    reason = why(gate)
    return [*lines, *([reason] if reason else [])] or [metric]


def outcome(report: Report) -> str:
    """All verdicts in a sentence: `1 of 3 gates failed, 1 is not decided, 2 not judged`."""
    apart = len(report.get("unjudged", []))
    return _outcome(report["gates"]) + (f", {apart:,} not judged" if apart else "")


def _outcome(gates: Sequence[GateEntry]) -> str:
    failed = sum(gate["state"] == "fail" for gate in gates)
    open_ = sum(gate["state"] == "inconclusive" for gate in gates)
    of = many(len(gates), "gate")
    if not failed and not open_:
        return "the gate passed" if len(gates) == 1 else f"all {of} passed"
    parts = [f"{failed:,} of {of} failed"] if failed else []
    if open_:
        lead = f"{open_:,}" if failed else f"{open_:,} of {of}"
        parts.append(f"{lead} {'is' if open_ == 1 else 'are'} not decided")
    return ", ".join(parts)
