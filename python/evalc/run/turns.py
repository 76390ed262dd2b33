"""What each model is asked, turn after turn: all that remains at once, or round by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np

from evalc.plan import Planned
from evalc.plan.sources import in_turn
from evalc.plan.why import Ledger
from evalc.run.backends import PACK_REQUESTS, PACK_TOKENS
from evalc.run.decisions import Decisions, goes_by_rounds
from evalc.run.listener import SILENT, Listener
from evalc.run.scorer import Scorer
from evalc.score.cells import IntArray

CACHED = "every answer is in the cache"
PASSES = 32
"""More than the rounds of a race over 10 million cases."""


class Turns(Protocol):
    """The order of models, and the packs of a model's next turn.

    `passes` is how often a model's turn may come.
    """

    passes: int

    @property
    def ended(self) -> str:
        """Why nothing is to be asked when nothing remains."""

    def remain(self) -> bool:
        """Whether there is anything to ask."""

    def models(self) -> Sequence[int]:
        """Indices of models, in the order of their turns; one may come again."""

    def packs(self, model: int, ledger: Ledger) -> Sequence[Any]:
        """What comes next; empty when the model's turns have ended."""

    def generates(self, model: int) -> bool:
        """Whether a later turn may generate."""


def turns_of(
    planned: Planned, scorer: Scorer, recording: str | None = None, listener: Listener = SILENT
) -> Turns:
    """The turns of a run. Raises Faults for what its gates cannot compare with."""
    if not goes_by_rounds(planned):
        return AtOnce(planned)
    decisions = Decisions(scorer, recording)
    for gate in decisions.unjudged:
        listener.note(f"{gate.gate} is not judged: {gate.why}")
    return ByRounds(planned, decisions, listener)


def _packs(planned: Planned, model: int) -> Sequence[Any]:
    device = planned.models[model].source.device
    return planned.handle.packs(model, PACK_TOKENS[device], PACK_REQUESTS[device])


class AtOnce:
    """Everything that remains, in one turn of each model."""

    passes = 1

    def __init__(self, planned: Planned) -> None:
        self._planned = planned
        self._asked: set[int] = set()

    @property
    def ended(self) -> str:
        """Nothing but the cache answers all."""
        return CACHED

    def remain(self) -> bool:
        """Whether there is anything to ask."""
        return self._planned.to_run > 0

    def models(self) -> Sequence[int]:
        """Models in the order that loads least."""
        return in_turn([model.source for model in self._planned.models])

    def packs(self, model: int, ledger: Ledger) -> Sequence[Any]:
        """All packs of a model, once."""
        if model in self._asked:
            return ()
        self._asked.add(model)
        return _packs(self._planned, model)

    def generates(self, model: int) -> bool:
        """Nothing comes after the first turn."""
        return False


class ByRounds:
    """Round by round, as the decisions of a run want it.

    A turn is asked as packs of those requests alone: the plan is told that all others are answered,
    and afterwards what is.
    """

    def __init__(self, planned: Planned, decisions: Decisions, listener: Listener = SILENT) -> None:
        self._planned, self._decisions, self._listener = planned, decisions, listener
        self.passes = PASSES if decisions.races else 1
        self._asked: Mapping[int, IntArray] = {}
        self._turn: int | None = None
        self._rounds = 0

    @property
    def ended(self) -> str:
        """The cache answers all, or all that decisions need, or the budget is used up."""
        if not self._planned.to_run:
            return CACHED
        if self._decisions.spent():
            return "the tier's time or money is used up, and answers are missing"
        return "the cache answers all that is needed"

    def remain(self) -> bool:
        """Whether there is anything to ask; decisions may end before."""
        hits = np.frombuffer(self._planned.hits, np.uint8)
        names = dict.fromkeys(model for model, _ in self._planned.selection.cells)
        while True:
            self._decisions.look()
            if any(len(self._missing(self._decisions.wanted(name), hits)) for name in names):
                return True
            if not self._escalates():
                return False

    def models(self) -> Sequence[int]:
        """Models that others are compared with first; then, while gates escalate, all again."""
        sources = [model.source for model in self._planned.models]
        first = self._decisions.first()
        order = sorted(in_turn(sources), key=lambda place: sources[place].name not in first)
        return _Again(order, self._decisions, self._escalates, lambda: self._rounds)

    def packs(self, model: int, ledger: Ledger) -> Sequence[Any]:
        """The packs of a model's next round."""
        name = self._planned.models[model].source.name
        if model != self._turn:
            self._turn = model
            self._decisions.begin(name)
        else:
            self._decisions.follow(self._asked)
        self._asked = self._decisions.wanted(name)
        missing = self._missing(self._asked, ledger.hits)
        others = np.ones(len(ledger.hits), dtype=np.uint8)
        others[missing] = 0
        self._planned.handle.subtract(others.tobytes())
        # a request that twins ask is the first one's, whoever's turn it is
        found = _Chained([_packs(self._planned, twin) for twin in self._twins(model)])
        self._rounds += bool(found)
        self._planned.handle.subtract(ledger.hits.tobytes())
        return found

    def _escalates(self) -> bool:
        """Whether a gate goes on to a larger budget, which is said."""
        lines = self._decisions.escalate()
        for line in lines:
            self._listener.note(line)
        return bool(lines)

    def _twins(self, model: int) -> list[int]:
        """Indices of the models that are this one by another name, itself among them."""
        ids = [(m.identity.model_id, m.identity.engine_id) for m in self._planned.models]
        return [place for place, own in enumerate(ids) if own == ids[model]]

    def generates(self, model: int) -> bool:
        """A later round may, if anything of the plan does."""
        name = self._planned.models[model].source.name
        tasks = self._planned.folder.spec.tasks
        cells = self._planned.selection.cells
        return any(own == name and tasks[task].type == "generate" for own, task in cells)

    def _missing(self, wanted: Mapping[int, IntArray], hits: Any) -> IntArray:
        """Requests of the wanted cases that have no record, ascending."""
        parts = [np.zeros(0, dtype=np.int64)]
        for cell, cases in wanted.items():
            columns = self._planned.cell(cell)
            requests = np.frombuffer(columns["requests"], "<u4").astype(np.int64)
            offsets = np.frombuffer(columns["request_offsets"], "<u4").astype(np.int64)
            parts += [requests[offsets[case] : offsets[case + 1]] for case in cases]
        distinct = np.unique(np.concatenate(parts))
        missing: IntArray = distinct[hits[distinct] == 0]
        return missing


class _Chained(Sequence[Any]):
    """Packs one after the other, each made when it is asked for."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = [part for part in parts if len(part)]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, place: Any) -> Any:
        for part in self._parts:
            if place < len(part):
                return part[place]
            place -= len(part)
        raise IndexError(place)

    def __iter__(self) -> Any:
        return chain.from_iterable(self._parts)


class _Again(Sequence[int]):
    """An order of models that starts again as long as a gate goes on to a larger budget.

    And as long as a race has candidates that waited for the others, unless nothing was asked since.
    """

    def __init__(
        self,
        order: Sequence[int],
        decisions: Decisions,
        escalates: Callable[[], bool],
        rounds: Callable[[], int],
    ) -> None:
        self._order, self._decisions = list(order), decisions
        self._escalates, self._rounds = escalates, rounds

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: Any) -> Any:
        return self._order[place]

    def __iter__(self) -> Any:
        more = True
        while more:
            before = self._rounds()
            yield from self._order
            asked = self._rounds() > before
            more = asked and self._decisions.unfinished()
            if not more:
                more = self._escalates()
