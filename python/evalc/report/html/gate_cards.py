"""Verdicts as cards: what was wanted, what was found, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from evalc.diagnostics.amounts import many
from evalc.report import verdicts, words
from evalc.report.html import charts
from evalc.report.html.estimates import Cell, amount, text
from evalc.report.html.figures import Figure, figure
from evalc.report.html.sentences import ORDER, sentence, subject, verdict
from evalc.report.html.sides import Side, baseline_value
from evalc.report.shape import CandidateEntry, ConditionEntry, GateEntry, Report, RoundEntry

SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
BASES = {"certain": "certain", "evidence": "statistical", "none": "none"}
STANDINGS = {"best": "best", "open": "may be the best", "out": "not the best"}
FEW = 3
"""Up to this many gates, those that passed are unfolded too."""


@dataclass(frozen=True)
class ConditionCard:
    """A condition's figures in words. `figure` is None where nothing was looked at."""

    wanted: str
    value: str
    interval: str
    seen: str
    basis: str
    figure: Figure | None
    course: tuple[Figure, ...]
    rounds: list[list[str]]


@dataclass(frozen=True)
class GateCard:
    """A gate's verdict on one model."""

    name: str
    subject: str
    state: str
    sign: str
    verdict: str
    sentence: str
    error: str
    brief: str
    unfolded: bool
    conditions: list[ConditionCard]
    candidates: list[list[Cell]]
    race: Figure | None


def gate_cards(report: Report, sides: dict[str, list[Side]]) -> list[GateCard]:
    """A card for every gate, those that failed first; of many, those that passed are folded."""
    gates = sorted(report.get("gates", []), key=lambda gate: ORDER.index(gate["state"]))
    few = len(gates) <= FEW
    return [_card(gate, sides, few or gate["state"] != "pass") for gate in gates]


def _card(gate: GateEntry, sides: dict[str, list[Side]], unfolded: bool) -> GateCard:
    known = baseline_value(gate, sides)
    decided = gate["basis"] != "none"
    return GateCard(
        name=gate["gate"],
        subject=subject(gate),
        state=gate["state"],
        sign=SIGNS[gate["state"]],
        verdict=verdict(gate),
        sentence=sentence(gate),
        error=f"at most {gate['error']:g}" if decided and gate["error"] else "0" * decided or "—",
        brief=_brief(gate),
        unfolded=unfolded,
        conditions=[_condition(gate, entry, known) for entry in gate["conditions"]],
        candidates=[_candidate(each) for each in gate.get("candidates", [])],
        race=_race(gate),
    )


def _candidate(entry: CandidateEntry) -> list[Cell]:
    difference = words.signed_interval(entry["low"], entry["high"])
    return [
        text(entry["model"]),
        text(STANDINGS[entry["standing"]]),
        amount(entry["value"], words.number(entry["value"])),
        amount(entry["difference"], words.signed(entry["difference"])),
        amount(entry["low"], difference),
        amount(entry["seen"], f"{entry['seen']:,}"),
    ]


def _race(gate: GateEntry) -> Figure | None:
    """How far candidates are from the leader."""
    rows: list[charts.Row] = [
        {
            "label": each["model"],
            "color": "var(--muted)" if each["standing"] == "out" else "var(--s0)",
            "value": each["difference"],
            "low": None,
            "high": None,
            "least": each["low"],
            "most": each["high"],
            "bound": 0.0,
            "baseline": None,
        }
        for each in gate.get("candidates", [])
        if each["difference"] is not None
    ]
    if len(rows) < 2:
        return None
    told = "; ".join(f"{row['label']}: {words.signed(row['value'])}" for row in rows)
    return figure("Difference from the leader", told, partial(charts.intervals, rows))


