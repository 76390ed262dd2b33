"""Extraction: the answer within a generated text.

Patterns run on Python's `re`, each for a limited time (`patience`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from evalc.score.faults import fault
from evalc.score.patience import limited
from evalc.score.scoring import Extract
from evalc.spec import fields

INVALID = "[invalid]"
"""The answer of a text in which nothing was found (the reference harness's word for it)."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises `Faults` (`bad-regex`)."""
    try:
        return fields.compiled(pattern)[0]
    except re.error as error:
        raise fault(
            "bad-regex",
            f"the regular expression `{pattern}` is wrong: {error.msg}",
            hint="correct it; the syntax is that of Python's `re`",
        ) from None


class Extractor:
    """An `Extract` made ready: its patterns are compiled. A hook in their place is not asked here
    (`answers.found_in` does)."""

    def __init__(self, extract: Extract) -> None:
        self.extract = extract
        self.tries: list[tuple[re.Pattern[str], int | str | None]] = []
        if extract.regex is not None:
            self.tries.append((compiled(extract.regex), extract.group))
        if extract.otherwise is not None:
            self.tries.append((compiled(extract.otherwise), None))
        self.ignored = [compiled(pattern) for pattern in extract.ignore]

    @property
    def plain(self) -> bool:
        """Whether the whole text is the answer."""
        return self.extract.python is None and not self.tries

    def find(self, text: str) -> str | None:
        """What the patterns find: the answer as it stands in the text, or None.

        Raises `TooSlow`, as does `normalise`.
        """
        if not self.tries:
            return text
        for pattern, group in self.tries:
            with limited(pattern.pattern):
                found = _take(pattern, text, self.extract.take, group)
            if found is not None:
                return found
        return None

    def normalise(self, text: str) -> str:
        """Strip, remove what is ignored, strip, lower-case: each if asked for."""
        strip = self.extract.strip
        text = text.strip() if strip else text
        for pattern in self.ignored:
            with limited(pattern.pattern):
                text = pattern.sub("", text)
        text = text.strip() if strip else text
        return text.lower() if self.extract.lower else text

    def answer_of(self, found: str | None) -> str:
        """What was found, normalised; `INVALID` for nothing."""
        return INVALID if found is None else self.normalise(found)


def _take(
    pattern: re.Pattern[str], text: str, take: str | int, group: int | str | None
) -> str | None:
    if take == "first":
        match = pattern.search(text)
        return None if match is None else _group(match, group)
    matches = list(pattern.finditer(text))
    index = -1 if take == "last" else int(take)
    if not -len(matches) <= index < len(matches):
        return None
    return _group(matches[index], group)


def _group(match: re.Match[str], group: int | str | None) -> str | None:
    if group is not None:
        try:
            found: str | None = match.group(group)
        except (IndexError, re.error):
            raise fault(
                "bad-regex",
                f"the regular expression `{match.re.pattern}` has no group `{group}`",
                hint="set `group` to one of its groups, or leave it out",
            ) from None
        return found
    groups: Sequence[str | None] = match.groups()
    if not groups:
        return match.group()
    if len(groups) == 1:
        return groups[0] or ""
    return next((found for found in groups if found), None)
