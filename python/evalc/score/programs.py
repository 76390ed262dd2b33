"""Programs that a model wrote: assembling their text, and running them under limits.

What is held: wall-clock time, CPU time, address space, size of a written file, core dumps, the
number of the user's processes (not for root), a folder of its own as working directory, an
environment without the caller's variables, no standard input or output; every process of its
process group is killed at its end. A guard inside the interpreter refuses new processes, signals
and sockets.

What is not held: the program runs as the same user and can read and write that user's files, and
code that goes round the guard (ctypes, a native module) can leave the process group and use the
network. It is a guard against accidents, not a sandbox; run untrusted models in a container.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.plan.packages import package_state
from evalc.score.cells import CaseDict
from evalc.score.faults import fault
from evalc.score.scoring import CodeSettings

_CHILD = Path(__file__).with_name("program_child.py")
_REPORT_BYTES = 4096
_STARTED = "\n"
_OWN_TIME = 0.9
"""The part of its time limit that a program must have computed for its time-out to be its own."""
_IMPORTS = re.compile(r"\b(?:from|import)\s+([^#\n;]+)")
_MACHINE = re.compile(r"MemoryError|\[Errno (?:11|12|23|28)\]|can't start new thread")
"""Errors that a machine short of memory, processes or disk gives to a program that is right."""
_WORD = re.compile(r"(?<![.\w])[^\W\d]\w*")
SOURCES = ("programs.py", "program_child.py")
"""What of this room takes part in an outcome."""


Ended = Literal["passed", "failed", "timed out"]


@dataclass(frozen=True)
class Outcome:
    """How a program ended: passed, failed (an error, an early exit, a limit) or timed out.

    `lasting`: it would end so again. Not when it ran out of time without computing for most of it,
    which a busy machine does to any program, nor when it was killed from outside or lacked what the
    machine could have lacked.
    """

    ended: Ended
    detail: str = ""
    lasting: bool = field(default=True, compare=False)

    @property
    def passed(self) -> bool:
        return self.ended == "passed"


def assemble(template: str, case: CaseDict, completion: str, task: str) -> str:
    """Render a program for a case. The template sees the columns of the row and `completion`; also
    `prompt` and `target` of the case, where the row has no column of that name.

    Raises `Faults` (`bad-program`).
    """
    row = case.get("row")
    columns = row if isinstance(row, dict) else {}
    own = {"prompt": case.get("prompt"), "target": case.get("target")}
    names = {**own, **columns, "completion": completion}
    try:
        program: str = _core.render_template(template, json.dumps(names))
    except ValueError as error:
        raise fault(
            "bad-program",
            f"the program of task `{task}` cannot be written for case `{case.get('id', '?')}`: "
            f"{error}",
            hint="use `completion`, `prompt`, `target` or columns of the dataset in `code.program`",
        ) from None
    return program


def packages_in(program: str) -> list[tuple[str, str]]:
    """Packages that a program may import, with what they are here (`package_state`).

    Read off its words, so it may name too many: a package that comes, goes or changes is another
    world for the programs that could tell, and for no others.
    """
    words = {word for found in _IMPORTS.findall(program) for word in _WORD.findall(found)}
    return [(word, package_state(word)) for word in sorted(words - sys.stdlib_module_names)]


def run_programs(programs: Sequence[str], settings: CodeSettings) -> Iterator[Outcome]:
    """Run every program, as many at once as there are cores; outcomes in the same order.

    Raises `Faults` (`program-not-started`).
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        yield from pool.map(lambda program: run_program(program, settings), programs)


def run_program(program: str, settings: CodeSettings) -> Outcome:
    """Run one program in a child interpreter.

    It passes when its last statement was reached without an error: the child then sends a token
    that it was given through its standard input, so that leaving early does not count. Raises
    `Faults` (`program-not-started`) where the interpreter did not come as far as the program: that
    says nothing about the program.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix="evalc-program-", ignore_cleanup_errors=True
        ) as home:
            end, report = _reported(home, program, settings)
    except OSError as error:
        raise _not_started(str(error)) from None
    if not report.startswith(_STARTED) and not end.timed_out:
        raise _not_started(f"it ended with {end.code} before the program began")
    detail = report.removeprefix(_STARTED)
    if end.passed:
        return Outcome("passed")
    if end.timed_out:
        own = end.cpu_seconds >= _OWN_TIME * settings.timeout
        return Outcome("timed out", f"no end after {settings.timeout:g} s", own)
    own = end.code != -signal.SIGKILL and not _MACHINE.search(detail)
    return Outcome("failed", detail or "it ended before its last statement", own)


def _not_started(why: str) -> Faults:
    found = Diagnostic(
        "program-not-started",
        f"a program that the model wrote could not be run: {why}",
        hint="free memory, processes or disk space and ask for the report again",
        notes=("what has run already is kept",),
    )
    return Faults([found], exit_code=ExitCode.FAILURE)


@dataclass(frozen=True)
class _End:
    """How a child ended: its exit status (negative: a signal), its seconds of processor time."""

    code: int
    timed_out: bool
    cpu_seconds: float
    passed: bool = False


def _reported(home: str, program: str, settings: CodeSettings) -> tuple[_End, str]:
    path = Path(home) / "program.py"
    path.write_text(program, encoding="utf-8", errors="surrogatepass")
    token = secrets.token_hex(16)
    reader, writer = os.pipe()
    try:
        end = _run(home, path, writer, token, settings)
        os.set_blocking(reader, False)
        report = _read(reader)
    finally:
        os.close(reader)
    return replace(end, passed=report.startswith(_STARTED + token)), report


def _run(home: str, path: Path, writer: int, token: str, settings: CodeSettings) -> _End:
    """Start, wait, kill the group, close `writer`."""
    command = [
        sys.executable,
        "-I",
        "-B",
        str(_CHILD),
        str(path),
        str(writer),
        str(max(1, int(settings.timeout + 1))),
        str(settings.memory_mb),
        str(settings.file_mb),
    ]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=_environment(home),
            pass_fds=(writer,),
            start_new_session=True,
        )
    finally:
        os.close(writer)
    timed_out = False
    try:
        process.communicate(token.encode(), timeout=settings.timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        seconds = _cpu_seconds(process.pid) if timed_out else 0.0
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return _End(process.returncode, timed_out, seconds)


def _cpu_seconds(pid: int) -> float:
    """Seconds of processor time of a process that runs; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _read(reader: int) -> str:
    try:
        return os.read(reader, _REPORT_BYTES).decode("utf-8", "replace")
    except BlockingIOError:
        return ""


def _environment(home: str) -> dict[str, str]:
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        "PATH": os.defpath,
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        **dict.fromkeys(threads, "1"),
    }
