"""Programs that a model wrote: assembling their text, and running them under limits.

In a sandbox (`sandbox`) where there is one. Beside it, and without one: wall-clock time, CPU time,
address space, size of a written file, core dumps, the number of processes, a folder of its own as
working directory, an environment without the caller's variables, no standard input or output;
every process of its process group is killed at its end, and a guard inside the interpreter refuses
new processes, signals and sockets. Without a sandbox that is a guard against accidents only: the
program runs as the same user and can read and write that user's files.

The verdict comes from this side. At the program's end its process becomes another program
(`program_child`), which is seen from here; neither an exit status, nor a descriptor, nor anything
that the program can find in its process makes one. What writes the interpreter's memory is not
held (numpy makes an array of any address, and bytecode of one's own goes anywhere), nor that a
value is made to equal all others: tests that run beside a program believe what it computes.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
from evalc.score.sandbox import HOME, Sandbox, bubblewrap, wrapped
from evalc.score.scoring import CodeSettings

_CHILD = Path(__file__).with_name("program_child.py")
_REPORT_BYTES = 4096
_STARTED = "\n"
_PROCESSES = {"bwrap": 64, "none": 4096}
"""Processes and threads: a sandbox's own, or those of the user, others than the program's too."""
_LOOK_SECONDS = 0.05
"""How often it is looked whether a program has ended that keeps its descriptors open."""
_OWN_TIME = 0.9
"""The part of its time limit that a program must have computed for its time-out to be its own."""
_IMPORTS = re.compile(r"\b(?:from|import)\b((?:\\\n|[^#\n;])+)")
_LOADERS = re.compile(r"\b(?:__import__|importlib|import_module|runpy|pkgutil|exec|eval)\b")
"""What imports by a text, which may stand anywhere in the program."""
_MACHINE = re.compile(r"MemoryError|\[Errno (?:11|12|23|28)\]|can't start new thread")
"""Errors that a machine short of memory, processes or disk gives to a program that is right."""
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""As a child says it, and as bubblewrap does."""
_WORD = re.compile(r"(?<![.\w])[^\W\d]\w*")
SOURCES = ("programs.py", "program_child.py", "sandbox.py")
"""What of this room takes part in an outcome."""


PROC = Path("/proc")
Sight = Callable[[int, str], bool]
"""Whether the process of a number runs the program of a path."""
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
    told = [program] if _LOADERS.search(program) else _IMPORTS.findall(program)
    words = {word for found in told for word in _WORD.findall(found)}
    return [(word, package_state(word)) for word in sorted(words - sys.stdlib_module_names)]


def run_programs(
    programs: Sequence[str], settings: CodeSettings, sandbox: Sandbox = "none"
) -> Iterator[Outcome]:
    """Run every program, as many at once as there are cores; outcomes in the same order.

    Raises `Faults` (`program-not-started`).
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        yield from pool.map(lambda program: run_program(program, settings, sandbox), programs)


def run_program(
    program: str, settings: CodeSettings, sandbox: Sandbox = "none", proc: Path = PROC
) -> Outcome:
    """Run one program in a child interpreter; `proc` is where the kernel tells of processes.

    It passes when its last statement was reached without an error; leaving early does not count.
    Raises `Faults` (`program-not-started`) where the interpreter did not come as far as the
    program: that says nothing about the program.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix="evalc-program-", ignore_cleanup_errors=True
        ) as home:
            end, report = _reported(home, program, settings, sandbox, _sight(proc))
    except OSError as error:
        raise _not_started(str(error)) from None
    if end.passed:
        return Outcome("passed")
    if not report.startswith(_STARTED) and not end.timed_out:
        raise _not_started(f"it ended with {end.code} before the program began")
    detail = report.removeprefix(_STARTED)
    if end.timed_out:
        own = end.cpu_seconds >= _OWN_TIME * settings.timeout
        return Outcome("timed out", f"no end after {settings.timeout:g} s", own)
    own = end.code not in _KILLED and not _MACHINE.search(detail)
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


