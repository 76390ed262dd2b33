"""What is asked of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked for: which specs, and which part of them.

    `cache_given` where `--cache` named the cache. Relative paths in `overrides` start from `base`,
    by default the working directory.
    """

    paths: tuple[Path, ...]
    overrides: tuple[str, ...]
    suites: tuple[str, ...]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    tier: str | None
    cache: Path
    no_hooks: bool = False
    rehash: bool = False
    no_cache: bool = False
    since: str | None = None
    cache_given: bool = False
    base: Path | None = None


def default_path() -> Path:
    """`specs` where there is such a folder, else the working directory."""
    return Path("specs") if Path("specs").is_dir() else Path()
