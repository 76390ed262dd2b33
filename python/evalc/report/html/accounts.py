"""Where requests, tokens and seconds went, and what was never spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from evalc.diagnostics.amounts import many
from evalc.report.html import charts
from evalc.report.html.figures import Chart, Figure, figure
from evalc.report.shape import Report

COLORS = ("var(--s0)", "var(--s2)", "var(--s5)", "var(--unspent)", "var(--s3)")
"""By the numbers of the swatches; the fourth is what was not spent, or not accounted for."""


@dataclass(frozen=True)
class Part:
    """A part of an account: what it is, how much, what share; `color` numbers its swatch."""

    name: str
    amount: float
    shown: str
    share: str
    color: int


@dataclass(frozen=True)
class Account:
    """An account with its parts, whether spent or saved."""

    title: str
    told: str
    parts: list[Part]
    figure: Figure | None


def accounts(report: Report) -> list[Account]:
    """Requests by the plan, prompt tokens and seconds by the manifest of the last run."""
    run = report["runs"][-1] if report["runs"] else {}
    run = {key: value for key, value in run.items() if value is not None}
    found = [_requests(report, run), _tokens(run), _seconds(run)]
    return [account for account in found if account is not None]


def _account(
    title: str, told: str, unit: str, parts: Sequence[tuple[str, float, int]], digits: int = 0
) -> Account | None:
    """None where there is nothing to share out; empty parts are left out."""
    kept = [part for part in parts if part[1] > 0]
    total = sum(amount for _, amount, _ in kept)
    if not total:
        return None
    made = [
        Part(name, amount, f"{amount:,.{digits}f}", f"{100 * amount / total:.0f} %", color)
        for name, amount, color in kept
    ]
    rows: list[dict[str, Any]] = [
        {"amount": part.amount, "color": COLORS[part.color], "order": order}
        for order, part in enumerate(made)
    ]
    spoken = "; ".join(f"{part.name}: {part.shown} ({part.share})" for part in made)
    drawn = figure(title, spoken, partial(_bars, rows, unit))
    return Account(title, told, made, drawn)


def _bars(rows: Sequence[charts.Row], unit: str, width: int) -> Chart:
    return charts.stacked(rows, width, unit)


def _requests(report: Report, run: dict[str, Any]) -> Account | None:
    plan = report["plan"]
    if plan is None:
        return None
    asked = min(run.get("asked", 0), plan["cached"])
    stopped = any(result.get("ended") == "decided" for result in report["results"])
    left = "never asked: the gates were decided" if stopped else "still to ask"
    parts = [
        ("asked in the last run", asked, 0),
        ("already in the cache", plan["cached"] - asked, 1),
        ("the same as another", plan["deduped"], 2),
        (left, plan["to_run"], 3),
    ]
    told = f"The cases need {many(plan['requests'], 'request')}."
    return _account("Requests", told, "requests", parts)


def _tokens(run: dict[str, Any]) -> Account | None:
    """What prefixes save is exact for a run of all that was planned, else in proportion to it."""
    if "prefill_tokens" not in run:
        return None
    read, unshared = run["prefill_tokens"], run.get("prefill_tokens_unshared", 0)
    planned = run.get("planned") or run.get("asked", 0)
    share = min(1.0, run["asked"] / planned) if planned and "asked" in run else 1.0
    shared = max(0.0, unshared * share - read)
    parts = [
        ("prompt tokens read", read, 0),
        ("tokens written", run.get("decode_tokens", 0), 1),
        ("not read again: prefixes are shared", round(shared), 2),
        ("not read: the gates were decided", round(unshared * (1 - share)), 3),
    ]
    return _account("Tokens", "Of the last run, against each request on its own.", "tokens", parts)


def _seconds(run: dict[str, Any]) -> Account | None:
    if "seconds" not in run:
        return None
    setup, read, wrote = (run.get(f"{k}_seconds", 0.0) for k in ("setup", "prefill", "decode"))
    parts = [
        ("loading and self-check", setup, 4),
        ("reading prompts", read, 0),
        ("writing answers", wrote, 1),
        ("everything else", max(0.0, run["seconds"] - setup - read - wrote), 3),
    ]
    told = f"The last run took {run['seconds']:,.1f} s"
    if (predicted := run.get("predicted_seconds")) is not None:
        basis = "a guess" if run.get("predicted_basis") == "guess" else "from measured speed"
        told += f"; {predicted:,.1f} s were predicted ({basis})"
        if (whole := run.get("whole_seconds", predicted)) > predicted:
            told += f", and {whole:,.1f} s for asking everything"
    if (usd := run.get("usd")) is not None:
        told += f"; it cost ${usd:,.4f}"
    return _account("Time", told + ".", "seconds", parts, digits=1)
