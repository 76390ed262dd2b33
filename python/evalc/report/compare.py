"""One metric of one task, compared between two results on their common cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from evalc.decide import UNCHANGED, Paired, paired
from evalc.report.build import finite, macro_slice
from evalc.report.shape import CaseEntry, MetricEntry, ResultEntry
from evalc.report.words import answer
from evalc.score.cells import FloatArray
from evalc.score.columns import Direction
from evalc.spec.metrics import OF_THE_CORPUS

_OF_THE_CORPUS = ("delta", "jackknife")
"""Methods that tell a metric of the corpus where a report has no `aggregate`; not if `macro`."""


class FlipEntry(TypedDict):
    """A case whose value changed, with both answers."""

    id: str
    a: float
    b: float
    answer_a: str
    answer_b: str
    target: Any


class ComparisonEntry(TypedDict):
    """A metric on the n common cases of A and B, `delta` = b - a.

    `fixed` and `broken` count the cases that got better and worse (null where neither way is
    better), `changed` both together. `detectable` is the least difference that as many pairs would
    show with a power of 0.8. Of the `wanted` cases of A or B, `only_a` and `only_b` are
    scored on one side only; `complete` when all are scored on both.
    For a metric of the whole corpus (BLEU, perplexity), however it is averaged, `a`, `b` and
    `delta` are the reports' own values, given only when both have the same cases, and there is no
    test. `flips` are all
    changed cases, broken ones first, then by how far they moved.
    """

    task: str
    metric: str
    model_a: str
    model_b: str
    direction: Direction
    binary: bool
    a: float | None
    b: float | None
    delta: float | None
    stderr: float | None
    low: float | None
    high: float | None
    p: float | None
    test: str
    detectable: float | None
    n: int
    wanted: int
    only_a: int
    only_b: int
    complete: bool
    changed: int
    fixed: int | None
    broken: int | None
    flips: list[FlipEntry]


Pair = tuple[CaseEntry, CaseEntry]


def comparisons(left: ResultEntry, right: ResultEntry) -> Iterator[ComparisonEntry]:
    """Every metric that both results have; both must list their cases."""
    others = {metric["metric"]: metric for metric in right["metrics"]}
    own, by_id = _by_id(left["cases"]), _by_id(right["cases"])
    pairs = [(case, by_id[key]) for key, case in own.items() if key in by_id]
    wanted = len(own.keys() | by_id.keys())
    for metric in left["metrics"]:
        other = others.get(metric["metric"])
        if other is not None:
            yield _comparison(left, right, (metric, other), pairs, wanted)


def _by_id(cases: Sequence[CaseEntry]) -> dict[tuple[str, int], CaseEntry]:
    """Cases by id and occurrence: rows of equal content may share an id."""
    seen: dict[str, int] = {}
    found = {}
    for case in cases:
        occurrence = seen.get(case["id"], 0)
        seen[case["id"]] = occurrence + 1
        found[case["id"], occurrence] = case
    return found


def _comparison(
    left: ResultEntry,
    right: ResultEntry,
    metrics: tuple[MetricEntry, MetricEntry],
    pairs: Sequence[Pair],
    wanted: int,
) -> ComparisonEntry:
    name, direction = metrics[0]["metric"], metrics[0]["direction"]
    common = [
        (x, y)
        for x, y in pairs
        if x["scores"].get(name) is not None and y["scores"].get(name) is not None
    ]
    binary = all(metric["binary"] for metric in metrics)
    values = tuple(_values(common, side, name) for side in (0, 1))
    corpus = any(_of_the_corpus(metric) for metric in metrics)
    if corpus:
        counted = _same_cases((left, right), metrics)
        whole = _of_both_corpora(metrics, values, counted)
    else:
        whole = _paired(metrics, common, values, binary)
    better, worse = (whole.up, whole.down) if direction == "higher" else (whole.down, whole.up)
    return {
        "task": left["task"],
        "metric": name,
        "model_a": left["model"],
        "model_b": right["model"],
        "direction": direction,
        "binary": binary,
        "a": finite(whole.a),
        "b": finite(whole.b),
        "delta": finite(whole.delta),
        "stderr": finite(whole.stderr),
        "low": finite(whole.low),
        "high": finite(whole.high),
        "p": finite(whole.p),
        "test": whole.test,
        "detectable": finite(whole.detectable),
        "n": whole.n,
        "wanted": wanted,
        "only_a": metrics[0]["n"] - whole.n,
        "only_b": metrics[1]["n"] - whole.n,
        "complete": whole.n == wanted,
        "changed": whole.up + whole.down,
        "fixed": None if direction == "neither" else better,
        "broken": None if direction == "neither" else worse,
        "flips": _flips(common, values, name, direction),
    }


def _values(pairs: Sequence[Pair], side: int, name: str) -> FloatArray:
    return np.array([pair[side]["scores"][name] for pair in pairs], dtype=np.float64)


def _paired(
    metrics: tuple[MetricEntry, MetricEntry],
    common: Sequence[Pair],
    values: tuple[FloatArray, ...],
    binary: bool,
) -> Paired:
    average = metrics[0]["average"]
    strata = None
    if average != "micro" and average == metrics[1]["average"] and common:
        name = macro_slice(average, list(common[0][0].get("slices", {})))
        strata = [case.get("slices", {})[name] for case, _ in common]
    clusters = None
    if common and all("cluster" in case for case, _ in common):
        clusters = [case["cluster"] for case, _ in common]
    found = paired(values[0], values[1], binary=binary, clusters=clusters, strata=strata)
    if any(_chosen_by_results(metric) for metric in metrics):
        # no interval or test of a fixed number of cases holds where what was seen chose it
        return replace(found, stderr=None, low=None, high=None, p=None, test="none")
    return found


def _of_the_corpus(metric: MetricEntry) -> bool:
    """Whether the value of a metric is no mean of the values of cases."""
    aggregate = metric.get("aggregate")
    if aggregate is not None:
        return aggregate != "mean"
    named = metric["metric"].partition("@")[0]
    return named in OF_THE_CORPUS or metric["method"] in _OF_THE_CORPUS


def _same_cases(
    results: tuple[ResultEntry, ResultEntry], metrics: tuple[MetricEntry, MetricEntry]
) -> int | None:
    """How many cases both values are of; None where they are of others, averaged otherwise, or it
    cannot be told.

    A case that counts may have no value of its own, such as the perplexity of a text without words,
    and is then told from one without a record by the number of those that count.
    """
    if metrics[0]["average"] != metrics[1]["average"]:
        return None
    found = []
    for result, metric in zip(results, metrics, strict=True):
        cases = _by_id(result["cases"])
        name = metric["metric"]
        valued = {key for key, case in cases.items() if case["scores"].get(name) is not None}
        if metric["value"] is None or metric["n"] not in (len(valued), len(cases)):
            return None
        counted = valued if metric["n"] == len(valued) else cases.keys()
        found.append((valued, counted))
    return len(found[0][1]) if found[0] == found[1] else None


def _of_both_corpora(
    metrics: tuple[MetricEntry, MetricEntry], values: tuple[FloatArray, ...], n: int | None
) -> Paired:
    """The reports' own values, if they are of the same `n` cases; cases say only which moved."""
    a, b = (None if n is None else metric["value"] for metric in metrics)
    n = len(values[0]) if n is None else n
    delta = None if a is None or b is None else b - a
    moved = values[1] - values[0]
    up, down = int((moved > UNCHANGED).sum()), int((moved < -UNCHANGED).sum())
    return Paired(n, a, b, delta, None, None, None, None, "none", up, down)


def _chosen_by_results(metric: MetricEntry) -> bool:
    """Whether a run ended because of what it saw."""
    return metric["value"] is not None and metric["method"] in ("anytime", "none")


def _flips(
    pairs: Sequence[Pair], values: tuple[FloatArray, ...], name: str, direction: Direction
) -> list[FlipEntry]:
    moved = values[1] - values[0]
    gain = -moved if direction == "lower" else moved
    order = sorted(
        np.flatnonzero(np.abs(moved) > UNCHANGED).tolist(),
        key=lambda i: (gain[i] > 0 and direction != "neither", -abs(moved[i])),
    )
    return [
        {
            "id": pairs[i][0]["id"],
            "a": float(values[0][i]),
            "b": float(values[1][i]),
            "answer_a": answer(pairs[i][0], name),
            "answer_b": answer(pairs[i][1], name),
            "target": pairs[i][0]["target"],
        }
        for i in order
    ]
