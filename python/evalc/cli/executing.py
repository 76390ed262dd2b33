"""`evalc exec`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from evalc import __version__, env
from evalc.cli import output
from evalc.cli.asking import PROBES, room, to_ask
from evalc.cli.ci import faults_for_ci
from evalc.cli.expecting import with_decisions
from evalc.cli.meter import METERED
from evalc.cli.options import (
    junit_option,
    refuse_programs,
    rehash_option,
    request,
    sandbox_option,
    selection_options,
    since_option,
)
from evalc.cli.pinning import pinned_path, repeated
from evalc.cli.recording import keep_result, require_name, tell_shadowed
from evalc.cli.reporting import Telling, show_nothing, show_report
from evalc.cli.results import Results
from evalc.cli.scoring import Scorer
from evalc.cli.session import folder_of, leased
from evalc.cli.since import Since, settled
from evalc.cli.turns import Turns, turns_of
from evalc.errors import ExitCode
from evalc.plan import Planned, cost
from evalc.plan.citing import citations, held, remember_namespace
from evalc.plan.ir import ResolvedModel
from evalc.plan.provenance import Provenance
from evalc.plan.why import Ledger, logged
from evalc.plan.why import record as log
from evalc.run.listener import Listener, Progress
from evalc.run.request import Request
from evalc.score.sandbox import Sandbox
from evalc.store import Store
from evalc.store.leases import Lease
from evalc.store.runs import run_name

RUN_SCHEMA = "evalc.run/1"


@click.command("exec")
@selection_options
@since_option
@rehash_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--no-cache", is_flag=True, help="Neither read answers from the cache nor write any to it."
)
@click.option(
    "--record",
    metavar="NAME",
    help="Record the result under NAME, which gates can name as their `baseline`.",
)
@junit_option
@click.option("--no-report", is_flag=True, help="Only fill the cache; print no report.")
@click.option(
    "--allow-code-execution", is_flag=True, help="Run programs that the model wrote (code_pass@k)."
)
@sandbox_option
def exec_command(  # noqa: PLR0917  click passes them by name
    as_json: bool,
    no_report: bool,
    allow_code_execution: bool,
    sandbox: Sandbox | None,
    record: str | None,
    junit: Path | None,
    **arguments: Any,
) -> int:
    """Ask the models what the cache does not answer; Ctrl-C and run again to continue.

    Gates are judged while it goes; a tier with `stop = "decided"` asks no more than they need. Exit
    code 3 when one fails, 4 when one is not decided.

    A file from `plan --out` in place of PATHS runs exactly what it planned, or refuses with exit
    code 5 and says what has changed since.
    """
    refuse_programs(arguments["no_hooks"], allow_code_execution)
    if junit is not None and no_report:
        raise click.UsageError("--junit writes what a report says; leave out --no-report")
    if record is not None and arguments["no_cache"]:
        raise click.UsageError("--record keeps a result in the cache; leave out --no-cache")
    how = Telling(as_json=as_json, junit=junit)
    with faults_for_ci(junit) as wanted:
        asked = request(arguments)
        path = pinned_path(asked)
        if record is not None:
            require_name(record)
        asked, since = settled(asked, junit, listener=METERED)
        if since is not None and since.nothing:
            return _nothing(asked, since, how, record, no_report)
        with (
            repeated(path, asked, METERED) if path else leased(asked, METERED, warn=True) as (
                planned,
                store,
                lease,
            )
        ):
            wanted.of(planned)
            tell_shadowed(planned, store, METERED, record)
            scorer = Scorer(planned, store, allow_code_execution, sandbox, METERED)
            if not no_report:
                scorer.warn_of_programs()
            _ask_all(planned, store, lease, scorer, record)
            scorer = Scorer(planned, store, allow_code_execution, sandbox, METERED)
            if not no_report:
                return show_report(scorer, how, since, record)
            if record is not None:
                results = Results.of(scorer, record)
                keep_result(results.report(cases=True), store, record, METERED)
            return ExitCode.DONE


def _nothing(
    asked: Request, since: Since, how: Telling, record: str | None, no_report: bool
) -> int:
    """A run at the tier `none`. A recorded result stays what it is."""
    if record is not None:
        output.talk(f"nothing is recorded as `{record}`: the tier is `none`")
    return ExitCode.DONE if no_report else show_nothing(folder_of(asked), since, how)


def _ask_all(
    planned: Planned, store: Store, lease: Lease, scorer: Scorer, record: str | None
) -> None:
    turns = turns_of(planned, scorer, record, METERED)
    if turns.remain():
        lease.hold(held(planned))
        _run(planned, store, turns, METERED)
        return
    output.talk(f"nothing to run: {turns.ended}")
    names = [model.source.name for model in planned.models]
    log(Provenance(planned, store), store, Ledger(planned, store).hits, names)


def _run(planned: Planned, store: Store, turns: Turns, listener: Listener) -> None:
    listener.loading()
    progress = room("progress")
    priced = planned.priced(store)
    priced = with_decisions(priced, planned.folder, planned.selection, store)
    began, tallies = time.monotonic(), []
    provenance, ledger = Provenance(planned, store), Ledger(planned, store)
    bases = room("bases").Bases(to_ask(planned, turns.passes))
    with listener.progress(planned, priced) as meter:
        for index in turns.models():
            model = planned.models[index]
            with logged(provenance, store, ledger, model.source.name):
                packs = turns.packs(index, ledger)
                if not packs:
                    continue
                remember_namespace(planned, store, model, packs)
                tallies.append(progress.Tally())
                with _remembered(planned, store, model, tallies[-1]):
                    _ask(planned, index, packs, ledger, turns, meter, tallies[-1], bases)
    _write_run(planned, store, priced, tallies, time.monotonic() - began)


def _ask(  # noqa: PLR0917  what a model's turns share
    planned: Planned,
    index: int,
    packs: Sequence[Any],
    ledger: Ledger,
    turns: Turns,
    meter: Progress,
    tally: Any,
    bases: Any,
) -> None:
    """Ask one model, turn after turn, until nothing more is wanted of it."""
    meter.asking(planned.models[index].source.name)
    with room("loop").asking(
        planned.models[index].source,
        packs,
        planned.settings,
        planned.keys,
        meter,
        tokenizer_probe=planned.handle.probes(index, PROBES),
        tally=tally,
        bases=bases,
        generates=turns.generates(index),
    ) as model:
        while packs:
            if failures := model.ask(packs, ledger.commit):
                raise room("outcomes").FailedRequests(failures)
            packs = turns.packs(index, ledger)


@contextmanager
def _remembered(planned: Planned, store: Store, model: ResolvedModel, tally: Any) -> Iterator[None]:
    """Keep the speed that is measured in the block for the next plan's estimate.

    Of a run that was stopped too, where it had come as far as a commit.
    """
    try:
        yield
    except BaseException:
        # what stopped the run is what the user has to hear of
        with suppress(Exception):
            _remember(planned, store, model, tally)
        raise
    _remember(planned, store, model, tally)


def _remember(planned: Planned, store: Store, model: ResolvedModel, tally: Any) -> None:
    """Record a speed: what was done and the seconds it took.

    Operations are the plan's, over the distinct tokens, so that an engine which computes more than
    those is recorded as slower, which is what a prediction from distinct tokens needs. Of a run
    that did not end, they are taken in proportion to the requests that were answered.
    """
    cells = [c for c in planned.summary["cells"] if c["model"] == model.source.name]
    to_run = sum(cell["to_run"] for cell in cells)
    if not tally.requests or not to_run:
        return
    whole = sum(cost.prefill_flops(model.shape, cell) for cell in cells)
    speed = cost.Speed(
        prefill_flops=whole * min(1.0, tally.requests / to_run),
        prefill_seconds=tally.prefill_seconds,
        decode_tokens=tally.decode_tokens,
        decode_seconds=tally.decode_seconds,
        setup_seconds=tally.setup_seconds,
        setups=1.0 if tally.setup_seconds else 0.0,
    )
    cost.record(store, model.identity, env.hardware(model.source.device), speed)


def _write_run(
    planned: Planned, store: Store, priced: dict[str, Any], tallies: list[Any], seconds: float
) -> None:
    """The manifest is written last: its presence says that the run is complete."""
    now = env.clock()
    total = priced["total"]
    expected = total.get("expected", total["estimate"])
    usd = planned.folder.spec.cost.usd_per_hour
    cites, sets = citations(planned)
    manifest = {
        "schema": RUN_SCHEMA,
        "name": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "evalc": __version__,
        "tier": priced["tier"],
        "cells": [list(cell) for cell in planned.selection.cells],
        "models": priced["models"],
        "cites": cites,
        "asked": sum(tally.requests for tally in tallies),
        "seconds": round(seconds, 3),
        "setup_seconds": round(sum(tally.setup_seconds for tally in tallies), 3),
        "prefill_seconds": round(sum(tally.prefill_seconds for tally in tallies), 3),
        "decode_seconds": round(sum(tally.decode_seconds for tally in tallies), 3),
        "predicted_seconds": round(expected["seconds"], 3),
        "whole_seconds": round(total["estimate"]["seconds"], 3),
        "predicted_basis": total["estimate"]["basis"],
        "prefill_tokens": sum(tally.prefill_tokens for tally in tallies),
        "planned": total["to_run"],
        "prefill_tokens_unshared": total["prefill_tokens_unshared"],
        "prefill_tokens_distinct": total["prefill_tokens"],
        "decode_tokens": sum(tally.decode_tokens for tally in tallies),
        "peak_memory": max((tally.peak_memory for tally in tallies), default=0),
        "usd": None if usd is None else seconds / 3600 * usd,
    }
    store.write_run(run_name(store, now), json.dumps(manifest, ensure_ascii=False).encode(), sets)
