"""What the fuzz benches share: an input in a forked child, a verdict, and what is kept of it."""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalc.cli import main
from evalc.errors import ExitCode

SECONDS = 20.0
"""Processor time, and the time without any, after which an input hangs."""
PATIENCE = 6
"""How often `SECONDS` may pass on the wall while a busy machine computes less."""
GROWTH = 2 << 30
"""Bytes of memory that an input may take beyond what the process has."""
CODES = frozenset(code.value for code in ExitCode)
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Input:
    """What is run in the folder of an input, and what was done to it, in words."""

    commands: Sequence[Sequence[str]]
    about: str


@dataclass(frozen=True)
class Ended:
    """How an input ended: what it was, exit codes (negative: a signal), whether it was ended, what
    it said, bytes that it took."""

    about: str
    codes: tuple[int, ...]
    hung: bool
    said: str
    growth: int

    @property
    def verdict(self) -> str:  # noqa: PLR0911
        """Its diagnostics, `ran`, or words in capitals where it did wrong."""
        if self.hung:
            return "HANG"
        if any(code < 0 for code in self.codes):
            return f"SIGNAL {-min(self.codes)}"
        if "internal error" in self.said or "Traceback" in self.said:
            return "INTERNAL ERROR"
        if self.growth > GROWTH:
            return "MEMORY"
        if not CODES.issuperset(self.codes):
            return f"EXIT CODE {max(self.codes)}"
        codes = sorted(set(re.findall(r"error\[([a-z0-9-]+)\]", self.said)))
        if ExitCode.USAGE in self.codes and not codes and "Error: " not in self.said:
            return "SILENT 2"
        return " ".join(codes[:2]) if codes else "ran"


Make = Callable[[random.Random, Path], Input]
"""Writes the files of an input into a new folder."""


def run(root: Path, make: Make, number: int, ready: Callable[[], None]) -> Ended:
    """Make an input in the folder `root` and run it, in a fork.

    Whoever forks has no threads, of which a fork would have the locks alone: so it makes no input.
    """
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    told = Told(root.parent)
    told.about.write_text("")
    told.codes.write_text("")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pid = os.fork()
    if pid == 0:
        _child(root, make, number, told, ready)
    hung = not _waited(pid)
    _, status, used = os.wait4(pid, 0)
    found = [int(code) for code in told.codes.read_text().split()]
    if os.WIFSIGNALED(status):
        found.append(-os.WTERMSIG(status))
    growth = (used.ru_maxrss - before) * 1024
    said = told.said.read_text("utf-8", "replace")
    return Ended(told.about.read_text(), tuple(found), hung, said, growth)


class Told:
    """Where a child writes what it does."""

    def __init__(self, folder: Path) -> None:
        self.about, self.codes, self.said = (folder / n for n in ("about", "codes", "said"))


def _waited(pid: int) -> bool:
    """Whether a child ended by itself; else its stack is told, and it is killed."""
    watched, start = os.pidfd_open(pid), time.monotonic()
    idle, before = start, 0.0
    try:
        while not select.select([watched], [], [], 1.0)[0]:
            now, used = time.monotonic(), _processor_seconds(pid)
            if used > before + 0.02:
                idle, before = now, used
            if used > SECONDS or now - idle > SECONDS or now - start > PATIENCE * SECONDS:
                os.kill(pid, signal.SIGUSR1)
                select.select([watched], [], [], 0.5)
                os.kill(pid, signal.SIGKILL)
                return False
        return True
    finally:
        os.close(watched)


def _processor_seconds(pid: int) -> float:
    """Of a process and the children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def _child(root: Path, make: Make, number: int, told: Told, ready: Callable[[], None]) -> None:
    out = os.open(told.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    os.chdir(root)
    os.environ.update(EVALC_CACHE=str(root / "cache"), NO_COLOR="1")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + 2 * GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    try:
        made = make(random.Random(number), root)
        told.about.write_text(made.about)
        ready()
        for command in made.commands:
            code = 1
            try:
                code = main(list(command))
            except SystemExit as end:
                code = int(end.code or 0)
            with told.codes.open("a") as stream:
                stream.write(f"{int(code)}\n")
    except BaseException as failure:
        os.write(2, f"Traceback: {failure!r}".encode("utf-8", "replace"))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def fuzz(  # noqa: PLR0917
    make: Make, root: Path, seconds: float, seed: int, keep: Path, ready: Callable[[], None]
) -> Counter[str]:
    """Outcomes by name of inputs made in `root`; those that did wrong are kept."""
    outcomes: Counter[str] = Counter()
    until, number = time.monotonic() + seconds, seed
    while time.monotonic() < until:
        ended = run(root, make, number, ready)
        outcomes[ended.verdict] += 1
        if ended.verdict[0].isupper():
            _kept(root, keep / f"{number}", ended)
            line = f"{number}: {ended.verdict}: {ended.about}: {ended.said[-300:]!r}"
            print(line, flush=True)
        number += 1
    return outcomes


def _kept(root: Path, to: Path, ended: Ended) -> None:
    shutil.rmtree(to, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(root, to, symlinks=True, ignore=_pipes)
    (to / "said").write_text(f"{ended.about}\n{ended.codes}\n{ended.said}")


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_fifo()]


def command_line(
    about: str | None, name: str, prepare: Callable[[Path], Make], ready: Callable[[], None]
) -> int:
    """Run a bench; 1 if it found something. `prepare` is told where inputs will lie, and makes what
    they start from beside it."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / name)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        make = prepare(root)
        outcomes = fuzz(make, root, asked.seconds, asked.seed, asked.keep, ready)
    for outcome, count in outcomes.most_common():
        print(f"{count:7} {outcome}")
    bad = sum(count for outcome, count in outcomes.items() if outcome[0].isupper())
    print(f"{outcomes.total()} inputs in {asked.seconds:.0f} s, {bad} wrong")
    return 1 if bad else 0
