"""The process in which functions of the user's repository run.

`main CHANNEL LIFE PROGRESS`, numbers of descriptors: the socket for frames, a pipe that ends
with the parent, a file that tells what is being called. Imports nothing of evalc but this
room, since its start counts; its keeper (`evalc.hooks.keeper`) kills everything it has started.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import signal
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from time import monotonic

from evalc.hooks import keeper
from evalc.hooks.frames import HEADER, LONGEST, VERSION, checked, frame, opened
from evalc.hooks.modules import Imports, find_first, function_of
from evalc.hooks.values import Unfit, as_score, as_text, line_of, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROGRESS = struct.Struct("<QIII")
"""How often it was written, what is being done, in which batch, at which place of it."""
IDLE, LOADING, CALLING, PREPARING = range(4)
TURN = 0.25
"""Seconds after which a batch is handed back with what is left of it."""
FULL = 1 << 20
"""Characters of answers, or of rows, in one frame."""
TOLD = 1000
"""Characters of an error's text."""
REMEDY = "import it as a module of the folder of the specs, in an `import` statement, or install it"
BROKEN = 70
"""The exit status of a child whose channel broke."""

_leave, _own = os._exit, os.getpid


def ask(what: str, value: Any) -> Any:
    """Ask evalc from within a hook; its answer. Raises LookupError for what it does not answer."""
    if not _CHILD:
        raise LookupError("only a hook may ask, while evalc runs it")
    return _CHILD[0].ask(what, value)


