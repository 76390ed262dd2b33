"""Answers of the cache asked again, and how many come out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc.decide.flips import Difference, Flips, argmax_flipped, difference
from evalc.diagnostics import Diagnostic, Faults
from evalc.plan import Planned
from evalc.run.backends import ask_again
from evalc.run.listener import Listener
from evalc.run.share import Share
from evalc.store import Store
from evalc.store.answers import read_answers
from evalc.store.environment import KEY_BYTES
from evalc.store.records import decode_likelihoods, is_likelihood, shown

SCHEMA = "evalc.cache-audit/1"
MOST_LISTED = 20

Indices = npt.NDArray[np.int64]
Payloads = dict[int, bytes]


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


def audit(  # noqa: PLR0917  an audit's terms
    planned: Planned, store: Store, sample: Share, seed: int, tolerance: float, listener: Listener
) -> dict[str, Any]:
    """Ask a sample of the hits again; the document of `evalc cache audit`. Raises Faults."""
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
