"""Texts within bounds: how many, how long, and what they begin with only once."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 20_000
"""Characters of one text; what is cut off is counted."""
SHORTEST_PREFIX = 200
"""Characters that prompts have to share before it is worth telling them apart."""


class Budget:
    """Characters that are left."""

    def __init__(self, left: int) -> None:
        self.left = left

    def takes(self, texts: Sequence[str]) -> bool:
        """Whether these texts still fit; then they are counted."""
        size = sum(map(len, texts))
        if size > self.left:
            return False
        self.left -= size
        return True


class Prompts:
    """What prompts begin with, guessed from some and shortened by each that begins otherwise.

    It ends with a line, and is nothing where it would be short.
    """

    def __init__(self, some: Sequence[str]) -> None:
        self._longest = self._whole_lines(_beginning(some)) if len(some) > 1 else ""
        self.shared = self._longest

    @staticmethod
    def _whole_lines(text: str) -> str:
        kept = text[: text.rfind("\n") + 1]
        return kept if len(kept) >= SHORTEST_PREFIX else ""

    def rest(self, prompt: str) -> tuple[int, str]:
        """A prompt without what is shared by now, and how much that is."""
        if not prompt.startswith(self.shared):
            self.shared = self._whole_lines(_beginning([self.shared, prompt]))
        return len(self.shared), prompt[len(self.shared) :]

    def without(self, rest: tuple[int, str]) -> str:
        """What `rest` gave, without what is shared in the end."""
        return self._longest[len(self.shared) : rest[0]] + rest[1]


def cut(text: str) -> str:
    """A text of at most `LONGEST` characters, which says what it lacks."""
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST] + f"… ({len(text) - LONGEST:,} more characters are not in this file)"


def _beginning(texts: Sequence[str]) -> str:
    """What all texts begin with: as much as the first and the last in their order share."""
    first, last = min(texts), max(texts)
    same = (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(same, min(len(first), len(last)))]
