"""Files that a user names: whether there is one, and writing one."""

from __future__ import annotations

from pathlib import Path

from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.store.replacing import asked_for


def is_file(path: Path) -> bool:
    """Whether a text is the path of a file; one that can be no path is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all, by the rule of `asked_for`. Raises Faults."""
    try:
        with asked_for(path) as stream:
            stream.write(text)
    except OSError as error:
        message = f"`{path}` cannot be written: {(error.strerror or str(error)).lower()}"
        hint = "name a file that can be written, in a folder that exists"
        fault = Diagnostic("file-unwritable", message, hint=hint)
        raise Faults([fault], exit_code=ExitCode.FAILURE) from None


def replaceable(path: Path) -> bool:
    """Whether a file is there, or nothing is."""
    return path.is_file() or not path.exists()
