"""A limit of time for regular expressions that run on what a model wrote.

Python's `re` backtracks: an unlucky text can take it longer than anybody waits. Its matcher looks
for signals every few thousand steps, and an exception of their handler ends it, so a timer of the
process's own CPU time bounds a match without another engine, whose answers might differ.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

SECONDS = 5.0
"""CPU time that one pattern may take on one text."""


class TooSlow(Exception):  # noqa: N818
    """A pattern used up its time."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        super().__init__(pattern)


class _Expired(Exception):  # noqa: N818
    pass


def _expire(_number: int, _frame: FrameType | None) -> None:
    raise _Expired


@contextmanager
def limited(pattern: str) -> Iterator[None]:
    """Raise `TooSlow` when what is inside takes more than `SECONDS`.

    Nothing is limited outside of the main thread, or where the system has no such timer.
    """
    if not can_limit():
        yield
        return
    _listen()
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _Expired:
        raise TooSlow(pattern) from None


@cache
def _listen() -> None:
    # once, for it takes longer than most matches
    signal.signal(signal.SIGVTALRM, _expire)


def can_limit() -> bool:
    """Whether a match can be ended here."""
    return hasattr(signal, "setitimer") and threading.get_ident() == threading.main_thread().ident
