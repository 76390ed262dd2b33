"""Python hooks: functions of the user's own repository, named "pkg.mod:function" in a spec.

A metric hook is `hook(case: dict) -> float`, an extraction hook `hook(text: str, case: dict) ->
str | None`. `case` has `id`, `row`, `prompt`, `target`, `choices`, `texts`, `extracted` and
`logliks` (the last three as far as the task's kind has them). They run in child processes
(`evalc.hooks`), several at a time, so that nothing is shared between two calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.hooks.calls import call_all
from evalc.hooks.faults import failed_on, not_loaded
from evalc.hooks.limits import Failure, HookFailed, Limits, Takes
from evalc.plan.functions import hook_of
from evalc.score.cache import Missing, Scored
from evalc.score.faults import faults
from evalc.score.keys import canonical

HELD = 1 << 26
"""Bytes of cases that are held between their key and their call, rather than made twice."""


class Asked:
    """The calls of one hook over a column: their values, and at the end what failed.

    `ids` names the case of each call, `halves` gives the two JSON texts that a call sees, which
    also make its key.
    """

    def __init__(  # noqa: PLR0917  what a call is made of
        self,
        name: str,
        root: Path,
        takes: Takes,
        ids: Sequence[str],
        halves: Callable[[int], tuple[bytes, bytes]],
        limits: Limits,
    ) -> None:
        self._name, self._root, self._takes = name, root, takes
        self._ids, self._halves, self._limits = ids, halves, limits
        self._held: dict[int, tuple[bytes, bytes]] = {}
        self._room = HELD
        self._failed: dict[int, Failure] = {}

    def seen(self, at: int) -> tuple[bytes, bytes]:
        """What call `at` sees, held for its call as long as there is room."""
        halves = self._halves(at)
        self._room -= sum(map(len, halves))
        if self._room >= 0:
            self._held[at] = halves
        return halves

    def values(self, missing: Missing) -> Iterator[Scored]:
        """Call the hook; `Scored` for what it gave. Raises Faults where it cannot be loaded."""
        if not missing:
            return
        hook = hook_of(self._name, self._root, self._takes)

        def body(at: int) -> bytes:
            return b"[%b,%b]" % (self._held.pop(at, None) or self._halves(at))

        try:
            for one in call_all(hook, missing, body, self._limits):
                if one.failure is None:
                    yield Scored(one.at, canonical(one.value))
                else:
                    self._failed[one.at] = one.failure
        except HookFailed as failed:
            raise not_loaded(self._name, failed.failure) from None

    def failed(self, at: int, failure: Failure) -> None:
        """Note that nothing can be made of what is kept for call `at`."""
        self._failed.setdefault(at, failure)

    def check(self) -> None:
        """Raise Faults (`hook-failed`) that name the cases on which the hook failed."""
        if self._failed:
            raise code_failed(
                failed_on(self._name, self._ids[at], self._failed[at])
                for at in sorted(self._failed)
            )


def code_failed(found: Iterator[Diagnostic]) -> Faults:
    """Faults of code of the spec, the first of them shown."""
    return Faults(faults(found).diagnostics, exit_code=ExitCode.CODE_FAILED)
