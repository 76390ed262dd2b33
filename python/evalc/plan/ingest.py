"""Data that the Rust reader does not read itself, turned once into canonical JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.errors import ExitCode
from evalc.hooks.faults import not_loaded, not_prepared
from evalc.hooks.limits import HookFailed, Limits
from evalc.hooks.rows import prepare
from evalc.hooks.values import lines_of
from evalc.plan.addresses import hub_hint
from evalc.plan.functions import hook_of, source_digest
from evalc.plan.neighbours import near_path
from evalc.plan.parquet import parquet_rows
from evalc.plan.sums import is_whole, keep_sum
from evalc.store.replacing import replacing

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "tsv"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
PARQUET = ".parquet"
SNAPSHOT_VERSION = 4
"""Raised when some files are read as other rows; the others give the bytes that they gave."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that the planner reads: absolute path, format, compression.

    `quote` encloses the fields of a delimited file; None where its format says.
    """

    path: Path
    format: str
    compression: str
    quote: str | None = None


def data_file(path: Path, cache: Path, name: str, place: Place | None) -> DataFile:
    """Settle how a data file is read; Parquet is snapshotted into the cache by content.

    Raises Faults when it does not exist or its suffix is not known.
    """
    try:
        what = "" if path.is_file() else "is a directory" if path.is_dir() else "does not exist"
    except OSError as error:
        what = f"cannot be looked for: {(error.strerror or str(error)).lower()}"
    if what:
        raise Faults(
            [
                Diagnostic(
                    "missing-data",
                    f"the file of dataset `{name}` {what}: `{path}`",
                    place,
                    hint=near_path(path, place)
                    or hub_hint(place, "dataset")
                    or "give the path of a file, relative to the spec file",
                )
            ]
        )
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = COMPRESSIONS.get(suffixes[-1], "none") if suffixes else "none"
    plain = suffixes[:-1] if compression != "none" else suffixes
    kind = plain[-1] if plain else ""
    if kind == PARQUET and compression == "none":
        return DataFile(_snapshot(path, cache, place), "jsonl", "none")
    if kind not in FORMATS:
        message = f"`{path.name}` has a suffix that is not known"
        hint = "use .jsonl, .csv, .tsv or .parquet; the first three also with .gz or .zst"
        raise Faults([Diagnostic("unknown-format", message, place, hint=hint)])
    return DataFile(path, FORMATS[kind], compression)


def _snapshot(path: Path, cache: Path, place: Place | None) -> Path:
    digest = _core.hash_files([str(path)])[0]
    target = cache / "snapshots" / f"parquet.v{SNAPSHOT_VERSION}-{digest}.jsonl"
    if not is_whole(target):
        write_rows(parquet_rows(path, place), target)
        keep_sum(target)
    return target


def joined(files: Sequence[DataFile], target: Path, place: Place | None) -> None:
    """Write the rows of several files, one after another, as JSON Lines. Raises Faults."""
    write_rows((row for file in files for row in _rows(file, place)), target)


def _rows(file: DataFile, place: Place | None) -> Iterator[Mapping[str, Any]]:
    if file.format == "parquet":
        yield from parquet_rows(file.path, place)
        return
    yield from read_file(file, place)


def read_file(file: DataFile, place: Place | None) -> list[dict[str, Any]]:
    """Every row of a file that the planner reads. Raises Faults."""
    rows: list[dict[str, Any]] = json.loads(_read(file, place))
    return rows


def _read(file: DataFile, place: Place | None, origin: str | None = None) -> str:
    """The rows of a file as a JSON list.

    Raises Faults, also for a row with a number that the planner cannot keep where `origin`, the
    file as a user knows it, is given; else that number is passed on as it is written.
    """
    try:
        return _core.read_rows(str(file.path), file.format, file.compression, file.quote, origin)
    except _core.PlanFaults as faults:
        raise Faults([_of_rows(found, place) for found in json.loads(str(faults))]) from None


def _of_rows(found: Mapping[str, Any], place: Place | None) -> Diagnostic:
    at = Place(Path(found["file"]), line=found["line"]) if found["file"] else None
    return Diagnostic(
        found["code"],
        found["message"],
        place or at,
        notes=tuple(found["notes"]),
        hint=found["hint"],
        related=((at, "in this row"),) if place and at else (),
    )


def require_whole(file: DataFile, origin: str, place: Place | None) -> None:
    """Raise Faults where the rows of `file` cannot be read, or cannot be handed on whole."""
    _read(file, place, origin)


def write_rows(rows: Iterable[Mapping[str, Any]], target: Path) -> None:
    """Write rows as JSON Lines, atomically: a reader sees all of them or no file."""
    write_lines(lines_of(rows), target)


def write_lines(lines: Iterable[str], target: Path) -> None:
    """The same of rows that are lines already."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # rows may be a gated dataset's, which others on the machine are not to read
        with replacing(target, mode=0o600) as stream:
            stream.writelines(lines)
    except OSError as error:
        message = f"`{target.parent}` cannot be written: {(error.strerror or str(error)).lower()}"
        hint = "make room, or choose another cache with `--cache`"
        found = Diagnostic("cache-failed", message, hint=hint)
        raise Faults([found], exit_code=ExitCode.FAILURE) from None


def prepared(  # noqa: PLR0917  what a snapshot is made of
    file: DataFile,
    origin: str,
    hook: str,
    root: Path,
    cache: Path,
    place: Place | None,
    limits: Limits,
) -> DataFile:
    """Rows of `file` passed through the user's `prepare` function, snapshotted by content.

    The function takes a list of rows and returns an iterable of rows. It runs again, in a child
    process, only when the file or its own source changes. Raises Faults when it cannot be loaded or
    fails, and where it would be given a row of `origin` without one of its columns.
    """
    digest = _core.hash_files([str(file.path)])[0]
    # the same bytes are other rows in another format
    fields = [digest.encode(), source_digest(hook, root).encode(), file.format.encode()]
    if file.quote is not None:
        fields.append(file.quote.encode())
    name = _core.digest_fields(f"evalc.prepared.v{SNAPSHOT_VERSION}", fields)
    target = cache / "snapshots" / f"prepared.v{SNAPSHOT_VERSION}-{name}.jsonl"
    if not is_whole(target):
        try:
            rows = _read(file, place, origin).encode()
            write_lines(prepare(hook_of(hook, root, "rows"), rows, limits), target)
        except HookFailed as failed:
            if failed.loading:
                raise not_loaded(hook, failed.failure) from None
            raise not_prepared(hook, failed.failure, place) from None
        keep_sum(target)
    return DataFile(target, "jsonl", "none")
