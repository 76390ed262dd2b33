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
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalc import _core
from evalc.score.cells import CaseDict
from evalc.score.faults import fault
from evalc.score.scoring import CodeSettings

_CHILD = Path(__file__).with_name("program_child.py")
_REPORT_BYTES = 4096


@dataclass(frozen=True)
class Outcome:
    """How a program ended: passed, failed (an error, an early exit, a limit) or timed out."""

    ended: Literal["passed", "failed", "timed out"]
    detail: str = ""

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


def run_programs(programs: Sequence[str], settings: CodeSettings) -> list[Outcome]:
    """Run every program, as many at once as there are cores; outcomes in the same order."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(lambda program: run_program(program, settings), programs))


def run_program(program: str, settings: CodeSettings) -> Outcome:
    """Run one program in a child interpreter.

    It passes when its last statement was reached without an error: the child then sends a token
    that it was given through its standard input, so that leaving early does not count.
    """
    with tempfile.TemporaryDirectory(prefix="evalc-program-", ignore_cleanup_errors=True) as home:
        path = Path(home) / "program.py"
        path.write_text(program, encoding="utf-8", errors="surrogatepass")
        token = secrets.token_hex(16)
        reader, writer = os.pipe()
        try:
            timed_out = _run(home, path, writer, token, settings)
            os.set_blocking(reader, False)
            report = _read(reader)
        finally:
            os.close(reader)
    if report.startswith(token):
        return Outcome("passed")
    if timed_out:
        return Outcome("timed out", f"no end after {settings.timeout:g} s")
    return Outcome("failed", report or "it ended before its last statement")


def _run(home: str, path: Path, writer: int, token: str, settings: CodeSettings) -> bool:
    """Start, wait, kill the group, close `writer`. Returns whether the time ran out."""
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
    try:
        process.communicate(token.encode(), timeout=settings.timeout)
        return False
    except subprocess.TimeoutExpired:
        return True
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
