"""`evalc cache gc`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options.shared import cache_option
from evalc.cli.options.sizes import size_option, size_text
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode
from evalc.plan.uses import Kept, discard, kept_files
from evalc.store import Store
from evalc.store.gc import Collected, Policy, collect
from evalc.store.leases import collecting
from evalc.store.marks import today
from evalc.store.statistics import chosen_namespaces

SCHEMA = "evalc.cache-gc/1"
DAYS = click.IntRange(min=0)


@click.command("gc")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Only records of this model (all weights that had the name), or of this namespace in hex. "
    "Repeatable.",
)
@click.option(
    "--older-than",
    type=DAYS,
    metavar="DAYS",
    help="Only records last written at least DAYS ago (UTC days); and, unless --model or "
    "--keep-bytes is given, scores as old; and tokenizers, snapshots and memos not used for DAYS.",
)
@click.option(
    "--keep-bytes",
    callback=size_option,
    metavar="SIZE",
    help="Only as many records, oldest first, as bring all of them down to SIZE (500M, 2GiB).",
)
@click.option(
    "--forget-runs",
    type=DAYS,
    metavar="DAYS",
    help="First forget runs recorded at least DAYS ago; they cite nothing any more.",
)
@click.option("--scores", is_flag=True, help="All scores, which the next report computes again.")
@click.option("--quarantine", is_flag=True, help="Empty the quarantine too.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@cache_option
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
def gc_command(
    *,
    models: tuple[str, ...],
    older_than: int | None,
    keep_bytes: int | None,
    forget_runs: int | None,
    scores: bool,
    quarantine: bool,
    dry_run: bool,
    cache: Path,
    as_json: bool,
) -> int:
    """Remove records that no recorded run cites, chosen by model, age and size; and scores.

    At least one of --model, --older-than and --keep-bytes chooses, several together all have to
    agree; or --scores alone, which removes no record. Safe while other commands use the cache: what
    a running `exec` rests on stays, and so do all files beside the records until it ends.
    """
    chooses = bool(models) or older_than is not None or keep_bytes is not None
    if not chooses and not scores:
        raise click.UsageError(
            "give at least one of --model, --older-than, --keep-bytes and --scores"
        )
    now = today()
    by_age = older_than if not models and keep_bytes is None else None
    score_age = 0 if scores else by_age
    with Store.open(cache / "store") as store:
        if not dry_run:
            store.require_writable()
        chosen = frozenset(chosen_namespaces(store, models)) if models or not chooses else None
        policy = Policy(
            day=now - (older_than or 0),
            namespaces=chosen,
            keep_bytes=keep_bytes,
            forget_day=None if forget_runs is None else now - forget_runs,
            score_day=None if score_age is None else now - score_age,
            quarantine=quarantine,
        )
        with collecting(store, _waiting) as held:
            found = collect(store, policy, dry_run, held)
            # a run may yet read its memo and its snapshots
            free = older_than is not None and held == []
            files = _unused(cache, store, now - (older_than or 0) if free else None, dry_run)
    if as_json:
        output.document(_document(found, files, dry_run))
    else:
        _tell(found, files, dry_run)
    return ExitCode.DONE


def _waiting() -> None:
    output.talk("waiting for commands that plan or report on this cache")


def _unused(cache: Path, store: Store, day: int | None, dry: bool) -> list[Kept]:
    """Files of the cache folder last used on `day` or before; deleted unless `dry`."""
    if day is None:
        return []
    found = [kept for kept in kept_files(cache, store) if kept.day <= day]
    for kept in [] if dry else found:
        discard(kept, cache, store)
    return found


def _document(found: Collected, files: list[Kept], dry: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "dry_run": dry,
        "records": found.records,
        "bytes": found.size,
        "kept_for_runs": found.cited,
        "runs_forgotten": found.runs,
        "scores": found.scores,
        "quarantined": found.quarantined,
        "files": len(files),
        "file_bytes": sum(kept.size for kept in files),
        "left": {"records": found.left, "bytes": found.left_size},
    }


def _tell(found: Collected, files: list[Kept], dry: bool) -> None:
    verb = "would remove" if dry else "removed"
    output.talk(f"{verb} {many(found.records, 'record')}, {size_text(found.size)}")
    if found.runs:
        output.talk(f"{'would forget' if dry else 'forgot'} {many(found.runs, 'run')}")
    if found.scores:
        output.talk(f"{verb} {many(found.scores, 'score')}")
    if found.quarantined:
        output.talk(f"{verb} {many(found.quarantined, 'value')} in quarantine")
    if files:
        size = size_text(sum(kept.size for kept in files))
        output.talk(f"{verb} {many(len(files), 'file')} beside the store, {size}")
    if found.cited:
        output.talk(f"{found.cited:,} more stay because a recorded run cites them")
    are = "is" if found.left == 1 else "are"
    output.talk(f"{many(found.left, 'record')} {are} left, {size_text(found.left_size)}")
