"""Numbers of things in sentences: one form for one, another for all other numbers."""

from __future__ import annotations


def many(count: int, noun: str) -> str:
    """`1 case`, `2 cases`, `1,234 entries`; the noun is given in the singular."""
    return f"{count:,} {form(count, noun)}"


def form(count: int, noun: str) -> str:
    """The noun as it stands behind a number."""
    if count == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
