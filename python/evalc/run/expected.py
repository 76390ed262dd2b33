"""What the decisions of a plan are expected to cost, beside what all of it would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalc.decide.expectation import Expected, expected
from evalc.decide.gates import by_rounds, conditions, gate_cells, race_cells
from evalc.decide.rounds import Budget
from evalc.diagnostics import Faults
from evalc.run.baselines import Baselines
from evalc.spec import Folder, Selection
from evalc.spec.models import TierSpec
from evalc.store import Store


def with_decisions(
    priced: dict[str, Any], folder: Folder, selection: Selection, store: Store
) -> dict[str, Any]:
    """The priced plan with what a run by rounds is expected to need; another is left as it is.

    `decisions` has an entry for each condition of a gate, and `total.expected` what the run should
    come to within the tier's budget, and if that ends it when all gates are decided, by then.
    """
    if not by_rounds(folder.spec, selection):
        return priced
    tier = folder.spec.tiers.get(selection.tier or "", TierSpec())
    budget = Budget(tier.cases, tier.fraction)
    found = list(_decisions(folder, selection, store, priced["cells"], budget))
    priced["decisions"] = found
    priced["total"]["expected"] = _expected(priced, found if tier.stop == "decided" else [], tier)
    return priced


def _decisions(
    folder: Folder,
    selection: Selection,
    store: Store,
    cells: Sequence[Mapping[str, Any]],
    budget: Budget,
) -> Iterator[dict[str, Any]]:
    baselines = Baselines(folder, store)
    places = {names: place for place, names in enumerate(selection.cells)}
    for gate in gate_cells(folder.spec, selection):
        known, why = None, None
        try:
            known = baselines.value(gate)
        except Faults as faults:
            why = faults.diagnostics[0].message
        counts = cells[places[gate.model, gate.task]]
        for key in conditions(gate.spec):
            found = expected(key, gate.spec, counts["population"], known)
            yield _entry(gate.gate, gate.model, gate.task, key, found, budget, why)
    for race in race_cells(folder.spec, selection):
        for model, place in zip(race.models, race.cells, strict=True):
            found = expected("among", race.spec, cells[place]["population"], None)
            yield _entry(race.gate, model, race.task, "among", found, budget, None)


def _entry(  # noqa: PLR0917  the entry's fields
    gate: str,
    model: str,
    task: str,
    key: str,
    found: Expected,
    budget: Budget,
    why: str | None,
) -> dict[str, Any]:
    """`cases` within the budget; `why` there is nothing to compare with."""
    return {
        "gate": gate,
        "model": model,
        "task": task,
        "key": key,
        "cases": min(found.cases, budget.cases_of(found.total)),
        "total": found.total,
        "assumes": found.assumes,
        "why": why,
    }


def _expected(
    priced: Mapping[str, Any], found: Sequence[Mapping[str, Any]], tier: TierSpec
) -> dict[str, Any]:
    """Cases, seconds and money if every cell of `found` ends when the last of its gates does."""
    needs: dict[tuple[str, str], int] = {}
    for entry in found:
        names = entry["model"], entry["task"]
        needs[names] = max(needs.get(names, 0), entry["cases"])
    cases, seconds = 0, priced["total"]["setup_seconds"]
    for counts in priced["cells"]:
        allowed = Budget(tier.cases, tier.fraction).cases_of(counts["population"])
        wanted = needs.get((counts["model"], counts["task"]), allowed)
        cases += wanted
        seconds += counts["estimate"]["seconds"] * _remaining_share(counts, wanted)
    if tier.seconds is not None:
        seconds = min(seconds, tier.seconds)
    full = priced["total"]["estimate"]
    rate = None if full["usd"] is None or not full["seconds"] else full["usd"] / full["seconds"]
    return {
        "early": bool(found),
        "cases": cases,
        "seconds": seconds,
        "usd": None if rate is None else seconds * rate,
    }


def _remaining_share(counts: Mapping[str, Any], wanted: int) -> float:
    """Which part of what remains is asked until `wanted` cases are answered.

    What the cache answers are taken to be the first cases, as every budget begins with them.
    """
    if not counts["to_run"] or not counts["cases"]:
        return 0.0
    per_case = (counts["cached"] + counts["to_run"]) / counts["cases"]
    asked: float = wanted * per_case - counts["cached"]
    return min(1.0, max(0.0, asked / int(counts["to_run"])))
