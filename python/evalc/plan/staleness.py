"""What has changed since a plan was pinned, as diagnostics that point at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalc import __version__
from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode
from evalc.plan.judged import RESULT
from evalc.plan.pinned import missing_bits
from evalc.plan.planned import Planned
from evalc.plan.provenance import short

KEYS = {
    "model code": "trust_remote_code",
    "length": "max_length",
    **{key: key for key in ("adapter", "quantization", "dtype", "numerics", "device", "chat")},
}
"""Key of a model's table that decides a component; `path` decides the others."""


def changes(
    content: Mapping[str, Any], now: Mapping[str, Any], planned: Planned
) -> list[Diagnostic]:
    """Everything in which `now`, the pins of a fresh plan, differs from a pinned plan's content."""
    before = content["pins"]
    found = [
        *_selection(before, now),
        *_tasks(before, now, planned),
        *_datasets(before, now, planned),
        *_models(before, now, planned),
        *_gates(before, now, planned),
    ]
    same_keys = before["keys"] == now["keys"]
    if same_keys:
        found += _cache(before, planned)
    elif not found:
        message = f"evalc {__version__} asks other requests than evalc {content['evalc']} planned"
        found.append(Diagnostic("stale-plan", message))
    return found


def refusal(
    path: Path,
    why: Sequence[Diagnostic],
    before: Mapping[str, str] | None = None,
    now: Mapping[str, str] | None = None,
) -> Faults:
    """The refusal to run a pinned plan: that it is stale, then everything that changed.

    `before` and `now` are digests of the spec files, of which those that differ are named.
    """
    old, new = before or {}, now or {}
    edited = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
    head = Diagnostic(
        "stale-plan",
        f"the pinned plan `{path}` is stale",
        notes=tuple(f"edited since: `{name}`" for name in edited),
        hint=f"look at it with `evalc plan --show {path}`, make a new one with "
        f"`evalc plan --out {path}`",
    )
    return Faults([head, *why], exit_code=ExitCode.STALE_PLAN)


def _selection(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Diagnostic]:
    if before["tier"] != now["tier"]:
        notes = (f"it was {before['tier']}, it is {now['tier']}",)
        yield Diagnostic("stale-plan", "the tier is another one", notes=notes)
    elif keys := _different(before.get("limits", now["limits"]), now["limits"]):
        named = ", ".join(f"`{key}`" for key in keys)
        yield Diagnostic("stale-plan", f"the tier has another {named}")
    old, new = ({tuple(cell) for cell in side["cells"]} for side in (before, now))
    for what, cells in (("no longer selected", old - new), ("selected now", new - old)):
        for model, task in sorted(cells):
            yield Diagnostic("stale-plan", f"task `{task}` on model `{model}` is {what}")


def _tasks(
    before: Mapping[str, Any], now: Mapping[str, Any], planned: Planned
) -> Iterator[Diagnostic]:
    for task, keys in now["tasks"].items():
        old = before["tasks"].get(task)
        for key in _different(old, keys) if old is not None else ():
            place = planned.folder.place(("tasks", task, key))
            message = f"`{key}` of task `{task}` has changed"
            yield Diagnostic("stale-plan", message, place, notes=(_was(old, keys, key),))


def _datasets(
    before: Mapping[str, Any], now: Mapping[str, Any], planned: Planned
) -> Iterator[Diagnostic]:
    for dataset, keys in now["datasets"].items():
        old = before["datasets"].get(dataset)
        for key in _different(old, keys) if old is not None else ():
            message = f"`{key}` of dataset `{dataset}` has changed"
            if key == "content":
                message = f"the data of dataset `{dataset}` has changed: `{keys['path']}`"
            place = planned.folder.place(("datasets", dataset, "path" if key == "content" else key))
            yield Diagnostic("stale-plan", message, place, notes=(_was(old, keys, key),))


def _models(
    before: Mapping[str, Any], now: Mapping[str, Any], planned: Planned
) -> Iterator[Diagnostic]:
    for model, parts in now["models"].items():
        old = before["models"].get(model)
        for part in _different(old, parts) if old is not None else ():
            place = planned.folder.place(("models", model, KEYS.get(part, "path")))
            message = f"`{part}` of model `{model}` has changed"
            yield Diagnostic("stale-plan", message, place, notes=(_was(old, parts, part),))


def _gates(
    before: Mapping[str, Any], now: Mapping[str, Any], planned: Planned
) -> Iterator[Diagnostic]:
    old, new = before.get("gates", now["gates"]), now["gates"]
    for gate in sorted({**old, **new}):
        if gate not in old or gate not in new:
            what = "judged now" if gate in new else "no longer judged"
            yield Diagnostic("stale-plan", f"gate `{gate}` is {what}")
            continue
        for key in _different(old[gate], new[gate]):
            message = f"`{key}` of gate `{gate}` has changed"
            if key == RESULT:
                message = f"the result that gate `{gate}` compares with has changed"
            place = planned.folder.place(("gates", gate, "baseline" if key == RESULT else key))
            yield Diagnostic("stale-plan", message, place)


def _cache(before: Mapping[str, Any], planned: Planned) -> Iterator[Diagnostic]:
    """Requests answered since, and records that are gone; only for the same requests."""
    was = missing_bits(before)
    is_now = np.frombuffer(planned.hits, dtype=np.uint8) == 0
    answered, gone = int((was & ~is_now).sum()), int((is_now & ~was).sum())
    if answered:
        counted = many(int(was.sum()), "request")
        message = f"{answered:,} of its {counted} {_have(answered)} been answered since"
        hint = "run `evalc exec` with the same selection to go on with the rest"
        yield Diagnostic("stale-plan", message, hint=hint)
    if gone:
        message = f"{many(gone, 'record')} that it counted on {_have(gone)} gone from the cache"
        yield Diagnostic("stale-plan", message)


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [key for key in {**now, **before} if before.get(key) != now.get(key)]


def _was(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> str:
    old, new = (_shown(side.get(key)) for side in (before, now))
    return f"it was {old}, it is {new}"


def _shown(value: str | None) -> str:
    return f"`{short(value)}`" if value else "none"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
