"""Globs over the paths of a repository, read as `.gitignore` reads them, without negation.

Whoever writes a glob may be a stranger, so nothing goes back: a path is matched name by name from
every place that can be reached, and a name piece by piece between its stars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Glob:
    """A glob made ready: its steps between `/` (None is `**`), each in pieces between stars."""

    anchored: bool
    below: bool
    steps: tuple[tuple[Piece, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """What matches a fixed number of characters."""

    pattern: re.Pattern[str]
    length: int


def path_matches(pattern: str, path: str) -> bool:
    """Whether a glob matches a path, both relative to the repository's root, with `/` between.

    `*`, `?` and `[...]` match inside one name, `**` any number of folders. A glob without `/`
    matches a name at any depth, one with `/` starts at the root; what matches a folder matches
    everything in it.
    """
    glob, names = _compiled(pattern), path.split("/")
    last = len(names) - 1 if glob.below else len(names)
    if not glob.steps:
        return last > 0
    reached = {0} if glob.anchored else set(range(len(names)))
    for step in glob.steps[:-1]:
        if step is None:
            reached = set(range(min(reached), len(names)))
        else:
            reached = {at + 1 for at in reached if at < len(names) and _fits(step, names[at])}
        if not reached:
            return False
    final = glob.steps[-1]
    return any(at < last and (final is None or _fits(final, names[at])) for at in reached)


def _fits(pieces: tuple[Piece, ...], name: str) -> bool:
    """Whether the pieces stand in a name in their order, the first and the last at its ends."""
    first, *inner = pieces
    if not inner:
        return first.pattern.fullmatch(name) is not None
    found = first.pattern.match(name)
    end = len(name) - inner[-1].length
    for piece in inner[:-1]:
        # the leftmost leaves the most for the others
        found = found and piece.pattern.search(name, found.end())
    return (
        found is not None and found.end() <= end and inner[-1].pattern.match(name, end) is not None
    )


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Glob:
    steps = [step for step in pattern.split("/") if step]
    read = tuple(None if step == "**" else _pieces(step) for step in steps)
    return Glob("/" in pattern.rstrip("/"), pattern.endswith("/"), read)


def _pieces(step: str) -> tuple[Piece, ...]:
    found: list[list[str]] = [[]]
    at = 0
    while at < len(step):
        char = step[at]
        at += 1
        if char == "*":
            found.append([])
        elif char == "?":
            found[-1].append("[^/]")
        elif char == "[" and (end := _class_end(step, at)) > 0:
            found[-1] += _class(step[at:end])
            at = end + 1
        else:
            found[-1].append(re.escape(char))
    # stars beside stars are one
    kept = [found[0], *(piece for piece in found[1:-1] if piece), *found[1:][-1:]]
    return tuple(Piece(re.compile("".join(piece), re.DOTALL), len(piece)) for piece in kept)


def _class_end(step: str, at: int) -> int:
    """Where the `]` of a class stands that opened before `at`; -1 where it never closes."""
    first = at + (step[at : at + 1] in ("!", "^"))
    return step.find("]", first + 1)


def _class(content: str) -> list[str]:
    """A pattern of one character, or the characters themselves where they are no class."""
    negated = content[0] in "!^"
    inner = content[negated:].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    try:
        re.compile(found := f"[{'^/' if negated else ''}{inner}]")
    except re.error:
        return [re.escape(char) for char in f"[{content}]"]
    return [found]
