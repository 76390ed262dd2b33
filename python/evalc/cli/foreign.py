"""What others write: libraries, their loggers and warnings, and native code under them.

A library prints what a file of a model holds, and native code writes to file descriptors. None of
it is data, and all of it passes the boundary that our own lines pass: `Foreign` takes the place of
Python's streams while a command runs, and `Watch` that of file descriptors 1 and 2 while a model
is asked. The latter is a process, so that what is written last by a process that aborts is heard.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from evalc.diagnostics import visible

ENDS = re.compile("([\n\r])")
LONGEST = 1 << 16
"""Characters of a line that is not ended, after which it is."""
SECONDS = 2.0
"""How long is waited for what was written last."""
WATCH = """\
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
boundary = runpy.run_path(sys.argv[1])
for line in sys.stdin.buffer:
    text = line.decode("utf-8", "backslashreplace").rstrip("\\r\\n")
    text = boundary["commandless"](boundary["visible"](text)) + "\\n"
    os.write(1, boundary["spelled"](text, sys.argv[2]).encode("utf-8", "backslashreplace"))
"""


class Foreign(io.TextIOBase):
    """A stream for everybody else; `tell` is given one whole line after the other.

    A carriage return, with which a bar of progress begins anew, stays one on a terminal.
    """

    def __init__(self, like: TextIO | None, tell: Callable[[str, str], None]) -> None:
        self._like, self._tell = like, tell
        self._held = ""
        self._lock = threading.RLock()

    encoding = "utf-8"
    errors = "backslashreplace"

    @property
    def buffer(self) -> io.RawIOBase:
        """The same for bytes."""
        return _Bytes(self)

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """What the stream is that this stands for."""
        return self._like is not None and self._like.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream that this stands for."""
        if self._like is None:
            raise io.UnsupportedOperation("the stream is closed")
        return self._like.fileno()

    def write(self, text: str) -> int:
        """Pass on what is whole of it."""
        if not isinstance(text, str):
            raise TypeError(f"a text is written, not {type(text).__name__}")
        with self._lock:
            *whole, self._held = ENDS.split(self._held + text.replace("\r\n", "\n"))
            for told, mark in zip(whole[::2], whole[1::2], strict=True):
                self._tell(told, mark if mark == "\n" or self.isatty() else "\n")
            if len(self._held) > LONGEST:
                self.end()
        return len(text)

    def end(self) -> None:
        """End the line that is begun."""
        with self._lock:
            if self._held:
                told, self._held = self._held, ""
                self._tell(told, "\n")


class _Bytes(io.RawIOBase):
    def __init__(self, stream: Foreign) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]
        self._stream.write(content.decode("utf-8", "backslashreplace"))
        return len(content)


class Watch:
    """Takes what is written to file descriptors 1 and 2 through the boundary to stderr.

    `out` and `err` are what was there before. Raises OSError where no process can be started.
    """

    def __init__(self, encoding: str) -> None:
        import subprocess  # noqa: PLC0415  costs milliseconds, rarely wanted

        read, write = os.pipe()
        self.out, self.err = os.dup(1), os.dup(2)
        command = [sys.executable, "-I", "-S", "-c", WATCH, str(Path(visible.__file__)), encoding]
        try:
            self._process = subprocess.Popen(command, stdin=read, stdout=self.err)
        except OSError:
            for number in (write, self.out, self.err):
                os.close(number)
            raise
        finally:
            os.close(read)
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(write)

    def end(self) -> None:
        """Put back what was there, once all has been passed on."""
        os.dup2(self.out, 1)
        os.dup2(self.err, 2)
        import subprocess  # noqa: PLC0415

        with suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
        os.close(self.out)
        os.close(self.err)
