"""Verdicts as a person would say them."""

from __future__ import annotations

from collections.abc import Sequence

from evalc.diagnostics.amounts import many
from evalc.report import verdicts, words
from evalc.report.shape import ConditionEntry, GateEntry, Report

STATES = {"pass": "passed", "fail": "failed", "inconclusive": "not decided"}
ORDER = ("fail", "inconclusive", "pass")
"""The worst first."""


def headline(report: Report) -> tuple[str, str, str]:
    """The state that all gates come to, how a page says so, and what it says of the others."""
    state, told, others = _headline(report["gates"])
    apart = len(report.get("unjudged", []))
    return state, told, ", ".join([*others, *([f"{apart:,} not judged"] if apart else [])])


def _headline(gates: Sequence[GateEntry]) -> tuple[str, str, list[str]]:
    counts = {state: sum(gate["state"] == state for gate in gates) for state in ORDER}
    state = next(state for state in ORDER if counts[state])
    others = [f"{counts[s]} {STATES[s]}" for s in ORDER if counts[s] and s != state]
    open_ = state == "inconclusive"
    if len(gates) == 1:
        return state, f"The gate {'is ' * open_}{STATES[state]}", []
    if not others:
        return state, f"All {len(gates)} gates {'are ' * open_}{STATES[state]}", []
    are = ("is " if counts[state] == 1 else "are ") * open_
    return state, f"{counts[state]} of {len(gates)} gates {are}{STATES[state]}", others


def verdict(gate: GateEntry) -> str:
    """The state in a word or two; of a race it is whether the best is known."""
    return "decided" if "candidates" in gate and gate["state"] == "pass" else STATES[gate["state"]]


def subject(gate: GateEntry) -> str:
    """What is judged."""
    if "candidates" in gate:
        count = len(gate["candidates"])
        return f"the best {gate['metric']} of {count} models on {gate['task']}"
    return f"{gate['metric']} of {gate['model']} on {gate['task']}"


def sentence(gate: GateEntry) -> str:
    """The verdict as a person would say it."""
    if "candidates" in gate:
        return _race(gate)
    if gate["state"] == "inconclusive":
        reason = verdicts.why(gate) or ""
        return reason[:1].upper() + reason[1:] + "."
    parts = [_claim(gate, entry) for entry in _decisive(gate)]
    text = " and ".join(parts)
    return f"{gate['metric']} {text}. {_ground(gate)}"


def _race(gate: GateEntry) -> str:
    names = [each["model"] for each in gate["candidates"] if each["standing"] != "out"]
    left = ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)
    if gate["state"] == "inconclusive":
        reason = verdicts.why(gate) or ""
        still = f" {left} can still be the best." if names else ""
        return f"{reason[:1].upper()}{reason[1:]}.{still}"
    seen = max((each["seen"] for each in gate["candidates"]), default=0)
    are = "are equally" if len(names) > 1 else "is"
    best = f"{left} {are} the best of {len(gate['candidates'])}"
    return f"{best}. {_sure(gate, many(seen, 'case'))}"


def _sure(gate: GateEntry, part: str) -> str:
    """How sure a verdict on a part of the cases is."""
    if gate["basis"] == "certain":
        return f"After {part} nothing that is left could change it, so this is certain."
    once = f"1 in {1 / gate['error']:,.0f}" if gate["error"] else "none"
    return f"Decided after {part}; such a verdict is wrong at most {once} times."


def _decisive(gate: GateEntry) -> list[ConditionEntry]:
    """The conditions that the verdict rests on: a single one suffices to fail."""
    failed = [entry for entry in gate["conditions"] if entry["state"] == "fail"]
    return failed[:1] if gate["state"] == "fail" else gate["conditions"]


def _claim(gate: GateEntry, entry: ConditionEntry) -> str:
    bound, fails = words.number(entry["bound"]), entry["state"] == "fail"
    match entry["key"]:
        case "min":
            return f"is {'below' if fails else 'at least'} {bound}"
        case "max":
            return f"is {'above' if fails else 'at most'} {bound}"
        case "half_width":
            return f"is known to within {bound} on each side"
    if entry["scope"] == "difference":
        lost = words.number(-entry["bound"])
        return f"lost {'more' if fails else 'no more'} than {lost} against {gate['baseline']}"
    reached = "below" if fails else "at least"
    return f"is {reached} {bound}, what {gate['baseline']} reached less the drop that is allowed"


def _ground(gate: GateEntry) -> str:
    entries = _decisive(gate)
    seen = max((entry["seen"] for entry in entries), default=0)
    total = max((entry["total"] for entry in entries), default=0)
    shared = any(entry["scope"] == "difference" for entry in entries)
    which = f" that {verdicts.recorded(gate)} has answered" if shared else ""
    if gate["basis"] == "certain" and seen == total:
        looked = "The one case" if total == 1 else f"All {total:,} cases"
        were = "was" if total == 1 else "were"
        return f"{looked}{which} {were} looked at, so this is certain."
    return _sure(gate, f"{seen:,} of {many(total, 'case')}{which}")
