"""The shape of a pinned plan: whoever changes the file can write its digest anew.

A member that is not named here is not looked at.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from evalc.store.records import is_text


def _plain(text: str) -> str:
    """A text that can be a path's, and can be printed."""
    if "\0" in text or not is_text(text):
        raise ValueError("it is no text")
    return text


def _path(text: str) -> str:
    """A path, which need not be UTF-8."""
    if "\0" in text:
        raise ValueError("it is no path")
    os.fsencode(text)
    return text


Located = Annotated[str, AfterValidator(_path)]
Text = Annotated[str, AfterValidator(_plain)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Digests = dict[Text, Text]


class Ask(TypedDict):
    """What was asked for on the command line."""

    directory: Located
    paths: Annotated[list[Located], Field(min_length=1)]
    overrides: list[Text]
    suites: list[Text]
    models: list[Text]
    tasks: list[Text]
    tier: Text | None
    no_hooks: bool
    cache: Located | None


class Keys(TypedDict):
    """How many requests, and a digest of their keys."""

    count: Count
    digest: Text


class Remaining(Keys):
    """Which of them had no record."""

    bits: Text


class Pins(TypedDict):
    """Digests of what the plan rests on."""

    specs: dict[Located, Text]
    tier: Text
    cells: list[Annotated[list[Text], Field(min_length=2, max_length=2)]]
    tasks: dict[Text, Digests]
    datasets: dict[Text, Digests]
    models: dict[Text, Digests]
    limits: NotRequired[Digests]
    gates: NotRequired[dict[Text, Digests]]
    keys: Keys
    remaining: Remaining


class Estimate(TypedDict):
    """What it costs."""

    flops: Number
    seconds: Number
    usd: Number | None
    basis: Text


class Expected(TypedDict):
    """What it costs when its gates are decided early."""

    early: bool
    usd: Number | None
    seconds: Number


class Total(TypedDict):
    """Counts of the whole plan."""

    cases: Count
    requests: Count
    deduped: Count
    cached: Count
    to_run: Count
    prefill_tokens: Count
    prefill_tokens_unshared: Count
    decode_tokens_bound: Count
    estimate: Estimate
    setup_seconds: NotRequired[Number]
    expected: NotRequired[Expected | None]


class Change(TypedDict):
    """What changed of a component."""

    component: Text
    key: Text | None
    old: Text | None
    new: Text | None


class Reason(TypedDict):
    """Why cases are asked."""

    reason: Text
    detail: Text | None
    cases: Count
    changes: list[Change]


class Cell(Total):
    """Counts of a task on a model."""

    model: Text
    task: Text
    split_words: Count
    truncated: Count
    forged: NotRequired[Count]
    forged_first: NotRequired[Annotated[list[Any], Field(min_length=3, max_length=3)] | None]
    split_first: NotRequired[Annotated[list[Any], Field(min_length=4, max_length=4)] | None]
    unsure_targets: NotRequired[Count]
    unsure_indices: NotRequired[Count]
    reasons: NotRequired[list[Reason]]


class Model(TypedDict):
    """Where a model lies, and how it computes."""

    name: Text
    path: Located
    adapted: NotRequired[Text | None]
    device: Text
    dtype: Text


class Decision(TypedDict):
    """When a gate is expected to be decided."""

    gate: Text
    model: Text
    key: Text
    cases: Count
    total: Count
    assumes: Text
    why: Text | None


class Plan(TypedDict):
    """What `plan --json` printed."""

    tier: Text
    nothing_to_run: bool
    models: list[Model]
    hooks: list[Text]
    cells: list[Cell]
    total: Total
    decisions: NotRequired[list[Decision]]


class Pinned(TypedDict):
    """The whole file, without its digest."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    evalc: Text
    ask: Ask
    pins: Pins
    plan: Plan


_ADAPTER = TypeAdapter(Pinned)


def misshapen(content: Any) -> str | None:
    """Where a pinned plan has not the shape that its readers count on; None where it has."""
    try:
        _ADAPTER.validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        return ".".join(map(str, first["loc"]))
    return None
