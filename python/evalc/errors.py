"""Exit codes and the base error. Every error that reaches a user derives from `EvalcError`."""

from __future__ import annotations

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
    INTERRUPTED = 130


class EvalcError(Exception):
    """An error with an exit code. `str()` of it is fit for a user."""

    exit_code: ExitCode = ExitCode.FAILURE
