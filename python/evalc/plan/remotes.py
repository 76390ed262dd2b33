"""What a spec takes from the Hub, as local files that are exactly what `evalc.lock` pins.

An address that is locked is served at the locked commit, without asking the Hub when the files are
in the cache; one that is not is resolved, verified, and added to the lock. A dataset at `main`,
named or not, is read from the Hub's Parquet conversion where there is one; one at another revision
from the files of that revision, as the conversion belongs to the newest commit only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.diagnostics.amounts import many
from evalc.plan import hub, ingest
from evalc.plan.addresses import (
    DEFAULT_REVISION,
    Address,
    Kind,
    dataset_address,
    is_remote,
    model_address,
)
from evalc.plan.digests import Digests
from evalc.plan.ingest import DataFile
from evalc.plan.lock import COMMIT, NAME, Entry, LockedFile, read_lock, write_lock
from evalc.plan.splits import converted_files, file_format, named_files
from evalc.spec import Folder

INGEST_VERSION = 3
"""Raise when some files are ingested as other JSON Lines."""
Loc = tuple[str, str, str]
Key = tuple[Kind, str]


class Remotes:
    """The remote models and datasets of one spec.

    Names (of models and datasets) in `upgrade` are resolved again although they are locked.
    """

    def __init__(
        self, folder: Folder, cache: Path, digests: Digests, upgrade: Collection[str] = ()
    ) -> None:
        self._folder = folder
        self._cache = cache
        self.digests = digests
        self._upgrade = upgrade
        self._locks: dict[Path, dict[Key, Entry]] = {}
        self._fresh: dict[tuple[Path, Key], Entry] = {}

    def locs(self) -> list[Loc]:
        """Where the spec names something on the Hub."""
        spec = self._folder.spec
        found = [("models", name, "path") for name in spec.models]
        found += [("models", n, "adapter") for n, model in spec.models.items() if model.adapter]
        found += [("datasets", name, "path") for name in spec.datasets]
        return [loc for loc in found if is_remote(self._folder.located(loc))]

    def address(self, loc: Loc) -> Address:
        """The address at a loc. Raises Faults when it is not one of its kind."""
        text, place = self._folder.located(loc), self._folder.place(loc)
        return (dataset_address if loc[0] == "datasets" else model_address)(text, place)

    def locked(self, loc: Loc) -> Entry | None:
        """What is pinned for a loc now."""
        address, at = self.address(loc), self._lock_folder(loc)
        key: Key = (address.kind, address.text)
        return self._fresh.get((at, key)) or self._lock(at).get(key)

    def model(self, loc: Loc) -> Path:
        """The local directory of a model or an adapter; local paths are passed through.

        Raises Faults when it cannot be had, or is not what is pinned.
        """
        located = self._folder.located(loc)
        if not is_remote(located):
            return Path(located)
        address, place = self.address(loc), self._folder.place(loc)
        entry = self._pinned(loc)
        if entry is not None:
            return self._verified(address, entry, place)[0].parent
        commit = hub.commit_of(address, address.revision, place)
        listed = hub.model_files(hub.listing(address, commit, place))
        entry, files = self._taken(address, address.revision, commit, listed, place)
        self._add(loc, entry)
        return files[0].parent

    def data(self, loc: Loc) -> DataFile:
        """The rows of a dataset on the Hub, ingested into the cache.

        Raises Faults when they cannot be had, or are not what is pinned.
        """
        address, place = self.address(loc), self._folder.place(loc)
        entry = self._pinned(loc)
        if entry is not None:
            return DataFile(self._ingested(address, entry, place), "jsonl", "none")
        revision, commit, listed = _split(address, place)
        entry, files = self._taken(address, revision, commit, listed, place)
        target = self._target(entry)
        ingest.joined(_readable(entry, files), target, place)
        content = self.digests.of([target])[0]
        self._add(loc, replace(entry, rows=_lines(target), content=content))
        return DataFile(target, "jsonl", "none")

    def moved(self, loc: Loc) -> str | None:
        """What is not as the lock has it: a revision that moved, or an address not locked.

        Asks the Hub, unless the address names a commit. Raises Faults when it cannot be asked.
        """
        address, place, entry = self.address(loc), self._folder.place(loc), self.locked(loc)
        if entry is None:
            return f"`{address.text}` is not locked"
        if COMMIT.fullmatch(address.revision):
            return None
        if entry.revision == hub.CONVERSION:
            now = hub.conversion_of(address, place)
        else:
            now = hub.commit_of(address, entry.revision, place)
        if now == entry.commit:
            return None
        where = f"is at `{now[:12]}` now" if now else "is gone"
        return f"`{address.text}` {where}, and locked at `{entry.commit[:12]}`"

    def save(self, prune: bool = False) -> tuple[str, ...]:
        """Write what was resolved into the locks, and tell it, a line for each address.

        `prune` drops what the specs do not name any more, from locks all of whose neighbouring
        spec files were read. Raises Faults when a lock cannot be written.
        """
        told = []
        written = {at for at, _ in self._fresh}
        if prune:
            bases = {file.base for file in self._folder.files if not file.inline}
            written |= {base for base in bases if (base / NAME).is_file()}
        for at in sorted(written):
            entries = read_lock(at)
            new = {key: entry for (where, key), entry in self._fresh.items() if where == at}
            kept = self._kept(at, entries) if prune else entries
            write_lock(at, {**kept, **new}.values())
            told += [_told(entry, entries.get(key)) for key, entry in sorted(new.items())]
            told += [f"dropped `{key[1]}`" for key in sorted(set(entries) - set(kept) - set(new))]
        self._fresh.clear()
        self._locks.clear()
        return tuple(told)

    def _kept(self, at: Path, entries: dict[Key, Entry]) -> dict[Key, Entry]:
        files = {file.path.resolve() for file in self._folder.files}
        inline = any(file.inline for file in self._folder.files)
        if inline or not {file.resolve() for file in at.glob("*.toml")} <= files:
            return entries
        named = {(self.address(loc).kind, self.address(loc).text) for loc in self.locs()}
        return {key: entry for key, entry in entries.items() if key in named}

    def _pinned(self, loc: Loc) -> Entry | None:
        """The entry to follow: none when it is to be upgraded and was not yet."""
        address, at = self.address(loc), self._lock_folder(loc)
        key: Key = (address.kind, address.text)
        if (at, key) in self._fresh:
            return self._fresh[at, key]
        return None if loc[1] in self._upgrade else self._lock(at).get(key)

    def _add(self, loc: Loc, entry: Entry) -> None:
        self._fresh[self._lock_folder(loc), entry.key] = entry

    def _lock_folder(self, loc: Loc) -> Path:
        """The folder of the spec file that names it; of the first file for `--set`."""
        entry = self._folder.index.entry(loc)
        if entry is not None and not entry[0].source.inline:
            return entry[0].source.base
        return next(file.base for file in self._folder.files if not file.inline)

    def _lock(self, at: Path) -> dict[Key, Entry]:
        if at not in self._locks:
            self._locks[at] = read_lock(at)
        return self._locks[at]

    def _taken(
        self,
        address: Address,
        revision: str,
        commit: str,
        listed: Sequence[hub.Listed],
        place: Place | None,
    ) -> tuple[Entry, list[Path]]:
        """Files fetched for the first time, compared with the Hub's digests, as an entry."""
        if not listed:
            message = f"`{address.text}` holds no file that a {address.kind} is loaded from"
            hint = "name a repository with safetensors weights and `config.json`"
            raise Faults([Diagnostic("hub-data", message, place, hint=hint)])
        files = hub.fetched(address, commit, [file.path for file in listed], place)
        wrong = hub.differing(files, listed)
        if wrong is not None:
            file = next(f for f, entry in zip(files, listed, strict=True) if entry.path == wrong)
            raise _differs(f"`{wrong}` of `{address.text}` is not what the Hub has", file, place)
        digests = self.digests.of(files)
        locked = tuple(
            LockedFile(file.path, file.size, digest)
            for file, digest in zip(listed, digests, strict=True)
        )
        return Entry(address.kind, address.text, revision, commit, locked), files

    def _verified(self, address: Address, entry: Entry, place: Place | None) -> list[Path]:
        """The files of an entry, all of them with the digests that it pins."""
        files = hub.fetched(address, entry.commit, [file.path for file in entry.files], place)
        for file, wanted, digest in zip(files, entry.files, self.digests.of(files), strict=True):
            if digest != wanted.blake3:
                message = f"`{wanted.path}` of `{address.text}` is not what `{NAME}` pins"
                raise _differs(message, file, place)
        return files

    def _ingested(self, address: Address, entry: Entry, place: Place | None) -> Path:
        """The JSON Lines of an entry: as ingested before, else from its files."""
        target = self._target(entry)
        if target.is_file() and self.digests.of([target])[0] == entry.content:
            return target
        files = self._verified(address, entry, place)
        ingest.joined(_readable(entry, files), target, place)
        if self.digests.of([target])[0] != entry.content:
            message = f"the rows read from `{address.text}` are not those that `{NAME}` pins"
            note = "the files are the same, so another version of pyarrow or evalc wrote the lock"
            hint = "lock it again with `evalc lock --upgrade` and the name of the dataset"
            raise Faults([Diagnostic("content-differs", message, place, notes=(note,), hint=hint)])
        return target

    def _target(self, entry: Entry) -> Path:
        fields = [p.encode() for file in entry.files for p in (file.path, file.blake3)]
        name = _core.digest_fields(f"evalc.hub.v{INGEST_VERSION}", fields)
        return self._cache / "snapshots" / f"hub.v{INGEST_VERSION}-{name}.jsonl"


