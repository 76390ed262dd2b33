"""What may be said of paths that a user names."""

from __future__ import annotations

from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether a text is the path of a file; one that can be no path is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
