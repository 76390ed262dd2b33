"""Globs over the paths of a repository, read as `.gitignore` reads them, without negation."""

from __future__ import annotations

import re
from functools import lru_cache


def path_matches(pattern: str, path: str) -> bool:
    """Whether a glob matches a path, both relative to the repository's root, with `/` between.

    `*`, `?` and `[...]` match inside one name, `**` any number of folders. A glob without `/`
    matches a name at any depth, one with `/` starts at the root; what matches a folder matches
    everything in it.
    """
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    anchored = "/" in pattern.rstrip("/")
    steps = [step for step in pattern.split("/") if step]
    text = "".join(_step(step, last=False) for step in steps[:-1])
    text += _step(steps[-1], last=True) if steps else ".*"
    below = "/.+" if pattern.endswith("/") else "(?:/.+)?"
    return re.compile(("" if anchored else "(?:.*/)?") + text + below, re.DOTALL)


def _step(step: str, *, last: bool) -> str:
    if step == "**":
        return ".+" if last else "(?:.*/)?"
    return _name(step) + ("" if last else "/")


def _name(step: str) -> str:
    found, at = [], 0
    while at < len(step):
        char = step[at]
        at += 1
        if char == "*":
            found.append("[^/]*")
        elif char == "?":
            found.append("[^/]")
        elif char == "[" and (end := _class_end(step, at)) > 0:
            found.append(_class(step[at:end]))
            at = end + 1
        else:
            found.append(re.escape(char))
    return "".join(found)


def _class_end(step: str, at: int) -> int:
    """Where the `]` of a class stands that opened before `at`; -1 where it never closes."""
    first = at + (step[at : at + 1] in ("!", "^"))
    return step.find("]", first + 1)


def _class(content: str) -> str:
    negated = content[0] in "!^"
    inner = content[negated:].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    try:
        re.compile(found := f"[{'^/' if negated else ''}{inner}]")
    except re.error:
        return re.escape(f"[{content}]")
    return found
