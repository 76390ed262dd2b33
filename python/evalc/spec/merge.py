"""Many spec files become one set of tables, each name defined once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic
from evalc.spec.index import FileIndex, Index
from evalc.spec.models import Spec
from evalc.spec.sources import Document
from evalc.spec.wording import dotted, shown, unknown_key, wrong_type

VERSION = 1
SECTIONS = tuple(name for name in Spec.model_fields if name != "evalc")
LISTS = ("triggers",)


@dataclass(slots=True)
class Merged:
    """The tables of all files: `tables[section][name]`, and a list under `triggers`."""

    tables: dict[str, Any] = field(
        default_factory=lambda: {name: [] if name in LISTS else {} for name in SECTIONS}
    )
    index: Index = field(default_factory=Index)
    faults: list[Diagnostic] = field(default_factory=list)


def merged(documents: Sequence[Document]) -> Merged:
    """Merge in the order given; faults are collected."""
    result = Merged()
    for document in documents:
        found = FileIndex.of(document.source)
        _check_header(document, found, result)
        for section, value in document.tables.items():
            if section != "evalc":
                _section(section, value, found, result)
    return result


def _check_header(document: Document, found: FileIndex, result: Merged) -> None:
    version = document.tables.get("evalc")
    if version is None:
        hint = f"write `evalc = {VERSION}` as its first line"
        place = document.source.place(None, line=1)
        message = f"`{_label(document)}` does not say which version of the language it is in"
        result.faults.append(Diagnostic("missing-header", message, place, hint=hint))
    elif version != VERSION or isinstance(version, bool):
        entry = found.entry(("evalc",))
        message = f"this evalc speaks version `{VERSION}` of the language, not {_said(version)}"
        place = document.source.place(entry.value)
        hint = f"write `evalc = {VERSION}`, or use the evalc that speaks it"
        if isinstance(version, str) and version.strip().lstrip("v") == str(VERSION):
            hint = f"write `evalc = {VERSION}`, a number without quotes"
        result.faults.append(Diagnostic("unsupported-version", message, place, hint=hint))


def _said(version: Any) -> str:
    plain = isinstance(version, int) and not isinstance(version, bool)
    return f"`{version}`" if plain and abs(version) < 10**20 else shown(version)


def _label(document: Document) -> str:
    return Path(document.source.path).name


def _section(section: str, value: Any, found: FileIndex, result: Merged) -> None:
    if section not in SECTIONS:
        entry = found.entry((section,))
        place = entry.source.place(entry.key)
        result.faults.append(unknown_key((section,), Spec, place))
    elif isinstance(value, list) and section in LISTS:
        known = result.tables[section]
        for position in range(len(value)):
            result.index.take(found, (section, position), (section, len(known) + position))
        known.extend(value)
    elif isinstance(value, dict) and section not in LISTS:
        for name, table in value.items():
            _name((section, name), table, found, result)
    else:
        entry = found.entry((section,))
        wanted = list if section in LISTS else dict
        place = entry.source.place(entry.value)
        result.faults.append(wrong_type((section,), value, wanted, place))


def _name(loc: tuple[str, str], table: Any, found: FileIndex, result: Merged) -> None:
    section, name = loc
    known = result.tables[section]
    if name not in known:
        known[name] = table
        result.index.take(found, loc, loc)
        return
    second = found.entry(loc)
    first = result.index.place(loc, key=True)
    related = ((first, "first defined here"),) if first else ()
    result.faults.append(
        Diagnostic(
            "duplicate-name",
            f"`{dotted(loc)}` is defined twice",
            second.source.place(second.key),
            hint="rename one of them, or remove it",
            related=related,
        )
    )
