"""What hooks may take, and how much of the machine they are given."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Takes = Literal["case", "text", "rows"]
"""What a hook is called with: a case (metric), a text and its case (extract), rows (prepare)."""


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` for one call or one import, `memory` in bytes for one child with what it starts,
    and how many children at once."""

    seconds: float = 60.0
    memory: int = 4 << 30
    workers: int = field(default_factory=cores)


@dataclass(frozen=True, slots=True)
class Hook:
    """A function `pkg.mod:function`, found from `root`; `modules` are those under `root` that take
    part in it, as far as its text tells, `places` are folders and files of packages that are
    installed in place and take part too."""

    name: str
    root: Path
    takes: Takes
    modules: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a hook gave nothing. `ended`: its process is gone; `vague`: nothing tells at
    which call; `hint`: it went beyond a limit."""

    why: str
    notes: tuple[str, ...] = ()
    ended: bool = False
    vague: bool = False
    hint: str | None = None


class HookFailed(Exception):  # noqa: N818
    """A hook that cannot be loaded (`loading`), or whose `prepare` failed."""

    def __init__(self, failure: Failure, loading: bool = False) -> None:
        self.failure, self.loading = failure, loading
        super().__init__(failure.why)
