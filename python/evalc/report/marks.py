"""Pieces of Markdown as GitHub renders it, and a body of them that keeps within a limit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from evalc.diagnostics.visible import visible

COMMENT = 65_000
"""Bytes of a comment. GitHub takes fewer than 65,536 characters; a workflow may add a few."""
NOTE = 600
"""Bytes that are kept for saying what was left out."""


LINKED = re.compile(
    r"(?<![0-9A-Za-z])(@)(?=[\w-])|(@)(?=[\w-]+\.)|(#)(?=\d)|(\bGH-)(?=\d)|(:)(?=//)|(\bwww)(?=\.)"
    r"|(:)(?=(?:100|1234|[+-]1|[a-z0-9_+-]*[a-z][a-z0-9_+-]*):)",
    re.IGNORECASE,
)
"""What GitHub turns into a mention, a reference, a link or a picture after Markdown was rendered,
so that a backslash does not help: a space of no width after it does, as Renovate writes it too."""
ENTITY = re.compile(r"&(?=#?\w+;)")


def cell(text: str) -> str:
    """Text that cannot break out of a table cell or turn into mark-up, and notifies nobody."""
    text = visible(" ".join(text.split()))
    for mark in "\\`*_|<>[]~":
        text = text.replace(mark, "\\" + mark)
    text = ENTITY.sub(r"\\&", text)
    if text.count("$") > 1:
        text = text.replace("$", "\\$")
    return _unlinked(text)


def code(text: str) -> str:
    """Text between backticks, of which it has none."""
    return f"`{visible(text).replace('`', chr(39))}`"


def _unlinked(text: str) -> str:
    return LINKED.sub(lambda match: match[0] + "&#8203;", text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first `left` columns are aligned left, the others right."""
    rule = ["---" if i < left else "---:" for i in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fold(summary: str, body: str) -> str:
    """A collapsible block."""
    return f"<details><summary>{html(summary)}</summary>\n\n{body}\n\n</details>"


def html(text: str) -> str:
    """Text for an HTML element."""
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _unlinked(text)


class Body:
    """Blocks, one after the other, in at most `limit` bytes of UTF-8.

    What does not fit is left out, rows of tables one by one from the end, and counted by what it
    is; the text ends with those counts.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._room = limit - NOTE
        self._blocks: list[str] = []
        self._left: Counter[str] = Counter()

    def add(self, block: str, what: str) -> None:
        """A block that is there whole or not at all."""
        size = _size(block)
        if size > self._room:
            self._left[what] += 1
            return
        self._room -= size
        self._blocks.append(block)

    def lines(self, lines: Sequence[str], what: str, most: int, head: str = "") -> None:
        """Lines under a heading, at most `most` of them."""
        kept = self._fitting(lines[:most], _size(head))
        self._left[what] += len(lines) - kept
        if kept:
            self.add("\n".join([*([head] if head else []), *lines[:kept]]), what)

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        left: int,
        what: str,
        summary: str | None = None,
    ) -> None:
        """A table; with a `summary`, a collapsible one."""

        def block(count: int) -> str:
            text = table(header, rows[:count], left)
            return text if summary is None else fold(summary, text)

        kept = self._fitting(["| " + " | ".join(row) + " |" for row in rows], _size(block(0)))
        self._left[what] += len(rows) - kept
        if kept:
            self.add(block(kept), what)

    def _fitting(self, lines: Sequence[str], size: int) -> int:
        """How many of the lines fit beside `size` bytes."""
        for count, line in enumerate(lines):
            size += len(line.encode()) + 1
            if size > self._room:
                return count
        return len(lines)

    def text(self) -> str:
        """The body, ending in a newline."""
        left = ", ".join(f"{count:,} {what}" for what, count in self._left.items() if count)
        note = [f"Left out to keep this short: {left}."] if left else []
        return "\n\n".join([*self._blocks, *note]) + "\n"


def _size(block: str) -> int:
    """Bytes of a block and of the blank line before it."""
    return len(block.encode()) + 2
