"""Writing the pages that `--html` asks for."""

from __future__ import annotations

from pathlib import Path

from evalc.cli import output
from evalc.report.html.extra import require
from evalc.store.files import write_file


def require_page(path: Path | None) -> None:
    """Raise Faults before any work when a page is wanted and what it is made with is missing."""
    if path is not None:
        require()


def write_page(page: str, path: Path) -> None:
    """Write a page, and say how large it is."""
    write_file(path, page)
    output.talk(f"wrote {path} ({len(page.encode()) / 1000:,.0f} kB)")
