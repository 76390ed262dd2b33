"""How numbers and warnings of a report are written, the same for every renderer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from evalc.diagnostics.amounts import many
from evalc.report.shape import (
    CaseEntry,
    CaveatEntry,
    CaveatKind,
    EstimateEntry,
    Report,
    ResultEntry,
)

NOTHING = "—"
NO_TIER = "none"
"""The tier that runs nothing."""
ENDED = {"decided": "stopped when its gates were decided,", "budget": "ended by its budget,"}


def number(value: float | None) -> str:
    """Four decimals below 10, two above."""
    if value is None:
        return NOTHING
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


def signed(value: float | None) -> str:
    """A difference, with its sign."""
    if value is None:
        return NOTHING
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+,.2f}"


def interval(low: float | None, high: float | None) -> str:
    """`0.3812 to 0.4591`."""
    return NOTHING if low is None or high is None else f"{number(low)} to {number(high)}"


def signed_interval(low: float | None, high: float | None) -> str:
    """`-0.0213 to +0.0380`."""
    return NOTHING if low is None or high is None else f"{signed(low)} to {signed(high)}"


def probability(p: float | None) -> str:
    """A p value."""
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def coverage(entry: EstimateEntry, population: int | None) -> str:
    """`200`; `150/200` when cases lack a record; `200 of 10,042` when a budget left some out."""
    scored = f"{entry['n']:,}" if entry["complete"] else f"{entry['n']:,}/{entry['total']:,}"
    sampled = population is not None and population > entry["total"]
    return f"{scored} of {population:,}" if sampled else scored


def warnings(report: Report) -> list[str]:
    """One sentence for everything that keeps the report from being what it may look like."""
    found = [
        _incomplete(result)
        for result in report["results"]
        if not result["complete"] and "ended" not in result
    ]
    found += [
        f"{entry['task']} ({entry['model']}): not scored; {entry['why']}"
        for entry in report["unscored"]
    ]
    if not report["results"] and not report["unscored"] and report["tier"] != NO_TIER:
        found.append("no task of this selection has a result")
    for result in report["results"]:
        if result["complete"] and not result["total"]:
            found.append(f"{_name(result)}: there is no case")
    return found


CAVEATS: dict[CaveatKind, str] = {
    "truncated": "the context was cut at the left, to fit into the model",
    "split_words": "the continuation starts inside a token, and its first letters are not scored",
    "unsure_targets": "the target is the text of one choice and the index of another, and is read "
    "as the text",
    "unsure_indices": "the target is the index of one choice and says what another does, and is "
    "read as the index",
    "cut_off": "an answer was cut off at `max_new_tokens`",
}


def caveats(results: Sequence[ResultEntry]) -> list[str]:
    """One sentence for everything that scores have to be read with, by result."""
    return [
        f"{_name(result)}: in {found['cases']:,} of {many(result['total'], 'case')} "
        f"{CAVEATS[found['kind']]}{_example(found)}"
        for result in results
        for found in result.get("caveats", [])
    ]


def _example(found: CaveatEntry) -> str:
    return f", as where {found['example']}" if "example" in found else ""


def samples(report: Report) -> list[str]:
    """One sentence for every result that a budget or a decision limits to a part of its cases."""
    stopped = [
        f"{_name(result)}: {ENDED[result['ended']]} after {result['scored']:,} of "
        f"{many(result['total'], 'case')}{_full_run(result)}"
        for result in report["results"]
        if "ended" in result and not result["complete"]
    ]
    return stopped + [
        f"{_name(result)}: a sample of {result['total']:,} of "
        f"{many(result['population'], 'case')}"
        f"{_full_run(result)}"
        for result in report["results"]
        if result["population"] is not None and result["population"] > result["total"]
    ]


def _full_run(result: ResultEntry) -> str:
    """`; the full run would print acc 0.3912 to 0.4488`, where the cases say."""
    known = [
        f"{metric['metric']} {interval(found['low'], found['high'])}"
        for metric in result["metrics"]
        if (found := metric.get("benchmark")) is not None
    ]
    return f"; the full run would print {', '.join(known)} (95 %)" if known else ""


def _incomplete(result: ResultEntry) -> str:
    are = "is" if 1 in (result["scored"], result["total"]) else "are"
    return (
        f"{_name(result)}: {result['scored']:,} of {many(result['total'], 'case')} {are} scored; "
        "the others have no record yet"
    )


def _name(result: ResultEntry) -> str:
    return f"{result['task']} ({result['model']})"


MANY = 6
"""Results beyond so many are told of together."""
ENOUGH = 30
"""Cases from which on a standard error is told as what it could show."""


def first(names: Sequence[str]) -> str:
    """The first few of many, and how many more there are."""
    more = f" and {len(names) - MANY:,} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more


def detectables(report: Report) -> list[str]:
    """What the first metric of each result would show of a difference from another model."""
    found = [
        (least, f"{result['task']} ({result['model']}) {metric['metric']}")
        for result in report["results"]
        for metric in result["metrics"][:1]
        if metric["n"] >= ENOUGH and (least := metric.get("detectable")) is not None
    ]
    if not found:
        return []
    between = ", "
    if len(found) > MANY:
        between, found = " to ", [min(found), max(found)]
    listed = between.join(f"{number(value)} in {name}" for value, name in found)
    return [f"as many cases of another model would show a difference (power 80 %) of {listed}"]


def costs(report: Report) -> list[str]:
    """What the results took, as far as the plan and the run manifests say.

    Of a manifest these keys are read: `name`, `asked` (requests), `seconds`, `predicted_seconds`,
    `prefill_tokens`, `prefill_tokens_unshared`, `decode_tokens`, `usd`.
    """
    lines = [] if report["plan"] is None else [_plan_line(report["plan"])]
    return lines + [line for run in report["runs"] if (line := _run_line(run))]


def _plan_line(plan: dict[str, Any]) -> str:
    parts = [many(plan["requests"], "request")]
    if plan["deduped"]:
        parts.append(f"{plan['deduped']:,} of them the same as others")
    parts.append(f"{plan['cached']:,} answered")
    parts.append(f"{plan['to_run']:,} to run")
    return ", ".join(parts)


def _run_line(run: dict[str, Any]) -> str:
    known = {key: value for key, value in run.items() if value is not None}
    parts = []
    if "asked" in known:
        parts.append(f"asked {many(known['asked'], 'request')}")
    if "seconds" in known:
        predicted = known.get("predicted_seconds")
        foreseen = "" if predicted is None else f" (predicted {predicted:,.1f} s)"
        devices = {model.get("device") for model in known.get("models", [])}
        what = " of GPU time" if devices == {"cuda"} else ""
        parts.append(f"took {known['seconds']:,.1f} s{what}{foreseen}")
    if "prefill_tokens" in known:
        parts.append(f"read {many(known['prefill_tokens'], 'token')}{_saving(known)}")
    if "decode_tokens" in known:
        parts.append(f"wrote {many(known['decode_tokens'], 'token')}")
    if "usd" in known:
        parts.append(f"cost ${known['usd']:,.2f}")
    return f"run {known.get('name', '')}".rstrip() + ": " + ", ".join(parts) if parts else ""


def _saving(run: dict[str, Any]) -> str:
    unshared = run.get("prefill_tokens_unshared")
    if not unshared:
        return ""
    share = 1 - run["prefill_tokens"] / unshared
    return f" instead of {unshared:,} ({share * 100:.0f} % saved by sharing prefixes)"


def models(results: Sequence[ResultEntry]) -> list[str]:
    """The models of the results, each once, in order."""
    return list(dict.fromkeys(result["model"] for result in results))


def answer(case: CaseEntry, metric: str = "") -> str:
    """What a case was answered: the choice that the metric picked, or the extracted texts.

    Without a metric every pick, if they differ, with the metrics that have it.

    For `exact_match@strict` only those of the extraction `strict`.
    """
    picks = case.get("picks", {})
    if picks.get(metric) is not None:
        return f"choice {picks[metric]}"
    several = {name: pick for name, pick in picks.items() if pick is not None}
    if not metric and several:
        by_pick: dict[int, list[str]] = {}
        for name, pick in several.items():
            by_pick.setdefault(pick, []).append(name)
        if len(by_pick) > 1:
            listed = (f"choice {pick} ({', '.join(names)})" for pick, names in by_pick.items())
            return ", ".join(listed)
        return f"choice {next(iter(by_pick))}"
    if case.get("picked") is not None:
        return f"choice {case.get('picked')}"
    answers = case.get("answers", {})
    name = metric.rpartition("@")[2]
    chosen = [answers[name]] if name in answers else list(answers.values())
    found = [text for own in chosen for text in own]
    return " | ".join(one_line(text) for text in found) or NOTHING


def one_line(value: object, width: int = 60) -> str:
    """A text, or any other JSON value, on one line of at most `width` characters."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
