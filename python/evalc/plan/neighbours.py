"""What stands beside a path that names nothing, and may have been meant."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from evalc.diagnostics import Place
from evalc.diagnostics.near import nearest

MOST = 2000
"""Names of a folder that are looked at."""


def near_path(path: Path, place: Place | None) -> str | None:
    """A hint with the path of a like name, where the first missing part of `path` has one.

    Only in the working directory and in the spec's own folder: a spec can name any folder of the
    machine, and what is in that is not for a log to tell.
    """
    try:
        return _near(path, place)
    except OSError:  # a path that cannot be looked for, a working directory that is gone
        return None


def _near(path: Path, place: Place | None) -> str | None:
    missing = path
    while not missing.parent.is_dir():
        if missing.parent == missing:
            return None
        missing = missing.parent
    roots = [Path.cwd(), *([place.path.resolve().parent] if place else [])]
    within = missing.parent.resolve()
    if path.exists() or not any(within.is_relative_to(root) for root in roots):
        return None
    with os.scandir(missing.parent) as entries:
        names = [entry.name for entry in islice(entries, MOST)]
    close = nearest(missing.name, sorted(names))
    if close is None:
        return None
    meant = missing.with_name(close) / path.relative_to(missing)
    root = next((root for root in reversed(roots) if meant.is_relative_to(root)), None)
    return f"did you mean `{meant if root is None else meant.relative_to(root)}`?"