def _split(address: Address, place: Place | None) -> tuple[str, str, list[hub.Listed]]:
    """Revision, commit and files that hold a configuration's split."""
    if address.revision == DEFAULT_REVISION:
        commit = hub.conversion_of(address, place)
        if commit is not None:
            listed = hub.listing(address, commit, place)
            paths = converted_files(address, [file.path for file in listed], place)
            if paths:
                return hub.CONVERSION, commit, _only(listed, paths)
    commit = hub.commit_of(address, address.revision, place)
    listed = hub.listing(address, commit, place)
    names = [file.path for file in listed]
    paths = converted_files(address, names, place) or named_files(address, names, place)
    return address.revision, commit, _only(listed, paths)


def _only(listed: Iterable[hub.Listed], paths: Collection[str]) -> list[hub.Listed]:
    return [file for file in listed if file.path in paths]


def _readable(entry: Entry, files: Sequence[Path]) -> list[DataFile]:
    """The files with the formats that their names tell."""
    kinds = [file_format(locked.path) or ("jsonl", "none") for locked in entry.files]
    return [DataFile(file, *kind) for file, kind in zip(files, kinds, strict=True)]


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))


def _told(entry: Entry, before: Entry | None) -> str:
    rows = f", {many(entry.rows, 'row')}" if entry.rows is not None else ""
    size = sum(file.size for file in entry.files) / 1e6
    if before is None:
        what = f"locked `{entry.address}` at `{entry.commit[:12]}`"
    elif before.commit == entry.commit:
        what = f"kept `{entry.address}` at `{entry.commit[:12]}`"
    else:
        what = f"moved `{entry.address}` from `{before.commit[:12]}` to `{entry.commit[:12]}`"
    return f"{what} ({many(len(entry.files), 'file')}, {size:,.1f} MB{rows}) in {NAME}"


def _differs(message: str, file: Path, place: Place | None) -> Faults:
    hint = f"delete `{file.resolve()}` to have it downloaded again"
    return Faults([Diagnostic("content-differs", message, place, hint=hint)])
