"""One child serving one hook: loaded, watched, and its end told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from evalc import env
from evalc.hooks.child import LOADING, TOLD
from evalc.hooks.crew import CREW, not_started
from evalc.hooks.frames import VERSION
from evalc.hooks.limits import Failure, Hook, HookFailed, Limits
from evalc.hooks.worker import TICK

Answers = Mapping[str, Callable[[Any], Any]]
"""What hooks may ask of evalc while they run, by name."""
START_SECONDS = 60.0


class Serving:
    """A child with a hook that is being loaded, or is. `began` tells since when it loads."""

    def __init__(self, hook: Hook, limits: Limits, answers: Answers) -> None:
        self.hook, self.limits, self._answers = hook, limits, answers
        self.worker = CREW.take()
        self.began, self.load_seconds = time.monotonic(), 0.0
        self.loaded = False
        self._looked = 0.0
        wanted = {
            "name": hook.name,
            "root": str(hook.root),
            "modules": list(hook.modules),
            "places": list(hook.places),
            "temporary": env.temporary_folder(),
            "takes": hook.takes,
        }
        self.worker.posted()
        self.worker.send(b"L", json.dumps(wanted).encode())

    def arrived(self) -> list[tuple[bytes, bytes]]:
        """What has come that belongs to the hook's work. Raises `HookFailed` (loading)."""
        found = []
        for kind, body in self.worker.receive():
            if kind == b"H":
                self.worker.greeted = object_of(body).get("version") == VERSION
            elif kind == b"L":
                self._load(object_of(body))
            elif kind == b"Q":
                self.worker.send(b"A", self._answer(object_of(body)))
            else:
                found.append((kind, body))
        return found

    def _load(self, answer: Mapping[str, Any]) -> None:
        failed = answer.get("failed")
        if failed is not None:
            raise HookFailed(failure_of(failed, self.said()), loading=True)
        self.loaded = True
        self.load_seconds = time.monotonic() - self.began

    def _answer(self, asked: Mapping[str, Any]) -> bytes:
        answer = self._answers.get(str(asked.get("what")))
        if answer is None:
            refused = f"evalc answers no `{asked.get('what')!s:.80}` here"
            return json.dumps({"refused": refused}).encode()
        return json.dumps({"answer": answer(asked.get("value"))}).encode()

    def lost(self, busy: bool) -> Failure | None:
        """Why the child is of no more use, which is killed then; None while it is.

        `busy`: something was posted. Raises Faults (`hook-not-started`), `HookFailed` (loading).
        """
        failure = self._fault(busy or not self.loaded)
        if failure is None:
            return None
        loading = self.worker.progress()[0] == LOADING or not self.loaded
        greeted = self.worker.greeted
        self.worker.kill()
        if not greeted:
            raise not_started(failure.why)
        if loading:
            raise HookFailed(failure, loading=True)
        return failure

    def _fault(self, busy: bool) -> Failure | None:
        worker = self.worker
        if worker.ended():
            notes = (*worker.where(self.hook.root, ask=False), *self.said())
            why = worker.ending()
            return Failure(why, notes, ended=True, vague="channel" in why)
        now = time.monotonic()
        if now - self._looked < TICK:
            return None
        self._looked = now
        seconds = self.limits.seconds if worker.greeted else max(START_SECONDS, self.limits.seconds)
        if busy and worker.still_for() > seconds:
            notes = (*worker.where(self.hook.root, ask=worker.greeted), *self.said())
            hint = "correct the hook, or raise `seconds` in `[hooks]`"
            return Failure(f"it took longer than {seconds:g} s", notes, ended=True, hint=hint)
        if worker.over(self.limits):
            notes = (*worker.where(self.hook.root, ask=True), *self.said())
            hint = "correct the hook, or raise `memory` in `[hooks]`"
            why = f"it took more than {in_units(self.limits.memory)} of memory"
            return Failure(why, notes, ended=True, hint=hint)
        return None

    def said(self) -> tuple[str, ...]:
        """What was printed lately, as a note."""
        text, count = self.worker.taken()
        more = f" (the beginning of {count:,} bytes)" if count > len(text.encode()) + 2 else ""
        return (f"it wrote: {json.dumps(text, ensure_ascii=False)}{more}",) if count else ()


def object_of(body: bytes) -> Mapping[str, Any]:
    """A frame's JSON object; an empty one for what is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def failure_of(failed: Any, said: tuple[str, ...] = ()) -> Failure:
    """What a child tells of an error, checked: it may tell anything."""
    if not isinstance(failed, list) or len(failed) != 3 or not isinstance(failed[1], list):
        return Failure("it failed in a way that its process does not tell", said)
    why, notes, hint = failed
    own = (plain(note) for note in notes[:2])
    return Failure(plain(why), (*own, *said), hint=None if hint is None else plain(hint))


def plain(text: object) -> str:
    """A text of a child as one that can be written: no half characters, not longer than told."""
    return str(text)[:TOLD].encode("utf-8", "backslashreplace").decode()


def in_units(count: int) -> str:
    """Bytes as the spec writes them."""
    for shift, unit in ((30, "G"), (20, "M"), (10, "K")):
        if count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return f"{count} bytes"


__all__ = ["Answers", "Serving", "failure_of", "in_units", "object_of", "plain"]
