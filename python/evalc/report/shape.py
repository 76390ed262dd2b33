"""The shape of a report's JSON, version 1. Every number is finite or null."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from evalc.diagnostics import Diagnostic, Faults
from evalc.score.cells import Kind
from evalc.score.columns import Direction

SCHEMA: Literal["evalc.report/1"] = "evalc.report/1"


Aggregated = Literal["mean", "ratio", "corpus"]
"""How the values of cases make the value of a metric: see `evalc.score.columns.Aggregate`."""


class EstimateEntry(TypedDict):
    """An `evalc.decide.Estimate`: `n` of `total` cases are scored; the interval is of 95 %."""

    value: float | None
    stderr: float | None
    low: float | None
    high: float | None
    n: int
    total: int
    complete: bool
    method: str


class IntervalEntry(TypedDict):
    """A value and where it lies."""

    value: float
    low: float
    high: float


class MetricEntry(EstimateEntry):
    """A metric of a cell. `slices` maps a slice's name and value to the estimate over its cases.

    The estimate itself is of the population from which the cases are a sample; after a run that
    ended early no such interval holds, and with the method `anytime` it is the benchmark's.
    `benchmark` is what the full run would print: a point when it ran, else an interval that holds
    whenever the run ended; null or absent where the cases do not say.

    `aggregate` says whether the value is a mean of the values of cases (absent in older reports).
    `detectable` is the least difference from another model that as many cases would show with a
    power of 0.8.
    """

    metric: str
    aggregate: NotRequired[Aggregated]
    binary: bool
    direction: Direction
    average: str
    benchmark: NotRequired[IntervalEntry | None]
    slices: dict[str, dict[str, EstimateEntry]]
    detectable: NotRequired[float | None]


CaveatKind = Literal["truncated", "split_words", "unsure_targets", "unsure_indices", "cut_off"]


class CaveatEntry(TypedDict):
    """What the scores of `cases` cases have to be read with.

    `truncated`: the context was cut at the left; `split_words`: the continuation starts inside a
    token; `unsure_targets`: the target is the text of one choice and the index of another;
    `unsure_indices`: it is the index of one choice and says what another does; `cut_off`: an answer
    ended at `max_new_tokens`. `example` has what a first case shows of it.
    """

    kind: CaveatKind
    cases: int
    example: NotRequired[str]


class CaseEntry(TypedDict):
    """A case. A score is null where a record is missing. `picked` is the index of the likeliest
    choice, `picks` of the one that each metric picks, `answers` the extracted answers of every
    repeat by name of extraction."""

    id: str
    scores: dict[str, float | None]
    target: Any
    picked: NotRequired[int | None]
    picks: NotRequired[dict[str, int | None]]
    answers: NotRequired[dict[str, list[str]]]
    cluster: NotRequired[str]
    slices: NotRequired[dict[str, str]]


class ResultEntry(TypedDict):
    """A model under a task. `total` cases were wanted; `population` are there without a budget.

    `ended` tells why a run by rounds did not ask all of them.
    """

    model: str
    task: str
    kind: Kind
    total: int
    scored: int
    complete: bool
    population: int | None
    metrics: list[MetricEntry]
    ended: NotRequired[Literal["decided", "budget"]]
    caveats: NotRequired[list[CaveatEntry]]
    cases: NotRequired[list[CaseEntry]]


def whole(result: ResultEntry) -> int:
    """How many cases there are without a budget."""
    return max(result["total"], result["population"] or 0)


class RoundEntry(TypedDict):
    """What was known when `seen` cases had been looked at: the value with its anytime interval.

    `log_for` and `log_against` are natural logs of the evidence that the condition holds and that
    it does not; null for a condition on the interval's width.
    """

    seen: int
    value: float
    low: float
    high: float
    log_for: float | None
    log_against: float | None


class ConditionEntry(TypedDict):
    """A condition of a gate. `key` is the spec's; `bound` is what the value is held against, or
    the change of it, by `scope`: `value` or `difference`.

    `low` and `high` hold whenever the run ended; they are null where nothing was looked at. `seen`
    of `total` cases were looked at, in `looks` looks; the plan `expected` so many. `rounds` has
    every look, where it was asked for; it passes when `log_for` reaches `pass_at`, and fails when
    `log_against` reaches `fail_at`.
    """

    key: str
    scope: Literal["value", "difference"]
    bound: float
    state: Literal["pass", "fail", "inconclusive"]
    basis: Literal["certain", "evidence", "none"]
    value: float | None
    low: float | None
    high: float | None
    seen: int
    total: int
    looks: int
    expected: NotRequired[int]
    rounds: NotRequired[list[RoundEntry]]
    pass_at: NotRequired[float]
    fail_at: NotRequired[float]


class ChangeEntry(TypedDict):
    """What a gate's metric did against its baseline.

    `difference` is the estimate of the whole, with an interval that holds at the gate's level
    whenever the run ended. Of `total` cases `compared` are answered by both, `better` and `worse`
    of them in another way than before. `p` is exact McNemar's, null unless all are compared.
    """

    difference: float | None
    low: float | None
    high: float | None
    better: int
    worse: int
    compared: int
    total: int
    p: float | None


class RecordedEntry(TypedDict):
    """What a gate's baseline was recorded on: `scored` of `total` cases, fewer than all."""

    scored: int
    total: int