def _reported(
    home: str, program: str, settings: CodeSettings, sandbox: Sandbox, sight: Sight
) -> tuple[_End, str]:
    reader, writer = os.pipe()
    try:
        end = _run(home, program, (reader, writer), settings, sandbox, sight=sight)
        os.set_blocking(reader, False)
        return end, _read(reader)
    finally:
        os.close(reader)


def _run(
    home: str,
    program: str,
    pipe: tuple[int, int],
    settings: CodeSettings,
    sandbox: Sandbox,
    *,
    sight: Sight,
) -> _End:
    """Start, watch, kill the group; closes the pipe's writer."""
    reader, writer = pipe
    finisher = shutil.which("sleep") or "/bin/sleep"
    limits = (max(1, int(settings.timeout + 1)), settings.memory_mb, settings.file_mb)
    command = [sys.executable, "-I", "-B", "-", str(writer), *map(str, limits)]
    command[3] = str(_CHILD)
    command += [str(_PROCESSES[sandbox]), finisher, str(int(settings.timeout) + 60)]
    told, tell = os.pipe()
    try:
        if sandbox == "bwrap":
            command = _boxed(command, home, tell)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=_environment(home),
            pass_fds=(writer, tell) if sandbox == "bwrap" else (writer,),
            start_new_session=True,
        )
    except BaseException:
        os.close(told)
        raise
    finally:
        os.close(writer)
        os.close(tell)
    end = _End(0, timed_out=True, cpu_seconds=0.0)
    try:
        pid = process.pid if sandbox == "none" else _child(told)
        _hand_over(process, program)
        end = _watched(process, reader, lambda: sight(pid, finisher), settings.timeout)
        if end.timed_out:
            end = replace(end, cpu_seconds=_cpu_seconds(pid))
    finally:
        os.close(told)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return end


def _boxed(command: Sequence[str], home: str, tell: int) -> list[str]:
    program = bubblewrap().program or "bwrap"
    variables = [p for k, v in _environment(HOME).items() for p in ("--setenv", k, v)]
    child = ["--ro-bind", str(_CHILD), str(_CHILD)]
    box = wrapped(program)
    # what is bound has to be there before the root becomes read-only
    at = box.index("--dev")
    return [*box[:at], *child, *box[at:], *variables, "--info-fd", str(tell), "--", *command]


def _child(told: int) -> int:
    """The process in a sandbox, as it is called out here; 0 where there came to be none."""
    said = b""
    while not said.rstrip().endswith(b"}"):
        piece = os.read(told, 4096)
        if not piece:
            return 0
        said += piece
    return int(json.loads(said)["child-pid"])


def _hand_over(process: subprocess.Popen[bytes], program: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(program.encode("utf-8", "surrogatepass"))


def _watched(
    process: subprocess.Popen[bytes], reader: int, became: Callable[[], bool], seconds: float
) -> _End:
    """Wait until the process ends, becomes the finisher, or has had its time."""
    until = time.monotonic() + seconds
    hung_up = select.poll()
    hung_up.register(reader, 0)  # only that every writer is gone
    while (left := until - time.monotonic()) > 0:
        code = process.poll()
        if code is not None:
            return _End(code, timed_out=False, cpu_seconds=0.0)
        if became():
            return _End(0, timed_out=False, cpu_seconds=0.0, passed=True)
        if hung_up.poll(1000 * min(left, _LOOK_SECONDS)):
            if became():
                return _End(0, timed_out=False, cpu_seconds=0.0, passed=True)
            time.sleep(0.001)
    return _End(0, timed_out=True, cpu_seconds=0.0)


def _sight(proc: Path) -> Sight:
    """What tells whether a process runs the program of a file. Raises OSError without any."""
    if (proc / "self" / "exe").exists():
        return lambda pid, program: _is(proc / str(pid) / "exe", program)
    ps = shutil.which("ps")  # macOS and other systems without /proc
    if ps is None:
        raise OSError("there is neither /proc nor `ps` to see its end by")
    return lambda pid, program: _listed(ps, pid) == Path(program).name


def _is(one: Path, other: str) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _listed(ps: str, pid: int) -> str:
    """The name of the program that a process runs, as `ps` has it."""
    done = subprocess.run(
        [ps, "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip()).name


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
