"""A data file that is not as LMDB wrote it: cut short, or with damaged pages.

LMDB trusts its pages. Reading behind the end of the file is a bus error, and a damaged page may be
a segmentation fault or a failed assertion in C, either of which ends the process without a word.
Values have checksums of their own; this is about the tree above them. Checking every page at every
opening would cost a pass over the file, so two things are done instead: a file that is shorter
than its last page is filled up with zeros, which LMDB recognises as no page, and a process that
dies inside a transaction says of what.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

DEADLY = ("SIGSEGV", "SIGBUS", "SIGABRT")
HINT = "move the directory away; `evalc exec` asks again what is in no other cache"
DAMAGED = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.CursorFullError,
    lmdb.PageFullError,
    lmdb.IncompatibleError,
    lmdb.BadTxnError,
    lmdb.NotFoundError,
)
"""What LMDB raises when its pages make no sense."""
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
STDERR = 2
FAILURE = 1


def fill_up(env: lmdb.Environment, file: Path) -> None:
    """Make a data file at least as long as the pages that it says it has.

    A sound file may be shorter by pages that were freed in the transaction that first used them.
    """
    page = int(env.stat()["psize"])
    if file.stat().st_size >= (int(env.info()["last_pgno"]) + 1) * page:
        return
    with env.begin(write=True):  # nobody else may grow it meanwhile
        size = (int(env.info()["last_pgno"]) + 1) * page
        if file.stat().st_size < size:
            os.truncate(file, size)


class LastWords:
    """Says what is wrong when a signal of a damaged page ends the process in a transaction.

    Outside of transactions, and where Python's own fault handler is on, signals do what they did.
    """

    def __init__(self) -> None:
        self._inside: list[bytes] = []
        self._handler: Any = None
        self._set: Any = None

    @contextmanager
    def about(self, directory: Path) -> Iterator[None]:
        """Whoever dies in this block died of the store in `directory`."""
        self._install()
        text = f"the store in `{directory}` is damaged: reading it ended the process"
        self._inside.append(f"error[cache-damaged]: {text}\n  hint: {HINT}\n".encode())
        try:
            yield
        finally:
            self._inside.pop()

    def _install(self) -> None:
        if self._handler is not None or faulthandler.is_enabled():
            return
        # `signal.signal` would only note the signal, and the faulty instruction would run again
        try:
            self._set = ctypes.CDLL(None).signal
        except (OSError, TypeError, AttributeError):
            return  # no C library of that form here
        self._set.argtypes, self._set.restype = [ctypes.c_int, _HANDLER], ctypes.c_void_p
        self._handler = _HANDLER(self._said)
        for name in DEADLY:
            if hasattr(signal, name):
                self._set(int(getattr(signal, name)), self._handler)

    def _said(self, number: int) -> None:
        if self._inside:
            os.write(STDERR, self._inside[-1])
            os._exit(FAILURE)
        # not ours: the default is set again, and what raised the signal raises it again; not with
        # Python's `signal`, which only the main thread may call
        self._set(number, _HANDLER())


LAST_WORDS = LastWords()
