"""`evalc cache export`, `import` and `merge`: caches carried from place to place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options.shared import PLACE, cache_option
from evalc.cli.options.sizes import size_text
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode
from evalc.store import Store
from evalc.store.environment import RECORDS, RUNS, SCORES
from evalc.store.records import shown
from evalc.store.segments import check_segment, read_segment, write_segment
from evalc.store.statistics import chosen_namespaces
from evalc.store.union import Conflict, Contents, Union

EXPORT_SCHEMA = "evalc.cache-export/1"
UNION_SCHEMA = "evalc.cache-union/1"
model_option = click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Only this model, or this namespace in hex. Repeatable.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print a versioned document.")


@click.command("export")
@click.argument("target", metavar="FILE.evalc", type=PLACE)
@model_option
@cache_option
@json_option
def export_command(target: Path, models: tuple[str, ...], cache: Path, as_json: bool) -> int:
    """Write records, scores and runs into a segment: one file, complete or not there.

    A folder in place of FILE.evalc gets the segment under the BLAKE3 of its contents. With --model,
    runs that rest on other models too stay behind, and so do scores, which belong to no model.
    """
    with Store.open(cache / "store") as store:
        chosen = chosen_namespaces(store, models) if models else None
        contents = Contents(store, chosen)
        try:
            written = write_segment(target, contents)
        except (OSError, UnicodeEncodeError) as error:
            raw = isinstance(error, UnicodeEncodeError)
            why = "its path is not UTF-8" if raw else getattr(error, "strerror", None) or error
            message = f"`{target}` cannot be written: {why}"
            hint = "name a file in a folder that exists and can be written"
            raise Faults([Diagnostic("segment-unwritable", message, hint=hint)]) from None
    if as_json:
        output.document(
            {
                "schema": EXPORT_SCHEMA,
                "path": str(written.path),
                "digest": written.digest,
                "bytes": written.size,
                "records": written.records,
                "scores": written.scores,
                "runs": written.runs,
                "damaged": contents.damaged,
            }
        )
    else:
        output.line(str(written.path))
        output.talk(
            f"{many(written.records, 'record')}, {many(written.scores, 'score')} and "
            f"{many(written.runs, 'run')} in {size_text(written.size)}, BLAKE3 {written.digest}"
        )
    return _judged(Union(), contents.damaged, cache, as_json)


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=PLACE)
@cache_option
@json_option
def import_command(files: tuple[Path, ...], cache: Path, as_json: bool) -> int:
    """Take in segments. What is known already changes nothing; what contradicts it is refused.

    Every file is checked whole before any is used. Exit code 1 when a key has another value here:
    the value here stays, and all else is taken in.
    """
    for file in files:
        check_segment(file)
    union = Union()
    with Store.open(cache / "store") as store:
        store.require_writable()
        for file in files:
            for bucket, pairs in read_segment(file):
                union.take(store, bucket, pairs)
    return _told(union, 0, cache, as_json)


@click.command("merge")
@click.argument("other", metavar="OTHER_CACHE_DIR", type=PLACE)
@cache_option
@json_option
def merge_command(other: Path, cache: Path, as_json: bool) -> int:
    """Take in the records, scores and runs of another cache directory, which is left as it is.

    Exit code 1 when a key has another value there: the value here stays, all else is taken in.
    """
    origin = other.expanduser().absolute() / "store"
    _require_other(origin, cache / "store")
    union = Union()
    with Store.open(origin) as source, Store.open(cache / "store") as store:
        store.require_writable()
        contents = Contents(source)
        for bucket, pairs in contents:
            union.take(store, bucket, pairs)
    return _told(union, contents.damaged, other, as_json)


def _require_other(origin: Path, own: Path) -> None:
    """Raise Faults unless `origin` is a store, and not the own one: LMDB opens each once."""
    data = origin / "data.mdb"
    why = ""
    if not data.is_file():
        why = "holds no cache"
    elif (own / "data.mdb").exists() and data.samefile(own / "data.mdb"):
        why = "is this very cache"
    if why:
        hint = "give the directory of another cache, the one that `--cache` would name"
        message = f"`{origin.parent}` {why}"
        raise Faults([Diagnostic("not-a-cache", message, Place(origin.parent), hint=hint)])


def _told(union: Union, damaged: int, origin: Path, as_json: bool) -> int:
    if as_json:
        output.document(
            {
                "schema": UNION_SCHEMA,
                "records": union.records,
                "scores": union.scores,
                "runs": union.runs,
                "known": union.known,
                "damaged": damaged,
                "conflicts": union.conflicts,
                "listed": [_listed(conflict) for conflict in union.examples],
            }
        )
    else:
        output.talk(
            f"new: {many(union.records, 'record')}, {many(union.scores, 'score')} and "
            f"{many(union.runs, 'run')}; known before: {many(union.known, 'entry')}"
        )
    return _judged(union, damaged, origin, as_json)


def _judged(union: Union, damaged: int, origin: Path, as_json: bool) -> int:
    """The exit code; conflicts and damage are told in words unless a document tells them."""
    found = []
    if union.conflicts:
        found.append(
            Diagnostic(
                "cache-conflict",
                f"{many(union.conflicts, 'key')} with another value there; the values here stay",
                notes=tuple(_note(conflict) for conflict in union.examples[:5]),
                hint="run `evalc cache audit` on both sides to see which record repeats; scores "
                "that differ come from a scorer that does not repeat itself",
            )
        )
    if damaged:
        found.append(
            Diagnostic(
                "cache-damaged",
                f"{many(damaged, 'value')} of `{origin}` "
                f"{'fails its' if damaged == 1 else 'fail their'} checksum and "
                f"{'was' if damaged == 1 else 'were'} left out",
                hint=f"run `evalc cache verify --cache {origin}`",
            )
        )
    if found and not as_json:
        output.diagnostics(found, "terminal")
    return ExitCode.FAILURE if found else ExitCode.DONE


def _listed(conflict: Conflict) -> dict[str, Any]:
    return {
        "bucket": conflict.bucket.decode().partition(".")[0],
        "name": _name(conflict),
        "kept": _shown(conflict.bucket, conflict.kept),
        "refused": _shown(conflict.bucket, conflict.refused),
    }


def _note(conflict: Conflict) -> str:
    if conflict.bucket not in (RECORDS, SCORES):
        return f"run `{_name(conflict)}`"
    what = "score " if conflict.bucket == SCORES else ""
    here, there = (_shown(conflict.bucket, v) for v in (conflict.kept, conflict.refused))
    return f"{what}`{_name(conflict)[:16]}`: {here} here, {there} there"


def _shown(bucket: bytes, payload: bytes) -> str:
    """A payload in a line; that of a score is JSON."""
    return shown(payload) if bucket != SCORES else payload[:60].decode(errors="replace")


def _name(conflict: Conflict) -> str:
    if conflict.bucket == RUNS:
        return conflict.name.decode(errors="replace")
    return conflict.name.hex()
