"""What an answer rested on: files, folders, and what the store held.

An answer may be given again while all of it is as it was. Files are known by device, inode, size
and times, as weights are; a folder is its entries and its own times, so a file that comes or goes
is seen. Nothing is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalc.store.environment import Store

TICK_NS = 100_000_000
"""A file changed less than this ago may change again within one tick of the file system's clock."""

State = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Footprint:
    """States of paths (None: absent), values of notes by hex name, the revision of records."""

    revision: str
    paths: Mapping[str, Sequence[int] | None]
    notes: Mapping[str, str | None]

    @classmethod
    def taken(
        cls,
        files: Iterable[Path],
        folders: Iterable[Path],
        notes: Iterable[bytes],
        store: Store,
        began: int,
    ) -> Footprint | None:
        """The footprint of an answer that was begun at `began`, in nanoseconds of the clock.

        None where that cannot be vouched for: a file may have changed since, or the store has no
        revision.
        """
        revision = store.revision()
        found: dict[str, State | None] = {}
        try:
            for folder in folders:
                found.update(_entries(folder))
        except OSError:
            return None
        found.update((str(file), _state(str(file))) for file in files)
        last = max((max(state[:2]) for state in found.values() if state), default=0)
        if revision is None or last > began - TICK_NS:
            return None
        return cls(revision.hex(), found, _values(store, notes))

    def holds(self, store: Store) -> bool:
        """Whether all of it is as it was."""
        revision = store.revision()
        return (
            revision is not None
            and revision.hex() == self.revision
            and all(_state(path) == _tuple(state) for path, state in self.paths.items())
            and _values(store, map(bytes.fromhex, self.notes)) == self.notes
        )

    def as_json(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return asdict(self)


def _tuple(state: Sequence[int] | None) -> State | None:
    return None if state is None else tuple(state)


def _values(store: Store, names: Iterable[bytes]) -> dict[str, str | None]:
    found = ((name, store.note(name)) for name in names)
    return {name.hex(): None if value is None else value.hex() for name, value in found}


def _entries(folder: Path) -> dict[str, State | None]:
    """The folder itself and all in it that is not a folder, links to nothing included."""
    with os.scandir(folder) as entries:
        files = [entry.path for entry in entries if not entry.is_dir()]
    return {path: _state(path) for path in (str(folder), *files)}


def _state(path: str) -> State | None:
    """Modification and change time in nanoseconds, size, device, inode, type and permissions."""
    try:
        state = Path(path).stat()
    except OSError:
        return None
    times = (state.st_mtime_ns, state.st_ctime_ns)
    return (*times, state.st_size, state.st_dev, state.st_ino, state.st_mode)
