"""Exit codes and the base error. Every error that reaches a user derives from `EvalcError`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What `evalc` exits with."""

    DONE = 0
    FAILURE = 1
    USAGE = 2
    GATE_FAILED = 3
    GATE_INCONCLUSIVE = 4
    STALE_PLAN = 5
    WORK_REMAINS = 6
    CODE_FAILED = 7
    INTERRUPTED = 130
    TERMINATED = 143


PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.USAGE,
    ExitCode.FAILURE,
    ExitCode.CODE_FAILED,
    ExitCode.GATE_FAILED,
    ExitCode.GATE_INCONCLUSIVE,
)
"""Where several codes apply, the first of these is told: it is what has to be seen to first."""


def foremost(codes: Iterable[ExitCode]) -> ExitCode:
    """The code that goes before the others; those that are not listed come last."""
    return min(codes, key=lambda code: PRECEDENCE.index(code) if code in PRECEDENCE else 99)


class EvalcError(Exception):
    """An error with an exit code. `str()` of it is fit for a user."""

    exit_code: ExitCode = ExitCode.FAILURE
