"""What planning keeps in the cache folder beside the store, and when it was last used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evalc.plan.ir import Ir
from evalc.plan.sums import SUFFIX, sum_of
from evalc.store import Store
from evalc.store.marks import DAY_SECONDS, today

FOLDERS = ("tokenizers", "snapshots", "memo")
"""Tokenizer bundles, data snapshots, expansion memos: all can be made again."""
USED = b"used:"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of one of the folders: its size in bytes and the day (UTC) of its last known use."""

    path: Path
    size: int
    day: int


def remember_uses(ir: Ir, cache: Path, store: Store) -> None:
    """Note that a plan's bundles and snapshots are used today: one note a file and day."""
    day = str(today()).encode()
    for name in uses(ir, cache):
        if store.note(name) != day:
            store.remember(name, day)


def uses(ir: Ir, cache: Path) -> list[bytes]:
    """Names of the notes that say when a plan's bundles and snapshots were last used."""
    names = (_name(file, cache) for file in sorted(set(ir.files)))
    return [name for name in names if name is not None]


def _name(file: Path, cache: Path) -> bytes | None:
    """The note's name of a file in one of the folders; None for any other file."""
    if file.is_relative_to(cache) and file.relative_to(cache).parts[0] in FOLDERS:
        return USED + file.relative_to(cache).as_posix().encode()
    return None


def kept_files(cache: Path, store: Store) -> Iterator[Kept]:
    """Every file of the folders.

    Its last use is what plans have noted, or when it was last read or written as far as the file
    system tells, whichever is later.
    """
    for folder in FOLDERS:
        for path in sorted((cache / folder).rglob("*")):
            if path.suffix == SUFFIX and path.with_suffix("").exists():
                continue  # it goes with its file
            with suppress(OSError):
                state = path.stat()
                if path.is_file():
                    name = _name(path, cache)
                    noted = store.note(name) if name is not None else None
                    day = int(max(state.st_mtime, state.st_atime) // DAY_SECONDS)
                    yield Kept(path, state.st_size, max(day, _day(noted)))


def _day(noted: bytes | None) -> int:
    """A day that was noted; 0 where it is none."""
    return int(noted) if noted is not None and noted.isdigit() and len(noted) < 8 else 0


def discard(kept: Kept, cache: Path, store: Store) -> None:
    """Delete a file and forget its use; one that is gone already is no error."""
    kept.path.unlink(missing_ok=True)
    sum_of(kept.path).unlink(missing_ok=True)
    name = _name(kept.path, cache)
    if name is not None:
        store.forget(name)
