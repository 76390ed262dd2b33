"""`evalc cache audit`: answers of the cache asked again, and how many come out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.table import Table

from evalc.cli import output
from evalc.cli.asking import ask_again
from evalc.cli.meter import METERED
from evalc.cli.options import request, selection_options
from evalc.cli.session import opened
from evalc.cli.sizes import Share, share_option
from evalc.decide.flips import Difference, Flips, argmax_flipped, difference
from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode
from evalc.plan import Planned
from evalc.run.listener import Listener
from evalc.store import Store
from evalc.store.answers import read_answers
from evalc.store.environment import KEY_BYTES
from evalc.store.records import decode_likelihoods, is_likelihood, shown

SCHEMA = "evalc.cache-audit/1"
TOLERANCE = 1e-3
MOST_LISTED = 20

Indices = npt.NDArray[np.int64]
Payloads = dict[int, bytes]


@click.command("audit")
@selection_options
@click.option(
    "--sample",
    callback=share_option,
    default="1%",
    metavar="SHARE",
    help="Share of the hits to ask again, or how many. Default: 1%.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Seed of the sample. Default: 0.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE,
    metavar="NATS",
    help=f"Difference of log-likelihoods that is no flip. Default: {TOLERANCE:g}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document.")
def audit_command(
    sample: Share, seed: int, tolerance: float, as_json: bool, **arguments: Any
) -> int:
    """Ask the models again what the cache answers, for a sample, and report the flip rate.

    The cache is not changed. A record flips when its log-likelihood moves by more than the
    tolerance, its greedy flag or its text changes, or it fails; differences in bits are counted
    apart. The sampled records' share has Wilson's 95 % interval. Of multiple choice, the other
    choices of a sampled case are asked too, so that its argmax can be compared.
    """
    with opened(request(arguments), METERED) as (planned, store):
        audit = _audit(planned, store, sample, seed, tolerance, METERED)
    if as_json:
        output.document(audit)
    else:
        for renderable in _view(audit):
            output.table(renderable)
    return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Cell:
    """A planned cell: places of its requests in the plan's keys, and cases in those."""

    model: str
    task: str
    kind: str
    requests: Indices
    offsets: Indices


def _cells(planned: Planned) -> list[_Cell]:
    cells = []
    for index, (model, task) in enumerate(planned.selection.cells):
        columns = planned.cell(index)
        kind = planned.folder.spec.tasks[task].type
        requests = np.frombuffer(columns["requests"], "<u4").astype(np.int64)
        offsets = np.frombuffer(columns["request_offsets"], "<u4").astype(np.int64)
        cells.append(_Cell(model, task, kind, requests, offsets))
    return cells


def _audit(  # noqa: PLR0917  an audit's terms
    planned: Planned, store: Store, sample: Share, seed: int, tolerance: float, listener: Listener
) -> dict[str, Any]:
    hits = np.frombuffer(planned.hits, np.uint8) != 0
    places = np.flatnonzero(hits)
    if not len(places):
        message = "the cache answers nothing of what is selected"
        hint = "run `evalc exec` first"
        raise Faults([Diagnostic("nothing-to-audit", message, hint=hint)])
    chosen = np.sort(
        np.random.default_rng(seed).choice(places, sample.of(len(places)), replace=False)
    )
    cells = _cells(planned)
    whole = {index: _whole(cell, chosen, hits) for index, cell in enumerate(cells)}
    asked = np.unique(np.concatenate([chosen, *(_requests(cells[i], w) for i, w in whole.items())]))
    cached = _cached(planned, store, cells, asked)
    fresh = _asked(planned, store, asked, listener)
    flips = _Audited(planned, cached, fresh, tolerance)
    return {
        "schema": SCHEMA,
        "sample": sample.text,
        "seed": seed,
        "tolerance": tolerance,
        "hits": len(places),
        "sampled": len(chosen),
        "asked": len(asked),
        "total": flips.total(chosen, cells, whole).as_json(),
        "tasks": [
            {"model": cell.model, "task": cell.task, **flips.cell(cell, chosen, w).as_json()}
            for cell, w in zip(cells, whole.values(), strict=True)
            if np.isin(cell.requests, chosen).any()
        ],
        "listed": flips.listed(chosen),
    }


def _whole(cell: _Cell, chosen: Indices, hits: npt.NDArray[np.bool_]) -> Indices:
    """Cases of multiple choice with a sampled request, all of whose answers are cached."""
    if cell.kind != "multiple_choice" or not len(cell.requests):
        return np.zeros(0, np.int64)
    starts = cell.offsets[:-1]
    touched = np.logical_or.reduceat(np.isin(cell.requests, chosen), starts)
    known = np.logical_and.reduceat(hits[cell.requests], starts)
    found: Indices = np.flatnonzero(touched & known).astype(np.int64)
    return found


def _requests(cell: _Cell, cases: Indices) -> Indices:
    """Places of all requests of some cases."""
    pieces = [cell.requests[cell.offsets[c] : cell.offsets[c + 1]] for c in cases.tolist()]
    found: Indices = np.concatenate([np.zeros(0, np.int64), *pieces])
    return found


