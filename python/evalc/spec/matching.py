"""Names, tags and globs, as suites, gates and the command line use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

TAG = "tag:"


def is_pattern(text: str) -> bool:
    """True for a tag or a glob, which may match many names; False for a plain name."""
    return text.startswith(TAG) or any(char in text for char in "*?[")


def matching(pattern: str, names: Mapping[str, Sequence[str]]) -> list[str]:
    """The names, sorted, that a name, a glob or `tag:<glob>` selects; `names` maps to tags."""
    if pattern.startswith(TAG):
        wanted = pattern[len(TAG) :]
        return sorted(n for n, tags in names.items() if any(fnmatchcase(t, wanted) for t in tags))
    if is_pattern(pattern):
        return sorted(name for name in names if fnmatchcase(name, pattern))
    return [pattern] if pattern in names else []
