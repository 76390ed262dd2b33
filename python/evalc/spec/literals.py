"""From a byte range inside a decoded TOML string to bytes of the file that it was written in."""

from __future__ import annotations

import re

ESCAPE = re.compile(
    r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[ \t]*\r?\n[ \t\r\n]*|.)", re.DOTALL
)


def _body(literal: str) -> tuple[int, int, bool]:
    """(start, end, escapes?) of the content between the quotes, in characters."""
    quote = literal[:3] if literal[:3] in ('"""', "'''") else literal[:1]
    start, end = len(quote), len(literal) - len(quote)
    if len(quote) == 3:
        start += {"\r": 2, "\n": 1}.get(literal[start : start + 1], 0)
    return start, end, quote[0] == '"'


def _decoded_bytes(unit: str) -> int:
    """How many UTF-8 bytes one source unit (a character or an escape) decodes to."""
    if not unit.startswith("\\") or len(unit) == 1:
        return 1 if unit == "\r\n" else len(unit.encode())
    kind = unit[1]
    if kind in "uUx":
        return len(chr(int(unit[2:], 16)).encode())
    return 0 if kind in " \t\r\n" else 1


def _units(literal: str, start: int, end: int, escapes: bool) -> list[str]:
    units: list[str] = []
    at = start
    while at < end:
        match = ESCAPE.match(literal, at) if escapes and literal[at] == "\\" else None
        size = match.end() - at if match else 2 if literal.startswith("\r\n", at) else 1
        units.append(literal[at : at + size])
        at += size
    return units


def narrowed(literal: str, span: tuple[int, int]) -> tuple[int, int] | None:
    """Bytes of `literal` (with its quotes) that decode to the bytes `span` of its value.

    Covers all four kinds of TOML string, escapes, line continuations and CRLF. None when
    `literal` is no string or the span lies outside of its value.
    """
    if literal[:1] not in ("'", '"'):
        return None
    start, end, escapes = _body(literal)
    source = len(literal[:start].encode())
    decoded = 0
    starts: dict[int, int] = {}
    ends: dict[int, int] = {0: source}
    for unit in _units(literal, start, end, escapes):
        width = _decoded_bytes(unit)
        if width:
            starts[decoded] = source
        source += len(unit.encode())
        decoded += width
        if width:
            ends[decoded] = source
    starts[decoded] = source
    first, last = span
    if first not in starts or last not in ends or last < first:
        return None
    return starts[first], max(starts[first], ends[last])
