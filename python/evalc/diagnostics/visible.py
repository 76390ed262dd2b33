"""Text that is not our own wording, made visible: what a terminal, a browser or a CI system would
obey, hide or turn round is written as an escape that anyone can read.

Our words and foreign values meet in sentences, so the boundary is the line: what prints a line
makes all of it visible and ends it itself, and no value can end it. `visible` makes one line, and
`visible_lines` keeps the line breaks of a text whose lines are ours.

Letters of every script, accents and emoji stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

UNSEEN = (
    (0x00, 0x1F),  # C0: ESC, BEL, CR, LF, TAB, BS
    (0x7F, 0x9F),  # DEL, and C1: CSI, OSC, NEL
    (0xAD, 0xAD),  # soft hyphen
    (0x34F, 0x34F),  # combining grapheme joiner
    (0x600, 0x605),  # Arabic signs above numbers
    (0x61C, 0x61C),  # Arabic letter mark
    (0x6DD, 0x6DD),
    (0x70F, 0x70F),
    (0x890, 0x891),
    (0x8E2, 0x8E2),
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer vowels that are not seen
    (0x180B, 0x180F),  # Mongolian selectors
    (0x200B, 0x200F),  # zero width, joiners, direction marks
    (0x2028, 0x202E),  # line and paragraph separators, embeddings and overrides
    (0x2060, 0x206F),  # word joiner, isolates, deprecated controls
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xF8FF),  # lone surrogates, private use
    (0xFDD0, 0xFDEF),  # no characters
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # Hangul filler
    (0xFFF0, 0xFFFB),  # annotations
    (0xFFFE, 0xFFFF),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),  # Egyptian joiners
    (0x1BCA0, 0x1BCA3),  # shorthand controls
    (0x1D173, 0x1D17A),  # musical controls
    *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0x10000, 0xE0000, 0x10000)),
    (0xE0000, 0xE0FFF),  # tags, variation selectors
    (0xEFFFE, 0x10FFFF),  # private use
)
"""Inclusive ranges of code points: controls, formats, surrogates, private use, and what fonts draw
as nothing (Default_Ignorable_Code_Point of Unicode). Written down, so that output does not depend
on the version of Unicode that Python knows; a test compares them with it."""

_SEEN = "0-9A-Za-z!-/:-@[-`{-~ \\s"
_JOINED = f"(?<=[^{_SEEN}\u200b\u2060\ufeff\u00ad])[\u200c\u200d](?=[^{_SEEN}])"
_PRESENTED = f"(?<=[^{_SEEN}\ufe00-\ufe0f]|[0-9#*])[\ufe0e\ufe0f]"
_CLASS = "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in UNSEEN)
# written by the runners of GitHub and Azure anywhere in a line, by TeamCity's at its start
_HASHED = r"#(?=#[A-Za-z]*\[)"
_HIDDEN = re.compile(f"(?P<kept>{_JOINED}|{_PRESENTED})|[{_CLASS}]|{_HASHED}")
"""Joiners stay between letters of scripts that need them and within emoji, and so does the selector
of a coloured emoji; anywhere else they hide something."""
_COMMAND = re.compile(r"(?m)^((?:\x1b\[[0-9;]*m|[^\S\n])*):(?=:(?!:))")
"""Where a runner reads a workflow command: at the start of a line, spaces of any kind aside. No
command has a name that begins with a third colon."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """`text` on one line that says what it holds: a line feed as `\\n`, U+202E as `\\u202e`."""
    return _HIDDEN.sub(_escape, text)


def visible_lines(text: str) -> str:
    """`text` with its line feeds and tabs, all else visible; no line begins a workflow command."""
    return commandless(seen(text))


def visible_within(value: Any) -> Any:
    """The same JSON value, keys included, with the lines of every text visible."""
    if isinstance(value, str):
        return visible_lines(value)
    if isinstance(value, dict):
        return {visible_within(key): visible_within(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [visible_within(one) for one in value]
    return value


def seen(text: str) -> str:
    """`text` with its line feeds and tabs, all else visible, for what ends up on one line."""
    return _HIDDEN.sub(_escape_in_lines, text)


def commandless(text: str) -> str:
    """Lines of which none begins with `::`, as a workflow command does."""
    return _COMMAND.sub(r"\1\\x3a", text) if "::" in text else text


def visible_json(text: str) -> str:
    """The same JSON document, with what is not to be seen as escapes of JSON.

    A lone surrogate is written as its escape, which a parser gives back.
    """
    return _HIDDEN.sub(_escape_in_json, text)


def spelled(text: str, encoding: str, json: bool = False) -> str:
    """`text` with escapes for what `encoding` cannot say."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        escape = _json_unit if json else _spelled
        return "".join(char if char.isascii() else escape(char) for char in text)
    return text


def _escape(match: re.Match[str]) -> str:
    return match[0] if match["kept"] else _spelled(match[0])


def _escape_in_lines(match: re.Match[str]) -> str:
    return match[0] if match[0] in "\n\t" else _escape(match)


def _escape_in_json(match: re.Match[str]) -> str:
    # line feeds of a document lie between its values; within a text they are escaped already
    return match[0] if match["kept"] or match[0] in "\n\t\r" else _json_unit(match[0])


def _spelled(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_unit(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
