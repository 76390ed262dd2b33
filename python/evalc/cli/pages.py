"""Writing the pages that `--html` asks for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from evalc.cli import output
from evalc.diagnostics import Diagnostic, Faults
from evalc.report.html.extra import require


def require_page(path: Path | None) -> None:
    """Raise Faults before any work when a page is wanted that could not be made or written."""
    if path is None:
        return
    require()
    if not path.absolute().parent.is_dir():
        raise _unwritable(path, "its folder does not exist")


def write_page(page: str, path: Path) -> None:
    """Write a page, whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise _unwritable(path, (error.strerror or str(error)).lower()) from None
    output.talk(f"wrote {path} ({len(page.encode()) / 1000:,.0f} kB)")


def _unwritable(path: Path, why: str) -> Faults:
    message, hint = f"`{path}` cannot be written: {why}", "name a file that can be written"
    return Faults([Diagnostic("file-unwritable", message, hint=hint)])
