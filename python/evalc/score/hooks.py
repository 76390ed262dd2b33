"""Python hooks: functions of the user's own repository, named "pkg.mod:function" in a spec.

A metric hook is `hook(case: dict) -> float`, an extraction hook `hook(text: str, case: dict) ->
str | None`. `case` has `id`, `row`, `prompt`, `target`, `choices`, `texts`, `extracted` and
`logliks` (the last three as far as the task's kind has them).
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic
from evalc.plan.functions import load_function
from evalc.score.cells import CaseDict


class HookError(Exception):
    """A hook failed on a case; `diagnostic` says where and why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


@dataclass(frozen=True)
class Hook:
    """A loaded hook. Calls raise `HookError` instead of what the user's code raised."""

    name: str
    function: Callable[..., Any]

    def value(self, case: CaseDict) -> float:
        """A metric hook's score: a finite number (a bool counts as 0 or 1)."""
        result = self._call(case, case)
        try:
            score = float(result)
        except (TypeError, ValueError):
            score = math.nan
        if isinstance(result, str) or not math.isfinite(score):
            raise self._error(case, f"it returned `{result!r:.80}`, not a finite number")
        return score

    def text(self, text: str, case: CaseDict) -> str | None:
        """An extraction hook's answer, or None for "no answer"."""
        result = self._call(case, text, case)
        if result is not None and not isinstance(result, str):
            raise self._error(case, f"it returned `{result!r:.80}`, neither a text nor None")
        return result

    def _call(self, case: CaseDict, *arguments: Any) -> Any:
        try:
            return self.function(*arguments)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[1:]
            notes = [f"raised at {frames[-1].filename}:{frames[-1].lineno}"] if frames else []
            raise self._error(case, f"{type(error).__name__}: {error}", *notes) from None

    def _error(self, case: CaseDict, why: str, *notes: str) -> HookError:
        return HookError(
            Diagnostic(
                "hook-failed",
                f"hook `{self.name}` failed on case `{case.get('id', '?')}`: {why}",
                notes=notes,
                hint="correct the hook; no score is reported until it passes on every case",
            )
        )


def load_hook(name: str, root: Path) -> Hook:
    """Import a hook with `root` (the spec's folder) first on sys.path. Raises `Faults`."""
    return Hook(name, load_function(name, root))
