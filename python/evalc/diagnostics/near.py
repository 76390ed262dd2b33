"""The word that a user most likely meant; for hints of every room, so it needs nothing."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that is most like `word`, letter case aside; None when none is close."""
    from difflib import get_close_matches  # noqa: PLC0415  costs milliseconds, rarely wanted

    known = {w.lower(): w for w in words}
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return known[close[0]] if close else None
