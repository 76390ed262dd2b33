"""`--set table.name.key=value`: the command line's part of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli

from evalc import _core
from evalc.diagnostics import Diagnostic
from evalc.diagnostics.near import nearest
from evalc.spec.index import Entry, Loc
from evalc.spec.merge import LISTS, Merged
from evalc.spec.models import Spec
from evalc.spec.sources import SourceFile, parsed
from evalc.spec.wording import dotted, unknown_key

FLAG = "--set "
LABEL = Path("<command line>")
FREE = ("paths", "cost", "hooks")
FORM = "write it as `--set tasks.NAME.key=value`"
SINGULAR = {
    "models": "model",
    "datasets": "dataset",
    "tasks": "task",
    "suites": "suite",
    "tiers": "tier",
    "gates": "gate",
}


def override(texts: Sequence[str], into: Merged, base: Path | None = None) -> None:
    """Apply `key=value` texts in order; faults are collected in `into.faults`.

    A value is read as TOML, and as plain text when it is not TOML. Relative paths in it start
    from `base`, by default the working directory.
    """
    for text in texts:
        readable = text.encode(errors="replace").decode()
        source = SourceFile(LABEL, FLAG + readable, base or Path.cwd(), inline=True)
        parsed = _parsed(text) if readable == text else "is not UTF-8"
        if isinstance(parsed, str):
            message = f"`{source.text}` {parsed}"
            into.faults.append(Diagnostic("bad-set", message, source.place(None, 1), hint=FORM))
            continue
        loc, value, found = parsed
        fault = _placed(loc, value, source, into)
        if fault:
            into.faults.append(fault)
        else:
            moved = {k: _shifted(source, key, at) for k, (key, at) in found.items()}
            into.index.replace(loc, moved)


Spans = dict[Loc, tuple[tuple[int, int] | None, tuple[int, int] | None]]


def _shifted(
    source: SourceFile, key: tuple[int, int] | None, value: tuple[int, int] | None
) -> Entry:
    by = len(FLAG)
    moved = [None if span is None else (span[0] + by, span[1] + by) for span in (key, value)]
    return Entry(source, moved[0], moved[1])


def _parsed(text: str) -> tuple[Loc, Any, Spans] | str:
    """(location, value, spans) of one override, or what is wrong with it."""
    loc = cut = None
    for position in (i for i, char in enumerate(text) if char == "="):
        loc = _key(text[:position])
        if loc is not None:
            cut = position
            break
    if loc is None or cut is None:
        return "does not say `key=value`" if "=" not in text else "does not begin with a key"
    key = f"{text[:cut]}="
    try:
        value: Any = parsed(f"{key}{text[cut + 1 :]}")
        if _path(value)[: len(loc)] != loc or len(value) != 1:
            raise tomli.TOMLDecodeError("more than one key", text, 0)
        spans: Spans = {tuple(p): (k, v) for p, k, v in _core.toml_index(text)}
    except (ValueError, RecursionError):
        value = text[cut + 1 :]
        spans = {tuple(p): (k, None) for p, k, _ in _core.toml_index(f"{key}0")}
        spans[loc] = (spans[loc][0], (len(key.encode()), len(text.encode())))
        return loc, value, spans
    for step in loc:
        value = value[str(step)]
    return loc, value, spans


def _key(text: str) -> Loc | None:
    try:
        return _path(parsed(f"{text}=0")) or None
    except (ValueError, RecursionError):
        return None


def _path(tables: Any) -> Loc:
    """The chain of single keys from the root."""
    loc: Loc = ()
    while isinstance(tables, dict) and len(tables) == 1:
        key = next(iter(tables))
        loc, tables = (*loc, key), tables[key]
    return loc


def _placed(loc: Loc, value: Any, source: SourceFile, into: Merged) -> Diagnostic | None:
    """Put `value` at `loc` of the tables; a diagnostic when there is no such place."""
    section, place = str(loc[0]), source.place((len(FLAG), len(source.text.encode())))
    if section not in into.tables:
        return unknown_key((section,), Spec, place)
    if section in LISTS or len(loc) < 2:
        message = f"`{dotted(loc)}` cannot be set from the command line"
        return Diagnostic("bad-set", message, place, hint=FORM)
    tables = into.tables[section]
    if section not in FREE and len(loc) > 2 and loc[1] not in tables:
        close = nearest(str(loc[1]), tables)
        code, what = f"unknown-{SINGULAR[section]}", SINGULAR[section]
        hint = f"did you mean `{close}`?" if close else f"define it as `[{dotted(loc[:2])}]` first"
        return Diagnostic(code, f"no {what} is called `{loc[1]}`", place, hint=hint)
    return _assigned(tables, loc, value, place=source, into=into)


def _assigned(
    tables: Any, loc: Loc, value: Any, place: SourceFile, into: Merged
) -> Diagnostic | None:
    for size in range(2, len(loc)):
        inner = tables.setdefault(loc[size - 1], {})
        if not isinstance(inner, dict):
            at = place.place((len(FLAG), len(place.text.encode())))
            message = f"`{dotted(loc[:size])}` is not a table, so `{loc[size]}` cannot be set in it"
            return Diagnostic("bad-set", message, at, hint=f"set `{dotted(loc[:size])}` as a whole")
        tables = inner
    tables[loc[-1]] = value
    return None
