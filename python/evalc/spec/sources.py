"""Spec files: found, read and parsed; what is wrong with a file is collected, not raised."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from evalc.diagnostics import Diagnostic, Place, Span

BOM = "\ufeff"
MOST_BYTES = 4 << 20
"""Bytes of a spec file."""
MOST_DEEP = 64
"""Tables and lists inside one another; the language has six."""
MOST_VALUES = 50_000
"""Values of a spec file, tables and lists among them."""
DIGITS = re.compile(r"[0-9_]{4300,}")
"""More than Python makes a number of."""
REASONS = {
    "Illegal character '\\n'": "a text is not closed on the line where it begins",
    "Cannot overwrite a value": "a key of this table is defined twice",
    "Invalid value": "a value is missing or malformed",
}
"""What the parser says, said so that it helps."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A text that defines tables: a spec file, or one `--set` of the command line.

    `base` is the directory that relative paths in it start from. `inline` tells a command line,
    whose `path` is only a label.
    """

    path: Path
    text: str
    base: Path
    inline: bool = False

    def place(self, span: tuple[int, int] | None, line: int | None = None) -> Place:
        """A place in this text; `span` counts its UTF-8 bytes."""
        text = self.text if self.inline else None
        return Place(self.path, Span(*span) if span else None, line, text)


@dataclass(frozen=True, slots=True)
class Document:
    """A file and the TOML tables in it."""

    source: SourceFile
    tables: dict[str, Any]


def spec_files(paths: Sequence[Path], faults: list[Diagnostic]) -> list[Path]:
    """The files that `paths` name, each once: a file itself, of a folder its `*.toml`, sorted."""
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _files_at(path, faults):
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _files_at(path: Path, faults: list[Diagnostic]) -> Iterable[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        hint = "name a spec file, or a folder with `*.toml` files in it"
        faults.append(Diagnostic("unreadable-spec", f"`{path}` does not exist", hint=hint))
        return []
    files = sorted(file for file in path.glob("*.toml") if file.is_file())
    if not files:
        hint = "write a starter there with `evalc init`, or name another folder"
        message = f"the folder `{path}` has no `*.toml` file directly in it"
        faults.append(Diagnostic("unreadable-spec", message, hint=hint))
    return files


def read(path: Path, faults: list[Diagnostic]) -> Document | None:
    """Read and parse one file; None, with the reason in `faults`, when that fails."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        message = f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}"
        faults.append(Diagnostic("unreadable-spec", message, Place(path)))
        return None
    return document(path, raw, faults)


def document(path: Path, raw: bytes, faults: list[Diagnostic]) -> Document | None:
    """Parse what a file holds, or held at another time; None, with the reason in `faults`."""
    if len(raw) > MOST_BYTES:
        message = f"`{path}` is larger than {MOST_BYTES >> 20} MiB"
        hint = "split it, or keep data in a dataset"
        faults.append(Diagnostic("unreadable-spec", message, Place(path), hint=hint))
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        place = Place(path, line=raw.count(b"\n", 0, error.start) + 1)
        message = f"byte {error.start} (`0x{raw[error.start]:02x}`) is not UTF-8"
        hint = "save the file as UTF-8"
        faults.append(Diagnostic("not-utf8", message, place, hint=hint))
        return None
    source = SourceFile(path, text, path.resolve().parent)
    tables = _parsed(source, faults)
    return None if tables is None else Document(source, tables)


def _parsed(source: SourceFile, faults: list[Diagnostic]) -> dict[str, Any] | None:
    try:
        return parsed(source.text.removeprefix(BOM))
    except tomli.TOMLDecodeError as error:
        place = source.place(_span_at(source.text, error.lineno, error.colno))
        reason = REASONS.get(error.msg, error.msg[:1].lower() + error.msg[1:])
        hint = None
        if error.msg.startswith("Unescaped"):
            hint = "write a text with backslashes in single quotes, such as `'\\d+'`"
        faults.append(Diagnostic("toml-syntax", f"this is not TOML: {reason}", place, hint=hint))
    except TooMuch as much:
        message = f"this is not TOML that can be read: {much}"
        faults.append(Diagnostic("toml-syntax", message, source.place(None)))
    except ValueError:
        message = "this is not TOML that can be read: a number has too many digits"
        found = DIGITS.search(source.text)
        span = None
        if found is not None:
            start, end = (len(source.text[:at].encode()) for at in found.span())
            span = start, end
        faults.append(Diagnostic("toml-syntax", message, source.place(span)))
    except RecursionError:
        message = "this is not TOML that can be read: it is nested too deeply"
        faults.append(Diagnostic("toml-syntax", message, source.place(None)))
    return None


class TooMuch(ValueError):  # noqa: N818
    """TOML that is deeper or longer than a spec may be; says how."""


def parsed(text: str) -> dict[str, Any]:
    """The tables of a text, checked for depth: whoever walks them calls itself at each step.

    Raises TOMLDecodeError, TooMuch, another ValueError for a number with too many digits, or
    RecursionError.
    """
    tables = tomli.loads(text)
    level: list[Any] = [tables]
    count = 0
    for _ in range(MOST_DEEP):
        count += sum(len(one) for one in level)
        if count > MOST_VALUES:
            raise TooMuch(f"it has more than {MOST_VALUES:,} values")
        level = [part for one in level for part in _parts(one)]
        if not level:
            return tables
    raise TooMuch("it is nested too deeply")


def _parts(value: Any) -> Iterable[Any]:
    inside = value.values() if isinstance(value, dict) else value
    return [part for part in inside if isinstance(part, dict | list)]


def _span_at(text: str, line: int, column: int) -> tuple[int, int]:
    """The bytes of the character at a 1-based line and column, empty at the end of the text."""
    lines = text.split("\n")
    before = "".join(part + "\n" for part in lines[: line - 1])
    current = (lines[line - 1] if line <= len(lines) else "").removeprefix(BOM)
    shift = len(BOM.encode()) if line == 1 and text.startswith(BOM) else 0
    start = shift + len((before + current[: column - 1]).encode())
    return start, start + len(current[column - 1 : column].rstrip("\r").encode())