class Channel:
    """Frames over a socket whose end is the end of this process."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor
        self._inbox: deque[tuple[bytes, bytes]] = deque()

    def send(self, kind: bytes, value: Any) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        rest = memoryview(frame(kind, body))
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def receive(self) -> tuple[bytes, bytes]:
        return self._inbox.popleft() if self._inbox else self._next()

    def answer(self) -> bytes:
        """The next answer; what comes before it waits."""
        while True:
            kind, body = self._next()
            if kind == b"A":
                return body
            self._inbox.append((kind, body))

    def _next(self) -> tuple[bytes, bytes]:
        kind, length, total = opened(self._read(HEADER.size))
        return kind, checked(self._read(length), total)

    def _read(self, count: int) -> bytes:
        parts = []
        while count:
            part = os.read(self._fd, count)
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


class Child:
    """Serves one parent until that goes away."""

    def __init__(self, channel: Channel, progress: mmap.mmap) -> None:
        self._channel, self._progress = channel, progress
        self._pid, self._folder, self._path = _own(), os.getcwd(), list(sys.path)  # noqa: PTH109
        self._written = 0
        self._kind = ""
        self._function: Callable[..., Any] = shown
        self._rows: list[bytes] = []
        self._root, self._imports = "", Imports()

    def serve(self) -> None:
        self._channel.send(b"H", {"version": VERSION})
        while True:
            kind, body = self._channel.receive()
            if kind == b"L":
                self._load(json.loads(body))
            elif kind == b"C":
                self._calls(json.loads(body))
            elif kind == b"D":
                self._rows.append(body)
            elif kind == b"P":
                self._prepare()

    def ask(self, what: str, value: Any) -> Any:
        self._channel.send(b"Q", {"what": what, "value": value})
        found = json.loads(self._channel.answer())
        if "refused" in found:
            raise LookupError(found["refused"])
        return found["answer"]

    def _note(self, state: int, batch: int = 0, place: int = 0) -> None:
        self._written += 1
        PROGRESS.pack_into(self._progress, 0, self._written, state, batch, place)

    def _load(self, wanted: Any) -> None:
        os.chdir(self._folder)
        sys.path[:] = self._path
        self._note(LOADING)
        failed = None
        try:
            find_first(wanted["root"], wanted["modules"])
            self._imports.expect(
                wanted["root"], wanted["modules"], wanted["places"], wanted["temporary"]
            )
            self._kind, self._function = wanted["takes"], function_of(wanted["name"])
            self._imports.require()
        except BaseException as error:  # whatever the user's module raises while it is imported
            failed = told(error, wanted["root"])
        self._still_own()
        self._root = wanted["root"]
        self._note(IDLE)
        self._channel.send(b"L", {"failed": failed})

    def _calls(self, batch: Any) -> None:
        began = monotonic()
        values: list[Any] = []
        failed, size = [], 0
        for place, seen in enumerate(batch["calls"]):
            if place and (size > FULL or monotonic() - began > TURN):
                break
            self._note(CALLING, batch["batch"], place)
            try:
                value = self._call(seen)
            except BaseException as error:  # the user's own code; even SystemExit is no end of ours
                value = None
                failed.append([place, *told(error, self._root)])
            self._still_own()
            values.append(value)
            size += len(value) if isinstance(value, str) else 8
        self._note(IDLE, batch["batch"], len(values) - 1)
        spent = monotonic() - began
        answer = {"batch": batch["batch"], "values": values, "failed": failed, "spent": spent}
        self._channel.send(b"R", answer)

    def _call(self, seen: Any) -> Any:
        if self._kind == "case":
            case, said = seen
            value: Any = as_score(self._function({**case, **said}))
        else:
            text, case = seen
            value = as_text(self._function(text, case))
        self._imports.require()
        return value

    def _prepare(self) -> None:
        self._note(PREPARING)
        failed, count = None, 0
        try:
            text, self._rows = b"".join(self._rows), []
            rows = json.loads(text)
            del text
            for lines in _gathered(self._function(rows)):
                count += len(lines)
                self._still_own()
                self._channel.send(b"D", "".join(lines).encode())
            self._imports.require()
        except BaseException as error:  # whatever the user's own code raises
            failed = told(error, self._root)
        self._still_own()
        self._note(IDLE)
        self._channel.send(b"P", {"failed": failed, "count": count})

    def _still_own(self) -> None:
        """End a copy that a hook has forked and that came back from it."""
        if _own() != self._pid:
            _leave(0)


_CHILD: list[Child] = []


def _gathered(rows: Any) -> Iterator[list[str]]:
    """Rows as lines, some at a time. Raises `Unfit` for what is no row."""
    lines: list[str] = []
    size = 0
    for number, row in enumerate(_iterated(rows)):
        if not isinstance(row, dict):
            raise Unfit(f"row {number} of what it returned is `{shown(row)}`, not a table")
        line = line_of(row)
        if len(line) > LONGEST // 8:
            raise Unfit(f"row {number} of what it returned takes {len(line):,} characters")
        lines.append(line)
        size += len(line)
        if size > FULL // 4:
            yield lines
            lines, size = [], 0
    yield lines


def _iterated(rows: Any) -> Iterator[Any]:
    if isinstance(rows, str | bytes | dict):
        raise Unfit(f"it returned `{shown(rows)}`, not rows")
    try:
        return iter(rows)
    except TypeError:
        raise Unfit(f"it returned `{shown(rows)}`, not rows") from None


def told(error: BaseException, root: str) -> tuple[str, list[str], str | None]:
    """What an error says, where it was raised and a hint, whatever its own methods do."""
    if isinstance(error, Unfit):
        return str(error), [], error.hint
    try:
        return _what(error)[:TOLD], _where(error, root), None
    except BaseException:  # a `__str__` of the user's
        return f"{type(error).__name__}, whose text cannot be shown", [], None


def _what(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, SystemExit):
        return f"it called `sys.exit({shown(error.code) if error.code is not None else ''})`"
    try:
        text = str(error)
    except BaseException:  # the user's own `__str__`
        return f"{name}, whose text cannot be shown"
    return f"{name}: {text}" if text else name


def _where(error: BaseException, root: str) -> list[str]:
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return [f"at {error.filename}:{error.lineno}"]
    frames, step = [], error.__traceback__
    while step is not None:
        frames.append((step.tb_frame.f_code.co_filename, step.tb_lineno))
        step = step.tb_next
    own = [one for one in frames if one[0].startswith(root + os.sep)]
    other = [one for one in frames if not one[0].startswith((os.path.dirname(__file__), "<"))]  # noqa: PTH120
    last = next(chain(reversed(own), reversed(other)), None)
    return [f"raised at {last[0]}:{last[1]}"] if last else []


def _die_with_parent(life: int) -> None:
    """Let the kernel end this process when the parent's end of a pipe is closed."""
    import fcntl  # noqa: PLC0415  not everywhere

    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETOWN, _own())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def main(channel: str, life: str, progress: str) -> None:
    """Serve; called by the program that `evalc.hooks.worker` starts."""
    sys.argv = ["evalc"]
    try:
        keeper.part((int(channel), int(progress)), int(life))
    except (ImportError, OSError):
        with suppress(ImportError, OSError):
            _die_with_parent(int(life))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")  # where memory runs out, this process goes and not evalc
    trace = os.dup(2)
    faulthandler.enable(trace, all_threads=False)
    faulthandler.register(signal.SIGUSR2, trace, all_threads=False)
    child = Child(Channel(int(channel)), mmap.mmap(int(progress), PROGRESS.size))
    _CHILD.append(child)
    os.close(int(progress))
    try:
        child.serve()
    except EOFError:
        return
    except OSError:  # a hook has closed the channel
        _leave(BROKEN)