def _brief(gate: GateEntry) -> str:
    """The value that a folded card shows."""
    if "candidates" in gate:
        return gate["model"]
    entries = [entry for entry in gate["conditions"] if entry["value"] is not None]
    if not entries:
        return ""
    number = words.signed if entries[0]["scope"] == "difference" else words.number
    return f"{number(entries[0]['value'])} ({verdicts.wanted(gate, entries[0])})"


def _condition(gate: GateEntry, entry: ConditionEntry, baseline: float | None) -> ConditionCard:
    differs = entry["scope"] == "difference"
    number = words.signed if differs else words.number
    interval = words.signed_interval if differs else words.interval
    share = f" ({100 * entry['seen'] / entry['total']:.0f} %)" if entry["total"] else ""
    wanted = verdicts.wanted(gate, entry)
    drawn = None
    if entry["low"] is not None and entry["high"] is not None and entry["value"] is not None:
        mark = None if differs else baseline
        told = f"wanted: {wanted}; found: {verdicts.found(entry)}"
        drawn = figure(
            f"{gate['gate']}: {gate['model']}",
            told,
            partial(charts.condition, entry, mark),
            small=True,
        )
    exact = entry["low"] is not None and entry["low"] == entry["high"]
    return ConditionCard(
        wanted=wanted,
        value=number(entry["value"]),
        interval="exact" if exact else interval(entry["low"], entry["high"]),
        seen=f"{entry['seen']:,} of {entry['total']:,}{share}{_expected(entry)}",
        basis=BASES[entry["basis"]],
        figure=drawn,
        course=_course(gate, entry),
        rounds=[_look(look, differs) for look in entry.get("rounds", [])],
    )


def _expected(entry: ConditionEntry) -> str:
    foreseen = entry.get("expected")
    told = foreseen is not None and entry["seen"] < entry["total"]
    return f", {foreseen:,} predicted" if told else ""


def _look(look: RoundEntry, differs: bool) -> list[str]:
    number = words.signed if differs else words.number
    interval = words.signed_interval if differs else words.interval
    span = interval(look["low"], look["high"])
    odds = (_odds(look["log_for"]), _odds(look["log_against"]))
    return [f"{look['seen']:,}", number(look["value"]), span, *odds]


def _course(gate: GateEntry, entry: ConditionEntry) -> tuple[Figure, ...]:
    looks = entry.get("rounds", [])
    if len(looks) < 2:
        return ()
    told = f"after {many(looks[0]['seen'], 'case')} {_span(looks[0]['low'], looks[0]['high'])}, "
    told += f"after {looks[-1]['seen']} {_span(looks[-1]['low'], looks[-1]['high'])}"
    drawn = [figure("Interval at every look", told, partial(charts.narrowing, entry), small=True)]
    rows = [
        {
            "seen": look["seen"],
            "kind": kind,
            "evidence": _clipped(log),
            "color": color,
        }
        for look in looks
        for kind, log, color in (
            ("holds", look["log_for"], "var(--pass)"),
            ("fails", look["log_against"], "var(--fail)"),
        )
        if log is not None
    ]
    if rows:
        needed = (math.exp(entry["pass_at"]), math.exp(entry["fail_at"]))
        told = f"needed: {needed[0]:g} to pass, {needed[1]:g} to fail"
        drawn.append(
            figure(
                "Evidence at every look",
                told,
                partial(charts.evidence, rows, needed),
                small=True,
            )
        )
    return tuple(drawn)


def _span(low: float, high: float) -> str:
    return f"{words.number(low)} to {words.number(high)}"


def _clipped(log: float) -> float:
    return min(
        max(math.exp(min(log, charts.LOG_MOST)), charts.LEAST_EVIDENCE), charts.MOST_EVIDENCE
    )


def _odds(log: float | None) -> str:
    """Evidence as a number: how many times the stake."""
    if log is None:
        return words.NOTHING
    if log > charts.LOG_MOST:
        return "> 1,000,000"
    value = math.exp(log)
    return f"{value:,.1f}" if value >= 0.1 else "< 0.1"
