"""`prepare`: rows of a dataset through a function of the user's, in a child."""

from __future__ import annotations

from collections.abc import Iterator

from evalc.hooks.crew import CREW, wait
from evalc.hooks.frames import LONGEST
from evalc.hooks.limits import Failure, Hook, HookFailed, Limits
from evalc.hooks.serving import Serving, failure_of, in_units, object_of

PART = LONGEST // 4


def prepare(hook: Hook, rows: bytes, limits: Limits) -> Iterator[str]:
    """Lines of canonical JSON, some at a time, of what a hook makes of `rows`, a JSON list.

    The call with all its rows has `limits.seconds`, and gives `limits.memory` of text at most.
    Raises `HookFailed`, Faults (`hook-not-started`).
    """
    serving = Serving(hook, limits, {})
    done = False
    try:
        while not serving.loaded:
            wait([serving.worker])
            serving.arrived()
            if not serving.loaded:
                serving.lost(True)
        for start in range(0, len(rows), PART):
            serving.worker.send(b"D", rows[start : start + PART])
        serving.worker.send(b"P", b"{}")
        serving.worker.posted()
        size = 0
        while not done:
            wait([serving.worker])
            for kind, body in serving.arrived():
                if kind == b"P":
                    _end(serving, body)
                    done = True
                    break
                size += len(body)
                yield _lines(serving, kind, body, size)
            if not done and (failure := serving.lost(True)) is not None:
                raise HookFailed(failure)
    finally:
        if done:
            CREW.give(serving.worker, hook)
        elif not serving.worker.gone:
            serving.worker.kill()


def _end(serving: Serving, body: bytes) -> None:
    answer = object_of(body)
    if answer.get("failed") is not None:
        raise HookFailed(failure_of(answer["failed"], serving.said()))
    if not isinstance(answer.get("count"), int):
        raise HookFailed(Failure("it wrote into evalc's own channel, or closed it"))


def _lines(serving: Serving, kind: bytes, body: bytes, size: int) -> str:
    """The lines of a frame, checked: each an object as JSON writes it, as far as its ends tell."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        kind, text = b"", ""
    whole = all(line[:1] == "{" and line[-1:] == "}" for line in text.split("\n")[:-1])
    if kind != b"D" or not whole or text[-1:] not in ("", "\n"):
        raise HookFailed(Failure("it wrote into evalc's own channel", serving.said()))
    if size > serving.limits.memory:
        why = f"it returned more than {in_units(serving.limits.memory)} of rows"
        hint = "correct the hook, or raise `memory` in `[hooks]`"
        raise HookFailed(Failure(why, serving.said(), hint=hint))
    return text
