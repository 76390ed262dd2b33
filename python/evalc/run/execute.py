"""Asking the models of a plan what the cache does not answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from evalc import __version__, env
from evalc.contract.outcomes import FailedRequests
from evalc.contract.progress import Tally
from evalc.plan import Planned, cost
from evalc.plan.citing import citations, held, remember_namespace
from evalc.plan.ir import ResolvedModel
from evalc.plan.provenance import Provenance
from evalc.plan.why import Ledger, logged
from evalc.plan.why import record as log
from evalc.run.backends import PROBES, room, to_ask
from evalc.run.expected import with_decisions
from evalc.run.listener import Listener, Progress
from evalc.run.scorer import Scorer
from evalc.run.turns import Turns, turns_of
from evalc.store import Store
from evalc.store.leases import Lease
from evalc.store.runs import run_name

RUN_SCHEMA = "evalc.run/1"


def ask_all(scorer: Scorer, lease: Lease, record: str | None, listener: Listener) -> int:
    """Ask all that remains, turn after turn, and write the run's manifest. Raises Faults.

    Returns how many requests were asked.
    """
    planned, store = scorer.planned, scorer.store
    turns = turns_of(planned, scorer, record, listener)
    if turns.remain():
        lease.hold(held(planned))
        return _run(planned, store, turns, listener)
    listener.note(f"nothing to run: {turns.ended}")
    names = [model.source.name for model in planned.models]
    log(Provenance(planned, store), store, Ledger(planned, store).hits, names)
    return 0


def _run(planned: Planned, store: Store, turns: Turns, listener: Listener) -> int:
    listener.loading()
    priced = planned.priced(store)
    priced = with_decisions(priced, planned.folder, planned.selection, store)
    began, tallies = time.monotonic(), []
    provenance, ledger = Provenance(planned, store), Ledger(planned, store)
    bases = room("model.bases").Bases(to_ask(planned, turns.passes))
    with listener.progress(planned, priced) as meter:
        for index in turns.models():
            model = planned.models[index]
            with logged(provenance, store, ledger, model.source.name):
                packs = turns.packs(index, ledger)
                if not packs:
                    continue
                remember_namespace(planned, store, model, packs)
                tallies.append(Tally())
                with _remembered(planned, store, model, tallies[-1]):
                    _ask(planned, index, packs, ledger, turns, meter, tallies[-1], bases)
    _write_run(planned, store, priced, tallies, time.monotonic() - began)
    return sum(tally.requests for tally in tallies)


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
                raise FailedRequests(failures)
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
