"""Calls of a metric or an extraction hook: by as many children as pay for their start."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from evalc.hooks.crew import CREW, wait
from evalc.hooks.frames import LONGEST
from evalc.hooks.limits import Failure, Hook, HookFailed, Limits
from evalc.hooks.serving import Answers, Serving, failure_of, object_of
from evalc.hooks.values import Unfit, as_score, as_text

BATCH_SECONDS = 0.05
MOST = 512
FULL = 1 << 20
"""What a batch aims at, and the most calls and bytes of one."""
POSTED = 2
"""Batches that a child has at once: one to work on and one to go on with."""
ENDS = 5
"""Ended processes after which no more calls are tried."""
WORTH = 4
"""How many times its start another child has to save."""
LEAST_START = 0.05
FEW = 16
"""Calls that say little where they are quick: the first takes longest."""


STEP, AHEAD = 128, 4096
"""Calls that are found at once, and the most that wait, while a child is at work."""


class Coming(Protocol):
    """Numbers of calls, found while others are made."""

    def __next__(self) -> int: ...

    def left(self) -> int:
        """About how many are still to come."""


class _All:
    """The calls 0 to `count`."""

    def __init__(self, count: int) -> None:
        self._at, self._count = 0, count

    def __next__(self) -> int:
        if self._at == self._count:
            raise StopIteration
        self._at += 1
        return self._at - 1

    def left(self) -> int:
        return self._count - self._at


@dataclass(frozen=True, slots=True)
class Returned:
    """What came of the call `at`: a value that was checked, or a failure."""

    at: int
    value: float | str | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class _Desk:
    """A child, and the batches that were posted to it: numbers and the calls in each."""

    serving: Serving
    posted: deque[tuple[int, list[int]]] = field(default_factory=deque)


def call_all(
    hook: Hook,
    coming: Coming | int,
    seen: Callable[[int], bytes],
    limits: Limits,
    answers: Answers | None = None,
) -> Iterator[Returned]:
    """Call a hook for every number of `coming`, or that many times; `seen` gives the JSON list that
    a call sees. In any order.

    Raises `HookFailed` (loading), Faults (`hook-not-started`). After `ENDS` calls that ended their
    process, or one that hangs, the others are not tried.
    """
    numbers = _All(coming) if isinstance(coming, int) else coming
    yield from _Calls(hook, numbers, seen, limits, answers or {}).results()


class _Calls:
    def __init__(
        self,
        hook: Hook,
        coming: Coming,
        seen: Callable[[int], bytes],
        limits: Limits,
        answers: Answers,
    ) -> None:
        self._hook, self._seen, self._limits, self._answers = hook, seen, limits, answers
        self._coming, self._exhausted = coming, False
        self._waiting: deque[int] = deque()
        self._desks: list[_Desk] = []
        self._batches, self._ends, self._stopped, self._singly = 0, 0, False, False
        self._per_call: float | None = None
        self._made = 0
        self._first = 0.0
        self._check = as_score if hook.takes == "case" else as_text

    def results(self) -> Iterator[Returned]:
        try:
            while not self._stopped and (any(d.posted for d in self._desks) or self._found(1)):
                self._staff()
                for desk in self._desks:
                    yield from self._feed(desk)
                if any(desk.posted or not desk.serving.loaded for desk in self._desks):
                    ahead = len(self._waiting) + STEP
                    idle = ahead > AHEAD or not self._found(ahead)
                    wait([desk.serving.worker for desk in self._desks], idle)
                for desk in list(self._desks):
                    yield from self._take(desk)
        finally:
            self._dismiss()

    def _found(self, most: int) -> bool:
        """Whether as many calls as this wait, once more were looked for."""
        while len(self._waiting) < most and not self._exhausted:
            at = next(self._coming, None)
            if at is None:
                self._exhausted = True
            else:
                self._waiting.append(at)
        return len(self._waiting) >= most

    def _left(self) -> int:
        """About how many calls are not posted yet."""
        return len(self._waiting) + (0 if self._exhausted else self._coming.left())

    def _dismiss(self) -> None:
        """Keep the children that are idle; what is still at work is not wanted any more."""
        for desk in self._desks:
            if desk.serving.loaded and not desk.posted and not desk.serving.worker.ended():
                CREW.give(desk.serving.worker, self._hook)
            else:
                desk.serving.worker.kill()
        self._desks.clear()

    def _staff(self) -> None:
        """Start as many children as pay for their start."""
        while len(self._desks) < self._wanted():
            self._desks.append(_Desk(Serving(self._hook, self._limits, self._answers)))

    def _wanted(self) -> int:
        loads = [desk.serving.load_seconds for desk in self._desks if desk.serving.loaded]
        per_call = self._per_call
        if per_call is None and self._first:
            waited = time.monotonic() - self._first
            per_call = waited if waited > LEAST_START else None
        few = self._made < FEW and per_call is not None and per_call < LEAST_START / FEW
        if not loads or per_call is None or few:
            return max(1, len(self._desks))
        left = self._left()
        remaining = left + sum(len(calls) for d in self._desks for _, calls in d.posted)
        pays = int(remaining * per_call / (WORTH * max(LEAST_START, *loads)))
        return min(self._limits.workers, 1 + pays, max(1, left + len(self._desks)))

    def _feed(self, desk: _Desk) -> Iterator[Returned]:
        """Post batches to a child; tells of calls that are too large for that."""
        while (
            desk.serving.loaded
            and len(desk.posted) < (1 if self._singly else POSTED)
            and self._found(1)
        ):
            calls: list[int] = []
            bodies, size = [], 0
            most = self._batch_size()
            self._found(most)
            while self._waiting and len(calls) < most and size < FULL:
                at = self._waiting.popleft()
                body = self._seen(at)
                if len(body) > LONGEST - 1024:
                    why = f"its case takes {len(body):,} bytes, which is too much for a call"
                    yield Returned(at, failure=Failure(why))
                    continue
                calls.append(at)
                bodies.append(body)
                size += len(body)
                if size + FULL > LONGEST:
                    break
            if calls:
                self._post(desk, calls, bodies)

    def _post(self, desk: _Desk, calls: list[int], bodies: list[bytes]) -> None:
        self._batches += 1
        if not desk.posted:
            desk.serving.worker.posted()
        self._first = self._first or time.monotonic()
        desk.posted.append((self._batches, calls))
        head = b'{"batch":%d,"calls":[' % self._batches
        desk.serving.worker.send(b"C", head + b",".join(bodies) + b"]}")

    def _batch_size(self) -> int:
        if self._per_call is None or self._singly:
            return 1
        fair = self._left() // (2 * max(1, len(self._desks))) + 1
        return max(1, min(MOST, fair, int(BATCH_SECONDS / max(self._per_call, 1e-7))))

    def _take(self, desk: _Desk) -> Iterator[Returned]:
        serving = desk.serving
        for kind, body in serving.arrived():
            found = self._returned(desk, object_of(body)) if kind == b"R" else None
            if found is None:
                serving.worker.broken = True
                break
            yield from found
        if not desk.posted and serving.loaded and not self._found(1):
            return
        try:
            failure = serving.lost(bool(desk.posted))
        except BaseException:
            self._desks.remove(desk)
            raise
        if failure is not None:
            self._desks.remove(desk)
            yield from self._culprit(desk, failure)

    def _culprit(self, desk: _Desk, failure: Failure) -> Iterator[Returned]:
        """The call that a child was at when it was lost; the others of it are asked again."""
        _, batch, place = desk.serving.worker.last
        at = None
        calls_of = dict(desk.posted)
        if failure.vague and sum(map(len, calls_of.values())) > 1:
            self._singly = True  # which of them it was shows when each is alone
        elif desk.posted:
            own = calls_of.get(batch, [])
            at = own[place] if place < len(own) else desk.posted[0][1][0]
        again = [call for _, calls in desk.posted for call in calls if call != at]
        self._waiting.extendleft(reversed(again))
        self._ends += at is not None or not desk.posted
        self._stopped = self._ends >= ENDS or failure.hint is not None
        if at is not None:
            yield Returned(at, failure=failure)

    def _returned(self, desk: _Desk, answer: Any) -> list[Returned] | None:
        """What a frame tells of the batch that is due, checked; None for anything else."""
        values, failed, spent = answer.get("values"), answer.get("failed"), answer.get("spent")
        if not desk.posted or answer.get("batch") != desk.posted[0][0]:
            return None
        calls = desk.posted[0][1]
        if not isinstance(values, list) or not isinstance(failed, list):
            return None
        if not 0 < len(values) <= len(calls) or not isinstance(spent, float) or not spent >= 0:
            return None
        wrong: dict[int, Failure] = {}
        said = desk.serving.said() if failed else ()
        for one in failed:
            if not isinstance(one, list) or len(one) != 4 or not isinstance(one[0], int):
                return None
            wrong[one[0]] = failure_of(one[1:], said)
        desk.posted.popleft()
        self._waiting.extendleft(reversed(calls[len(values) :]))
        per_call = spent / len(values)
        known = self._per_call if self._made >= FEW else None
        self._made += len(values)
        self._per_call = per_call if known is None else (known + per_call) / 2
        return [
            Returned(at, failure=wrong[place]) if place in wrong else self._checked(at, value)
            for place, (at, value) in enumerate(zip(calls, values, strict=False))
        ]

    def _checked(self, at: int, value: Any) -> Returned:
        try:
            if self._hook.takes == "case" and not isinstance(value, float):
                raise Unfit("its process gave no number")
            return Returned(at, self._check(value))
        except Unfit as unfit:
            return Returned(at, failure=Failure(str(unfit)))


__all__ = ["HookFailed", "Returned", "call_all"]
