"""The parent's side of one child process for hooks: start, frames, what it says, its end."""

from __future__ import annotations

import json
import mmap
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from evalc import env
from evalc.hooks.child import BROKEN, PROGRESS
from evalc.hooks.frames import BadFrame, Inbox, frame
from evalc.hooks.keeper import below
from evalc.hooks.limits import Limits

MARK = "EVALC_HOOKS"
"""In the environment of a child and of all that it starts, so that nothing of it is left behind."""
PARENT = secrets.token_hex(8)
KEPT = 1500
"""Bytes kept of what a child writes: the first ones, and as many of the last."""
TICK = 0.02
"""Seconds between two looks at a child that is busy."""
KEEPING = 2.0
"""Seconds that a child's keeper is given to end what is below it."""
_READ = 1 << 18
_BOOT = (
    "import json,sys;sys.path[:]=json.loads(sys.argv[1]);"
    "from evalc.hooks.child import main;main(*sys.argv[2:])"
)
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_TRACE = re.compile(r"(?:Fatal Python error|Stack \(most recent|Current thread 0x)")


class Worker:
    """One child. Raises OSError where it cannot be started."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.greeted = False
        self.broken = False
        self.closed = False
        self.gone = False
        self.last = (0, 0, 0)
        self._inbox, self._out = Inbox(), bytearray()
        self._first, self._last, self.written = bytearray(), bytearray(), 0
        self._seen = (-1, self.began)
        self._token = f"{PARENT}.{secrets.token_hex(8)}"
        self._ours, theirs = socket.socketpair()
        read, write = os.pipe()
        life, self._life = os.pipe()
        with theirs, tempfile.TemporaryFile() as note:
            note.truncate(PROGRESS.size)
            self._progress = mmap.mmap(note.fileno(), PROGRESS.size)
            passed = (theirs.fileno(), life, note.fileno())
            try:
                self.process = self._start(passed, write)
            except OSError:
                os.close(read)
                os.close(self._life)
                self._ours.close()
                raise
            finally:
                os.close(write)
                os.close(life)
        self._said = read
        os.set_blocking(read, False)
        self._ours.setblocking(False)

    def _start(self, passed: Iterable[int], write: int) -> subprocess.Popen[bytes]:
        numbers = [str(number) for number in passed]
        return subprocess.Popen(
            [sys.executable, "-u", "-c", _BOOT, json.dumps(sys.path), *numbers],
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            env={**env.inherited(), MARK: self._token},
            pass_fds=tuple(map(int, numbers)),
            start_new_session=True,
        )

    def send(self, kind: bytes, body: bytes) -> None:
        """Put a frame on its way; the rest goes when the child reads."""
        self._out += frame(kind, body)
        self.flush()

    def flush(self) -> None:
        """Write what fits."""
        with suppress(OSError):  # BlockingIOError, or the child is gone, which reading tells
            while self._out:
                del self._out[: self._ours.send(memoryview(bytes(self._out[:_READ])))]

    def receive(self) -> list[tuple[bytes, bytes]]:
        """The frames that have arrived; sets `closed` and `broken`."""
        self._listen()
        self.flush()
        found: list[tuple[bytes, bytes]] = []
        for _ in range(16):
            try:
                arrived = self._ours.recv(_READ)
            except BlockingIOError:
                break
            except OSError:
                arrived = b""
            if not arrived:
                self.closed = True
                break
            try:
                found += self._inbox.take(arrived)
            except BadFrame:
                self.broken = True
                break
        return found

    def register(self, poll: select.poll) -> None:
        """Let `poll` wake for this child."""
        wanted = select.POLLIN | (select.POLLOUT if self._out else 0)
        poll.register(self._ours, wanted)
        poll.register(self._said, select.POLLIN)

    def _listen(self) -> None:
        """Take what was written to stdout and stderr; only its ends are kept."""
        for _ in range(16):
            try:
                arrived = os.read(self._said, _READ)
            except OSError:
                return
            if not arrived:
                return
            self.written += len(arrived)
            self._first += arrived[: max(0, KEPT - len(self._first))]
            self._last = (self._last + arrived)[-2 * KEPT :]

    def taken(self) -> tuple[str, int]:
        """The beginning of what was written since the last call of this, and how many bytes."""
        self._listen()
        text = _TRACE.split(self._first.decode("utf-8", "replace"))[0]
        count, self.written = self.written if text.strip() else 0, 0
        self._first.clear()
        self._last.clear()
        return text.strip(), count

    def progress(self) -> tuple[int, int, int]:
        """What the child was last doing, in which batch, at which place."""
        _, state, batch, place = PROGRESS.unpack_from(self._progress)
        return state, batch, place

    def still_for(self) -> float:
        """Seconds in which the child has not come any further, as far as was looked."""
        now, written = time.monotonic(), PROGRESS.unpack_from(self._progress)[0]
        if written != self._seen[0]:
            self._seen = (written, now)
        return now - self._seen[1]

    def posted(self) -> None:
        """An idle child is given something to do: its time begins."""
        self._seen = (self._seen[0], time.monotonic())

    def where(self, root: Path, ask: bool) -> list[str]:
        """Where it hangs (`ask` it) or crashed, as a note; empty where it does not say."""
        if ask:
            with suppress(OSError):
                self.process.send_signal(signal.SIGUSR2)
            until = time.monotonic() + 0.2
            while time.monotonic() < until and not _FRAME.search(self._trace()):
                time.sleep(0.005)
        frames = _FRAME.findall(self._trace())
        own = [frame for frame in frames if frame[0].startswith(f"{root}{os.sep}")]
        return [f"{'hanging' if ask else 'ended'} at {own[0][0]}:{own[0][1]}"] if own else []

    def _trace(self) -> str:
        self._listen()
        text = self._last.decode("utf-8", "replace")
        found = list(_TRACE.finditer(text))
        return text[found[-1].start() :] if found else ""

    def ended(self) -> bool:
        """Whether nothing more comes from it."""
        return self.closed or self.broken or self.process.poll() is not None

    def ending(self) -> str:
        """How it ended, as what a hook did. Waits for a moment: its channel may close first."""
        code = None
        with suppress(subprocess.TimeoutExpired):
            code = self.process.wait(0 if self.broken else 0.5)
        if self.broken or code in (None, BROKEN):
            return "it wrote into evalc's own channel, or closed it"
        if code >= 0:
            return f"it ended its process with exit status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        why = ", from outside or for want of memory" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{why}"

    def leave(self) -> None:
        """Ask an idle child to end."""
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End the child and everything that it has started; `last` keeps what it was at."""
        if self.gone:
            return
        self.gone, self.last = True, self.progress()
        with suppress(OSError, subprocess.TimeoutExpired):
            self.process.terminate()  # its keeper ends all, those too that have left the group
            self.process.wait(KEEPING)
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        _sweep(self._token)
        self._ours.close()
        for descriptor in (self._said, self._life):
            os.close(descriptor)
        self._progress.close()

    def over(self, limits: Limits) -> bool:
        """Whether the child, with what it has started, takes more memory than it may."""
        pids = [self.process.pid, *below(self.process.pid)]
        if sum(map(_resident, pids)) <= limits.memory:
            return False
        return sum(map(_proportional, pids)) > limits.memory


def _sweep(token: str) -> None:
    """Kill what carries the mark: it has left its process group."""
    wanted = f"{MARK}={token}".encode()
    with suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                with suppress(OSError):
                    content = Path(entry.path, "environ").read_bytes()
                    if wanted in content and int(entry.name) != os.getpid():
                        os.kill(int(entry.name), signal.SIGKILL)


def _resident(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
        return int(pages) * mmap.PAGESIZE
    return 0


def _proportional(pid: int) -> int:
    """Bytes that a process takes, of what it shares its part; a fork takes little at first."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    return _resident(pid)
