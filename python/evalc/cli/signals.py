"""Ctrl-C and SIGTERM while a command runs: both end it where it stands, with what it has kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from evalc.errors import ExitCode

Answer = Callable[[int, FrameType | None], None]


class Terminated(KeyboardInterrupt):
    """SIGTERM came: as from Ctrl-C, whoever holds something lets go of it."""


@contextmanager
def answered() -> Iterator[None]:
    """Let SIGINT and SIGTERM be exceptions in the block; what is ignored stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    answers: dict[int, Answer] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: _terminate,
    }
    before = {number: signal.getsignal(number) for number in answers}
    for number, answer in answers.items():
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, answer)
    try:
        yield
    finally:
        for number in answers:
            signal.signal(number, before[number] or signal.SIG_DFL)


def outcome(error: BaseException | None) -> tuple[str, ExitCode]:
    """What is said of a command that a signal ended, and its exit code."""
    while error is not None:
        if isinstance(error, Terminated):
            return "terminated", ExitCode.TERMINATED
        error = error.__cause__
    return "interrupted", ExitCode.INTERRUPTED


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
