"""Reports made from hand-made cells."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

# The builders of cells live with the tests of the room that reads them.
sys.path.insert(0, str(Path(__file__).parent.parent / "score"))

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def text():
    """Render for a terminal of 100 columns without colour."""

    def render(view: RenderableType, width: int = 100) -> str:
        file = io.StringIO()
        Console(file=file, width=width, color_system=None, legacy_windows=False).print(view)
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"

    return render


@pytest.fixture
def snapshot():
    """Compare with a stored file, which a change of a renderer edits by hand."""

    def check(found: str, name: str) -> None:
        assert found == (SNAPSHOTS / name).read_text(encoding="utf-8")

    return check
