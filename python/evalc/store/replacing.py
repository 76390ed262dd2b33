"""Text files that take the place of what was there all at once."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


@contextmanager
def asked_for(path: Path) -> Iterator[TextIO]:
    """A UTF-8 stream for a file that a user has named, by one rule for all of them.

    A file, or a free name in a folder that exists, gets its content as `replacing` says; a link to
    a file stays one. A pipe or a character device is written to, and never replaced; a descriptor
    (`/dev/stdout`, `/dev/fd/3`) is written through. Anything else is refused. Raises OSError.
    """
    number = _descriptor(path)
    if number is not None:
        with os.fdopen(os.dup(number), "w", encoding="utf-8") as stream:
            yield stream
        return
    kind = _kind(path)
    if kind is not None and (stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)):
        with path.open("w", encoding="utf-8") as stream:
            yield stream
        return
    if kind is not None and not stat.S_ISREG(kind):
        code = errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL
        raise OSError(code, "Is a directory" if code == errno.EISDIR else "Is no file", str(path))
    mode = _usual_mode() if kind is None else stat.S_IMODE(kind)
    with replacing(path.resolve(), mode) as stream:
        yield stream


def _descriptor(path: Path) -> int | None:
    """The number of an open descriptor that a path names."""
    text = str(path)
    named = DESCRIPTOR.fullmatch(text)
    return int(named[1]) if named else STANDARD.get(text)


def _kind(path: Path) -> int | None:
    """The mode of what is at a path; None for a free name. Raises OSError where none can be."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        # a link to a free name is one too
        if not path.resolve().parent.is_dir():
            raise OSError(errno.ENOENT, "Its folder does not exist", str(path)) from None
        return None
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from None


def _usual_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[TextIO]:
    """A UTF-8 stream whose content is at `path`, durably, when the block ends without an error.

    A reader sees what was there before, or all of it. Raises OSError.
    """
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=".", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
