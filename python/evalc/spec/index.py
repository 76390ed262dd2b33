"""Where every key and value of the merged spec was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evalc import _core
from evalc.diagnostics import Place
from evalc.spec.literals import narrowed
from evalc.spec.sources import SourceFile

Step = str | int
Loc = tuple[Step, ...]
Bytes = tuple[int, int]


class Entry(NamedTuple):
    """The text that wrote a key, and its bytes; a `[table]`'s value is its header."""

    source: SourceFile
    key: Bytes | None
    value: Bytes | None


@dataclass(frozen=True, slots=True)
class FileIndex:
    """Locations in one spec file, grouped by their first two steps, as in `tasks.gsm8k`.

    A file that is TOML but too deeply nested for the index has places without spans.
    """

    source: SourceFile
    groups: dict[Loc, dict[Loc, Entry]]

    @classmethod
    def of(cls, source: SourceFile) -> FileIndex:
        """Every location in `source`."""
        groups: dict[Loc, dict[Loc, Entry]] = {}
        for path, key, value in _core.toml_index(source.text):
            loc = tuple(path)
            groups.setdefault(loc[:2], {})[loc] = Entry(source, key, value)
        return cls(source, groups)

    def under(self, loc: Loc) -> dict[Loc, Entry]:
        """The entries at and under `loc`, which has one or two steps."""
        return {loc: Entry(self.source, None, None)} | self.groups.get(loc, {})

    def entry(self, loc: Loc) -> Entry:
        """The entry at `loc`, which has one or two steps."""
        return self.under(loc)[loc]


@dataclass(slots=True)
class Index:
    """Locations of the merged spec; later texts (the command line) replace earlier ones."""

    known: dict[Loc, Entry] = field(default_factory=dict)

    def take(self, found: FileIndex, at: Loc, to: Loc) -> None:
        """Copy the entries of the table `at` (two steps) of one file to `to` of the merged spec."""
        for loc, entry in found.under(at).items():
            self.known[to + loc[len(at) :]] = entry

    def replace(self, loc: Loc, found: dict[Loc, Entry]) -> None:
        """Forget what stands at and under `loc`, and take `found` instead."""
        kept = {k: v for k, v in self.known.items() if k[: len(loc)] != loc}
        self.known = found | kept | {k: v for k, v in found.items() if k[: len(loc)] == loc}

    def entry(self, loc: Sequence[Step]) -> tuple[Entry, bool] | None:
        """The entry at `loc` or at its nearest written ancestor, and whether it is `loc` itself."""
        for size in range(len(loc), 0, -1):
            found = self.known.get(tuple(loc[:size]))
            if found is not None:
                return found, size == len(loc)
        return None

    def place(
        self, loc: Sequence[Step], span: Bytes | None = None, key: bool = False
    ) -> Place | None:
        """Where `loc` stands: its value or key; `span` narrows to bytes of a decoded string."""
        found = self.entry(loc)
        if found is None:
            return None
        entry, exact = found
        if key and exact:
            return entry.source.place(entry.key or entry.value)
        whole = entry.value or entry.key
        if exact and span and whole:
            literal = entry.source.text.encode()[whole[0] : whole[1]].decode()
            inner = narrowed(literal, span)
            if inner is None and literal[:1] not in ("'", '"'):
                inner = span if entry.source.inline and span[1] <= len(literal.encode()) else None
            if inner:
                return entry.source.place((whole[0] + inner[0], whole[0] + inner[1]))
        return entry.source.place(whole)