class CandidateEntry(TypedDict):
    """A candidate of a race. `seen` of its cases were looked at; `value` is an estimate from them.

    `difference` is how much more that is than the leader's, which is the first of its race; `low`
    and `high` hold whenever the race ended.
    """

    model: str
    standing: Literal["best", "out", "open"]
    seen: int
    value: float | None
    difference: float | None
    low: float | None
    high: float | None


class GateEntry(TypedDict):
    """A gate's verdict on a model. `error` bounds the probability that it is wrong.

    `needed` tells whether a verdict that is inconclusive fails the run. `why` says why nothing
    could be judged, `recorded` that the baseline is the record of a part of its cases. A race has
    `candidates` and no conditions, and `model` is its leader; it passes when it is known which is
    best.
    """

    gate: str
    model: str
    task: str
    metric: str
    baseline: str | None
    state: Literal["pass", "fail", "inconclusive"]
    basis: Literal["certain", "evidence", "none"]
    alpha: float
    error: float
    needed: bool
    why: str | None
    conditions: list[ConditionEntry]
    change: NotRequired[ChangeEntry]
    recorded: NotRequired[RecordedEntry]
    candidates: NotRequired[list[CandidateEntry]]


class MovedEntry(TypedDict):
    """A value that moved, by an estimate of the `difference` from its baseline's."""

    name: str
    difference: float


class MovesEntry(TypedDict):
    """Which of `compared` values the full run would print otherwise than their baselines have them.

    The values are the metrics of gates that compare with a baseline, named `gate (model)`; or, with
    `gate`, `model` and `slice`, those of the groups of one gate's cases, named as the slice's
    values. Of what is `moved` a share of at most `rate` is expected not to have (the false
    discovery rate), whenever the run ended. A description, and no verdict.
    """

    gate: str | None
    model: str | None
    slice: str | None
    rate: float
    compared: int
    moved: list[MovedEntry]


class UnscoredEntry(TypedDict):
    """A model under a task that was wanted but not scored, and why, as a clause."""

    model: str
    task: str
    why: str


class UnjudgedEntry(TypedDict):
    """A gate that judged no model, and why, as a clause."""

    gate: str
    task: str
    why: str


class Report(TypedDict):
    """All results. `complete`: every case of every result is scored, and nothing is `unscored`.

    `gates` are verdicts; `unjudged` are the gates of the spec that have none. `moves` says what
    moved against the gates' baselines, where it is not known for certain.

    `plan` holds the plan's total counts (`Plan.summary()["total"]`), `runs` the manifests of the
    runs that answered, as the store has them. `since` says what chose the tier, as `plan --json`.
    """

    schema: Literal["evalc.report/1"]
    tier: str | None
    complete: bool
    level: float
    results: list[ResultEntry]
    unscored: list[UnscoredEntry]
    gates: NotRequired[list[GateEntry]]
    unjudged: NotRequired[list[UnjudgedEntry]]
    moves: NotRequired[list[MovesEntry]]
    plan: dict[str, Any] | None
    runs: list[dict[str, Any]]
    since: NotRequired[dict[str, Any]]


_ADAPTER = TypeAdapter(Report)


def to_json(report: Report) -> str:
    """The report as JSON text, ending in a newline; equal reports give equal texts."""
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def from_json(text: str, name: str) -> Report:
    """Read a report back; `name` is what messages call it. Raises `Faults` (`not-a-report`)."""
    try:
        return _ADAPTER.validate_python(json.loads(text), strict=True)
    except json.JSONDecodeError as error:
        raise _not_a_report(name, f"it is not JSON ({error.msg}, line {error.lineno})") from None
    except RecursionError:
        raise _not_a_report(name, "it is nested too deeply") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise _not_a_report(name, f"`{where}`: {first['msg'].lower()}") from None


def _not_a_report(name: str, why: str) -> Faults:
    return Faults(
        [
            Diagnostic(
                "not-a-report",
                f"`{name}` is not a report that this evalc reads: {why}",
                hint=f"write it with `evalc report --json` of a version that writes `{SCHEMA}`",
            )
        ]
    )
