"""From byte spans to lines and columns, and the text around them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from evalc.diagnostics.diagnostic import Place
from evalc.diagnostics.visible import visible

TAB = 4
MOST_BYTES = 32 << 20
"""Of a larger file no place is looked up."""
MOST_CHARACTERS = 400
"""Of a line in front of a span, in it and behind it; what is longer is cut."""
BEFORE = 80
"""Characters that are left in front of a span, where these are cut."""
MOST_EXCERPTS = 1000
"""Lines of a span that are looked at."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One shown line: its number, its text with tabs expanded, and the cells to underline."""

    line: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Location:
    """A place for people: 1-based lines and columns; columns count code points.

    `end_column` is that of the character after the last one. Columns are None where only a line
    is known, lines where only a file is known.
    """

    path: Path
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    excerpts: tuple[Excerpt, ...] = field(default=())


def located(place: Place) -> Location:
    """Read the place's text, if it can be read, and find line and columns in it."""
    if place.span is None:
        return Location(place.path) if place.line is None else _whole_line(place, place.line)
    raw = _raw(place)
    if raw is None:
        return Location(place.path, place.line)
    start = min(place.span.start, len(raw))
    end = max(start, min(place.span.end, len(raw)))
    if end > start and raw[end - 1 : end] == b"\n":
        end -= 1
    line, line_start = _line_at(raw, start)
    end_line, end_start = _line_at(raw, end)
    return Location(
        place.path,
        line,
        _characters(raw, line_start, start) + 1,
        end_line,
        _characters(raw, end_start, end) + 1,
        tuple(_excerpts(raw, start, end)),
    )


def _raw(place: Place) -> bytes | None:
    if place.text is not None:
        return place.text.encode(errors="surrogatepass")
    try:
        if not _quotable(place.path):
            return None
        whole = place.path.is_file() and place.path.stat().st_size <= MOST_BYTES
        return place.path.read_bytes() if whole else None
    except OSError:
        return None


def _line_of(place: Place, number: int) -> bytes | None:
    """The beginning of a line, if it can be read."""
    if place.text is not None:
        lines = place.text.encode(errors="surrogatepass").split(b"\n")
        return lines[number - 1] if 1 <= number <= len(lines) else None
    try:
        if number < 1 or not _quotable(place.path) or not place.path.is_file():
            return None
        with place.path.open("rb") as stream:
            for _ in range(number - 1):
                while (part := stream.readline(1 << 20)) and not part.endswith(b"\n"):
                    pass
            return stream.readline(8 * MOST_CHARACTERS).rstrip(b"\n")
    except OSError:
        return None


def _quotable(path: Path) -> bool:
    """Whether lines of a file may be shown. A spec can name any file of the machine, and a link
    in the repository can lead to one: outside the working directory only specs are quoted, and
    those not through a link."""
    here = Path.cwd()
    named, real = here / path, path.resolve()
    if real.is_relative_to(here.resolve()):
        return True
    return named.suffix == ".toml" and not (named.is_relative_to(here) or named.is_symlink())


def _whole_line(place: Place, line: int) -> Location:
    text = _line_of(place, line)
    if text is None or b"\0" in text or not text.strip():
        return Location(place.path, line)
    shown = _expanded(_cut(text.decode(errors="replace").rstrip("\r")))
    return Location(place.path, line, excerpts=(Excerpt(line, shown, 0, 0),))


def _line_at(raw: bytes, offset: int) -> tuple[int, int]:
    """(1-based line, offset of its first byte)."""
    return raw.count(b"\n", 0, offset) + 1, raw.rfind(b"\n", 0, offset) + 1


def _characters(raw: bytes, start: int, end: int) -> int:
    return len(raw[start:end].decode(errors="replace").removeprefix("\ufeff"))


def _excerpts(raw: bytes, start: int, end: int) -> list[Excerpt]:
    """The lines that a span touches, with the part of each that it covers."""
    found = []
    at = start
    while True:
        line, first = _line_at(raw, at)
        stop = raw.find(b"\n", at)
        stop = len(raw) if stop < 0 else stop
        found.append(_excerpt(raw, line, (first, stop), (at, min(end, stop))))
        if stop >= end or len(found) == MOST_EXCERPTS:
            return found
        at = stop + 1


def _excerpt(raw: bytes, line: int, whole: tuple[int, int], part: tuple[int, int]) -> Excerpt:
    head = _text(raw[whole[0] : part[0]])
    if len(head) > MOST_CHARACTERS:
        head = "..." + head[-BEFORE:]
    span = _cut(_text(raw[part[0] : part[1]]))
    rest = "" if span.endswith("...") else _cut(_text(raw[part[1] : whole[1]]))
    text, through = (head + span + rest).rstrip("\r"), (head + span).rstrip("\r")
    return Excerpt(line, _expanded(text), width(_expanded(head)), width(_expanded(through)))


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace").removeprefix("\ufeff")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "..."


def width(text: str) -> int:
    """Terminal cells that `text` takes from the start of a line."""
    cells = 0
    for char in text:
        if char == "\t":
            cells += TAB - cells % TAB
        elif unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
            continue
        else:
            cells += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return cells


def _expanded(text: str) -> str:
    """`text` visible, with tabs as spaces."""
    shown = ""
    for at, part in enumerate(text.split("\t")):
        shown += (" " * (TAB - width(shown) % TAB) if at else "") + visible(part)
    return shown
