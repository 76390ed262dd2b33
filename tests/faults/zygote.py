"""Runs of `exec` that start in milliseconds, and are killed when they reach a stage.

    python zygote.py WORKSPACE

This process has torch and transformers imported, but has opened no store and started no thread; it
forks a child for every run. (The product itself never forks.) A line of JSON on stdin starts a run:

    {"journal": path, "report": path, "stage": null | name, "seconds": x}

The child is killed `seconds` after it enters `stage` for the first time, or after it starts. It is
answered with {"killed": bool, "stage": the last one entered, "seconds": wall time, "code": n}. The
journal gets `asked KEY` for a request whose answer is handed to a commit, and `kept KEY` once that
commit has returned.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from evalc.cli import main
from evalc.cli.commands import exec as executing
from evalc.exec import loop
from evalc.exec.model import bases
from evalc.plan import why
from evalc.run import execute, session, turns

STAGES = (
    *("start", "planning", "planned", "loading", "checking", "forward", "commit", "committed"),
    *("why-log", "speed", "manifest", "report", "end"),
)
PACK_REQUESTS = 8
# what transformers imports late would be imported by every child
IMPORTED = (transformers.LlamaForCausalLM, transformers.PreTrainedTokenizerFast)


def staged(
    say: Callable[[str], None], module: Any, name: str, before: str, after: str = ""
) -> None:
    """Let `say` be told when a function of a module begins, and when it has ended."""
    plain = getattr(module, name)

    def told(*arguments: Any, **named: Any) -> Any:
        say(before)
        result = plain(*arguments, **named)
        if after:
            say(after)
        return result

    setattr(module, name, told)


def journaled(journal: int) -> None:
    """Note the keys of every commit, when it begins and when it has returned."""
    plain = why.Ledger.commit

    def noted(self: why.Ledger, keys: list[bytes], payloads: list[bytes]) -> None:
        os.write(journal, b"".join(b"asked %s\n" % key.hex().encode() for key in keys))
        plain(self, keys, payloads)
        os.write(journal, b"".join(b"kept %s\n" % key.hex().encode() for key in keys))

    why.Ledger.commit = noted  # type: ignore[method-assign]


def child(asked: dict[str, Any], stages: int) -> None:
    """One run; never returns."""

    def say(stage: str) -> None:
        os.write(stages, bytes([STAGES.index(stage)]))

    say("start")
    out = os.open(asked["report"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    staged(say, session, "resolve", "planning")
    staged(say, session, "plan_resolved", "planning", "planned")
    staged(say, bases, "base", "loading", "checking")
    staged(say, loop, "_outcomes", "forward")
    staged(say, why.Ledger, "commit", "commit", "committed")
    journaled(os.open(asked["journal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    staged(say, why, "record", "why-log")
    staged(say, execute, "_remember", "speed")
    staged(say, execute, "_write_run", "manifest")
    staged(say, executing, "show_report", "report", "end")
    turns.PACK_REQUESTS.update(cpu=PACK_REQUESTS)
    code = 1
    try:
        main(["exec", "specs", "--json"])
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Fork a run and kill it when it is time."""
    stages, writer = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child(asked, writer)
    os.close(writer)
    stage, killed = _watched(pid, stages, asked)
    os.close(stages)
    _, status = os.waitpid(pid, 0)
    killed = killed and os.WIFSIGNALED(status)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    seconds = time.monotonic() - began
    return {"killed": killed, "stage": stage, "seconds": seconds, "code": code}


def _watched(pid: int, stages: int, asked: dict[str, Any]) -> tuple[str, bool]:
    """The last stage entered, and whether the child was killed (it may have ended by itself)."""
    stage, wanted = "start", asked["stage"]
    due = time.monotonic() + asked["seconds"] if wanted is None else None
    while True:
        left = None if due is None else max(0.0, due - time.monotonic())
        if not select.select([stages], [], [], left)[0]:
            os.kill(pid, signal.SIGKILL)
            rest = os.read(stages, 1 << 16)
            return (STAGES[rest[-1]] if rest else stage), True
        entered = os.read(stages, 1)
        if not entered:
            return stage, False
        stage = STAGES[entered[0]]
        if due is None and stage == wanted:
            due = time.monotonic() + asked["seconds"]


if __name__ == "__main__":
    os.chdir(Path(sys.argv[1]))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()
