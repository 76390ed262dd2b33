"""`evalc.lock`: what is remote, pinned. A TOML file beside the spec files, meant to be committed.

    version = 1

    [[models]]
    address = "hf:org/name@revision"     as the spec writes it
    revision = "main"                    what was resolved
    commit = 40 hex digits
    files = [{ path, size, blake3 }]     every file that is used

    [[datasets]]                         the same, and
    rows = number of rows
    content = BLAKE3 of the rows as they were ingested (JSON Lines)

Entries stand in the order of their addresses, files in that of their paths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.plan.addresses import Kind
from evalc.store.replacing import asked_for

NAME = "evalc.lock"
VERSION = 1
HEAD = "# What is remote, pinned. Written by `evalc lock`; commit it, do not edit it.\n"
SECTIONS: dict[Kind, str] = {"model": "models", "dataset": "datasets"}
HEX64 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file of a repository: path in it, size in bytes, BLAKE3 of its content in hex."""

    path: str
    size: int
    blake3: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One address, pinned. `rows` and `content` are None for a model."""

    kind: Kind
    address: str
    revision: str
    commit: str
    files: tuple[LockedFile, ...]
    rows: int | None = None
    content: str | None = None

    @property
    def key(self) -> tuple[Kind, str]:
        """What an entry is found by."""
        return self.kind, self.address


Entries = Mapping[tuple[Kind, str], Entry]


def read_lock(folder: Path) -> dict[tuple[Kind, str], Entry]:
    """The entries of the lock in a folder, none when there is no lock.

    Raises Faults when it cannot be read, or is of another version.
    """
    path = folder / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _bad(path, f"cannot be read: {error}") from None
    return parsed_lock(path, text)


def parsed_lock(path: Path, text: str) -> dict[tuple[Kind, str], Entry]:
    """The entries in the text of a lock; `path` is what messages call it. Raises Faults."""
    try:
        tables = tomli.loads(text)
    except ValueError as error:
        raise _bad(path, f"cannot be read: {error}") from None
    if tables.get("version") != VERSION:
        raise _bad(path, f"has version `{tables.get('version')}`, and this evalc reads {VERSION}")
    try:
        found = [_entry(kind, t) for kind, name in SECTIONS.items() for t in tables.get(name, [])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad(path, f"is malformed: {type(error).__name__} at {error}") from None
    return {entry.key: entry for entry in found}


def write_lock(folder: Path, entries: Iterable[Entry]) -> None:
    """Write a lock atomically, or not at all when it says the same already.

    Raises Faults when the folder cannot be written.
    """
    path, text = folder / NAME, lock_text(entries)
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        with asked_for(path) as stream:
            stream.write(text)
    except OSError as error:
        message = f"`{path}` cannot be written: {(error.strerror or str(error)).lower()}"
        hint = "run `evalc lock` where the spec folder can be written, and commit the lock"
        raise Faults([Diagnostic("lock-unwritable", message, hint=hint)]) from None


def lock_text(entries: Iterable[Entry]) -> str:
    """The lock as text; the same for the same entries in any order."""
    ordered = sorted(entries, key=lambda entry: entry.key)
    parts = [f"{HEAD}version = {VERSION}\n"]
    for kind, section in SECTIONS.items():
        parts += [_table(section, entry) for entry in ordered if entry.kind == kind]
    return "\n".join(parts)


def _table(section: str, entry: Entry) -> str:
    lines = [
        f"[[{section}]]",
        f"address = {_text(entry.address)}",
        f"revision = {_text(entry.revision)}",
        f"commit = {_text(entry.commit)}",
    ]
    if entry.rows is not None and entry.content is not None:
        lines += [f"rows = {entry.rows}", f"content = {_text(entry.content)}"]
    lines.append("files = [")
    for file in sorted(entry.files, key=lambda file: file.path):
        fields = f"path = {_text(file.path)}, size = {file.size}, blake3 = {_text(file.blake3)}"
        lines.append(f"  {{ {fields} }},")
    return "\n".join([*lines, "]", ""])


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are all TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _entry(kind: Kind, table: Mapping[str, Any]) -> Entry:
    files = tuple(
        LockedFile(_path(file["path"]), int(file["size"]), _hex(HEX64, file["blake3"]))
        for file in table["files"]
    )
    dataset = kind == "dataset"
    return Entry(
        kind=kind,
        address=str(table["address"]),
        revision=str(table["revision"]),
        commit=_hex(COMMIT, table["commit"]),
        files=files,
        rows=int(table["rows"]) if dataset else None,
        content=_hex(HEX64, table["content"]) if dataset else None,
    )


def _hex(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"`{value}`")
    return value


def _path(value: str) -> str:
    """A path inside a repository; one that leads out of it is refused."""
    if not value or value.startswith("/") or "\\" in value or ".." in value.split("/"):
        raise ValueError(f"`{value}`")
    return value


def _bad(path: Path, what: str) -> Faults:
    hint = "restore it from version control, or delete it and run `evalc lock`"
    return Faults([Diagnostic("bad-lock", f"`{path}` {what}", Place(path), hint=hint)])