def _key(planned: Planned, place: int) -> bytes:
    return planned.keys[place * KEY_BYTES : (place + 1) * KEY_BYTES]


def _cached(planned: Planned, store: Store, cells: Sequence[_Cell], asked: Indices) -> Payloads:
    found: Payloads = {}
    for generated in (False, True):
        own = [c.requests for c in cells if (c.kind == "generate") is generated]
        places = np.intersect1d(np.concatenate([np.zeros(0, np.int64), *own]), asked).tolist()
        payloads = read_answers(store, [_key(planned, place) for place in places], generated)
        found |= {p: got for p, got in zip(places, payloads, strict=True) if got is not None}
    return found


def _asked(planned: Planned, store: Store, asked: Indices, listener: Listener) -> Payloads:
    """Ask again, with everything but `asked` taken for answered; nothing is stored."""
    answered = np.ones(len(planned.keys) // KEY_BYTES, np.uint8)
    answered[asked] = 0
    planned.handle.subtract(answered.tobytes())
    found: dict[bytes, bytes] = {}

    def collect(keys: list[bytes], payloads: list[bytes]) -> None:
        found.update(zip(keys, payloads, strict=True))

    ask_again(planned, store, collect, listener)
    return {p: found[k] for p in asked.tolist() if (k := _key(planned, p)) in found}


@dataclass(frozen=True, slots=True)
class _Audited:
    """Cached and fresh payloads by place in the plan's keys; a failed request has no fresh one."""

    planned: Planned
    cached: Payloads
    fresh: Payloads
    tolerance: float

    def differences(self, places: Indices) -> Iterator[tuple[int, Difference]]:
        """What became of some records."""
        for place in places.tolist():
            if (before := self.cached.get(place)) is not None:
                after = self.fresh.get(place)
                generated = not is_likelihood(before)
                yield place, difference(before, after, self.tolerance, generated)

    def cell(self, cell: _Cell, chosen: Indices, cases: Indices) -> Flips:
        """Of the sampled records of a cell."""
        flips = Flips(chooses=cell.kind == "multiple_choice")
        flips.add(found for _, found in self.differences(np.intersect1d(cell.requests, chosen)))
        self._choose(flips, cell, cases)
        return flips

    def total(self, chosen: Indices, cells: Sequence[_Cell], whole: dict[int, Indices]) -> Flips:
        """Of all sampled records, each once, and of all cases."""
        flips = Flips(chooses=any(cell.kind == "multiple_choice" for cell in cells))
        flips.add(found for _, found in self.differences(chosen))
        for index, cases in whole.items():
            self._choose(flips, cells[index], cases)
        return flips

    def _choose(self, flips: Flips, cell: _Cell, cases: Indices) -> None:
        for case in cases.tolist():
            places = cell.requests[cell.offsets[case] : cell.offsets[case + 1]].tolist()
            before, _ = decode_likelihoods([self.cached.get(place) for place in places])
            after, _ = decode_likelihoods([self.fresh.get(place) for place in places])
            flips.add_case(argmax_flipped(before, after))

    def listed(self, chosen: Indices) -> list[dict[str, Any]]:
        """The first flips."""
        found: list[dict[str, Any]] = []
        for place, each in self.differences(chosen):
            if each.flip and len(found) < MOST_LISTED:
                after = self.fresh.get(place)
                found.append(
                    {
                        "key": _key(self.planned, place).hex(),
                        "cached": shown(self.cached[place]),
                        "fresh": None if after is None else shown(after),
                    }
                )
        return found


def _view(audit: dict[str, Any]) -> Iterator[Table | str]:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    table.add_column("task")
    for name in ("records", "flips", "rate", "95 % interval", "bits differ", "largest", "argmax"):
        table.add_column(name, justify="right", no_wrap=True)
    for task in audit["tasks"]:
        table.add_row(task["model"], task["task"], *_row(task))
    table.add_section()
    table.add_row("total", "", *_row(audit["total"]), style="bold")
    yield table
    yield ""
    yield (
        f"{audit['sampled']:,} of {audit['hits']:,} hits sampled with seed {audit['seed']}, "
        f"{many(audit['asked'], 'request')} asked again; a flip is more than "
        f"{audit['tolerance']:g} nats, another greedy flag or another text"
    )
    for each in audit["listed"][:5]:
        yield f"{each['key'][:16]}: {each['cached']} cached, {each['fresh'] or 'failed'} now"


def _row(counts: dict[str, Any]) -> list[str]:
    rate, argmax = counts["rate"], counts["argmax"]
    share = "-" if rate["share"] is None else f"{100 * rate['share']:.2f} %"
    interval = "-" if rate["low"] is None else f"{100 * rate['low']:.2f} - {100 * rate['high']:.2f}"
    return [
        f"{counts['records']:,}",
        f"{counts['flips']:,}",
        share,
        interval,
        f"{counts['bit_differences']:,}",
        f"{counts['largest_difference']:.2g}",
        "-" if argmax is None else f"{argmax['flips']:,} of {argmax['cases']:,}",
    ]
