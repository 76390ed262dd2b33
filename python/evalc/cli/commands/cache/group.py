"""`evalc cache`: the group, `stat` and `verify`."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from evalc.cli import output
from evalc.cli.commands.cache.audit import audit_command
from evalc.cli.commands.cache.gc import gc_command
from evalc.cli.commands.cache.segments import export_command, import_command, merge_command
from evalc.cli.near import Near
from evalc.cli.options.shared import cache_option
from evalc.cli.options.sizes import size_text
from evalc.diagnostics import Diagnostic, Place
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode
from evalc.plan.uses import FOLDERS, kept_files
from evalc.store import Store
from evalc.store.environment import QUARANTINE, RUNS, SCORES
from evalc.store.statistics import Namespace, Verified, namespaces, verify

STAT_SCHEMA = "evalc.cache-stat/1"
VERIFY_SCHEMA = "evalc.cache-verify/1"
EPOCH = date(1970, 1, 1)


@click.group("cache", cls=Near)
def cache_command() -> None:
    """Look into the cache; check, audit, shrink, carry and merge it."""


@cache_command.command("stat")
@cache_option
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
def stat_command(cache: Path, as_json: bool) -> int:
    """Count records, bytes, scores and runs, in all and per namespace (a model and its engine)."""
    with Store.open(cache / "store") as store:
        document = _stat(store, cache)
    if as_json:
        output.document(document)
        return ExitCode.DONE
    output.table(_table(document))
    output.table("")
    output.table(
        f"{many(document['records'], 'record')}, {size_text(document['bytes'])} in "
        f"{size_text(document['file_bytes'])} of file; {many(document['scores'], 'score')}, "
        f"{many(document['runs'], 'run')}, {document['quarantined']:,} in quarantine"
    )
    for name, kept in document["files"].items():
        output.table(f"{name}: {many(kept['files'], 'file')}, {size_text(kept['bytes'])}")
    output.table(f"in {cache}" + (", read-only" if document["readonly"] else ""))
    return ExitCode.DONE


def _stat(store: Store, cache: Path) -> dict[str, Any]:
    found = namespaces(store)
    files: dict[str, dict[str, int]] = {name: {"files": 0, "bytes": 0} for name in FOLDERS}
    for kept in kept_files(cache, store):
        folder = files[kept.path.relative_to(cache).parts[0]]
        folder["files"] += 1
        folder["bytes"] += kept.size
    data = store.directory / "data.mdb"
    return {
        "schema": STAT_SCHEMA,
        "directory": str(cache),
        "readonly": store.readonly,
        "records": sum(entry.records for entry in found),
        "bytes": sum(entry.size for entry in found),
        "file_bytes": data.stat().st_size if data.exists() else 0,
        "quarantined": store.count(QUARANTINE),
        "runs": store.count(RUNS),
        "scores": store.count(SCORES),
        "namespaces": [_namespace(entry) for entry in found],
        "files": files,
    }


def _namespace(entry: Namespace) -> dict[str, Any]:
    return {
        "namespace": entry.name.hex(),
        "models": sorted(entry.models),
        "records": entry.records,
        "bytes": entry.size,
        "runs": entry.runs,
        "first_written": _date(entry.first_day),
        "last_written": _date(entry.last_day),
    }


def _date(day: int | None) -> str | None:
    try:
        return None if day is None else (EPOCH + timedelta(days=day)).isoformat()
    except OverflowError:
        return None


def _table(document: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("namespace", no_wrap=True)
    table.add_column("models")
    for name in ("records", "size", "runs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last written", no_wrap=True)
    for entry in document["namespaces"]:
        table.add_row(
            entry["namespace"],
            ", ".join(entry["models"]) or "?",
            f"{entry['records']:,}",
            size_text(entry["bytes"]),
            f"{entry['runs']:,}",
            entry["last_written"] or "?",
        )
    return table


@cache_command.command("verify")
@cache_option
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
def verify_command(cache: Path, as_json: bool) -> int:
    """Check every checksum; move what is bad into quarantine. Exit code 1 if anything was."""
    with Store.open(cache / "store") as store:
        found = verify(store)
        readonly = store.readonly
    if as_json:
        output.document(_verified(found, readonly))
    elif found.damaged:
        output.diagnostics([_damaged(found, cache, readonly)], "terminal")
    else:
        records, scores, runs = (found.checked[name] for name in ("records", "scores", "runs"))
        others = sum(found.checked.values()) - records - scores - runs
        output.talk(
            f"ok: {many(records, 'record')}, {many(scores, 'score')}, "
            f"{many(runs, 'run')} and {many(others, 'other value')} are intact"
        )
    return ExitCode.FAILURE if found.damaged else ExitCode.DONE


def _verified(found: Verified, readonly: bool) -> dict[str, Any]:
    return {
        "schema": VERIFY_SCHEMA,
        "checked": found.checked,
        "bad": found.bad,
        "quarantined": 0 if readonly else found.damaged,
        "listed": [{"bucket": bucket, "name": _shown(name)} for bucket, name in found.listed],
    }


def _fail(count: int) -> str:
    return "fails its checksum" if count == 1 else "fail their checksum"


def _damaged(found: Verified, cache: Path, readonly: bool) -> Diagnostic:
    kinds = ", ".join(f"{count:,} of {name}" for name, count in found.bad.items() if count)
    done = "they stay, since the cache is read-only" if readonly else "they are in quarantine now"
    return Diagnostic(
        "cache-damaged",
        f"{many(found.damaged, 'value')} {_fail(found.damaged)} ({kinds}); {done}",
        Place(cache),
        notes=tuple(f"{bucket}: `{_shown(name)}`" for bucket, name in found.listed[:5]),
        hint="check the disk and the memory; what is missing is asked or computed again",
    )


def _shown(name: bytes) -> str:
    """A name as it is if it is text, else in hex."""
    text = name.decode("ascii", errors="ignore")
    return text if len(text) == len(name) and text.isprintable() else name.hex()


for _command in (audit_command, gc_command, export_command, import_command, merge_command):
    cache_command.add_command(_command)
