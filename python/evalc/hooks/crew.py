"""The children that are alive: kept from one column to the next, since starting one takes time."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from evalc import env
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.hooks.limits import Hook
from evalc.hooks.worker import TICK, Worker

LAST = 1.0
"""Seconds that idle children are given to end by themselves."""
SHOWN = 300
"""Characters of what a hook printed."""


class Crew:
    """Children by what they were started with: folder, environment, import path. `told` has what
    hooks have printed while nothing was wrong."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._place: object = None
        self._pid = os.getpid()
        self.told: list[str] = []

    def take(self) -> Worker:
        """An idle child, or a new one. Raises Faults (`hook-not-started`)."""
        place = (Path.cwd(), env.inherited(), list(sys.path))
        if place != self._place:
            self.close()
            self._place = place
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            worker.kill()
        try:
            return Worker()
        except OSError as error:
            raise not_started(error.strerror or str(error)) from None

    def expect(self) -> None:
        """Have a child ready: it starts while its first calls are still being put together."""
        with suppress(Faults):  # told when a child is taken
            worker = self.take()  # which may have made another list
            self._idle.append(worker)

    def give(self, worker: Worker, hook: Hook) -> None:
        """Take a child back that has done what it was to do."""
        self.hear(worker, hook)
        self._idle.append(worker)

    def hear(self, worker: Worker, hook: Hook) -> None:
        """Remember what a hook has printed, once."""
        text, count = worker.taken()
        known = f"`{hook.name}` wrote to stdout or stderr"
        if count and not any(line.startswith(known) for line in self.told):
            self.told.append(f"{known}: {json.dumps(text[:SHOWN], ensure_ascii=False)}")

    def close(self) -> None:
        """End every idle child."""
        idle, self._idle = self._idle, []
        if os.getpid() != self._pid:
            return  # a copy of the process whose children these are
        for worker in idle:
            worker.leave()
        until = time.monotonic() + LAST
        for worker in idle:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, until - time.monotonic()))
            worker.kill()


CREW = Crew()
atexit.register(CREW.close)


def take_told() -> list[str]:
    """What hooks have printed by now, a line for each; told once."""
    told, CREW.told = CREW.told, []
    return told


def not_started(why: str) -> Faults:
    """The fault of a machine on which no child can be started."""
    message = f"the child process for hooks could not be started: {why.lower()}"
    hint = "free memory or processes, and run the same command again"
    return Faults([Diagnostic("hook-not-started", message, hint=hint)], exit_code=ExitCode.FAILURE)


def wait(workers: Sequence[Worker], idle: bool = True) -> None:
    """Wait until one of these has something, a moment at most; look alone unless `idle`."""
    poll = select.poll()
    for worker in workers:
        worker.register(poll)
    poll.poll(TICK * 1000 if idle else 0)
