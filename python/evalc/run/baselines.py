"""What gates compare with: another model of the spec, a recorded result, or a report in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evalc.decide.gates import Baseline, GateCell
from evalc.diagnostics import Diagnostic, Faults
from evalc.report import Report, from_json
from evalc.report.shape import RecordedEntry, ResultEntry, whole
from evalc.score import CellScores
from evalc.spec import Folder
from evalc.spec.wording import did_you_mean
from evalc.store import Store
from evalc.store.files import is_file
from evalc.store.recorded import recorded_names, recorded_result


class Baselines:
    """The scores that gates compare with. Raises Faults for one that is not there."""

    def __init__(self, folder: Folder, store: Store) -> None:
        self._folder, self._store = folder, store
        self._read: dict[str, Report] = {}

    def of(self, gate: GateCell, scores: Sequence[CellScores]) -> Baseline | None:
        """Scores by case id; None for a gate that compares with nothing.

        `scores` are those of this plan, for a baseline that is another model of it.
        """
        name = gate.spec.baseline
        if name is None:
            return None
        if name in self._folder.spec.models:
            return _of_model(gate, name, scores)
        return self._of_report(gate, name)

    def value(self, gate: GateCell) -> float | None:
        """The value of a gate's metric in a report; None where it is none, or incomplete."""
        name = gate.spec.baseline
        if name is None or name in self._folder.spec.models:
            return None
        chosen = self._chosen(gate, name)
        found = [m for m in chosen["metrics"] if m["metric"] == gate.column]
        return found[0]["value"] if found and found[0]["complete"] else None

    def recorded(self, gate: GateCell) -> RecordedEntry | None:
        """What part of its cases a gate's report has; None for all of them, or no report."""
        name = gate.spec.baseline
        if name is None or name in self._folder.spec.models:
            return None
        result = self._chosen(gate, name)
        total = whole(result)
        return {"scored": result["scored"], "total": total} if result["scored"] < total else None

    def check(self, gates: Sequence[GateCell]) -> None:
        """Raise Faults for every baseline that is not there or does not hold what is compared."""
        found: dict[str, Diagnostic] = {}
        for gate in gates:
            name = gate.spec.baseline
            if name is not None and name not in self._folder.spec.models:
                try:
                    self._of_report(gate, name)
                except Faults as faults:
                    for new in faults.diagnostics:
                        known = found.setdefault(new.message, new)
                        if new.place is not None and new.place != known.place:
                            also = (*known.related, (new.place, "named here too"))
                            found[new.message] = replace(known, related=also)
        if found:
            raise Faults(list(found.values()))

    def only_named_by(self, gate: GateCell, recording: str | None) -> bool:
        """Whether a gate compares with what is recorded as `recording`, and nothing is so far."""
        name = gate.spec.baseline
        if name is None or name != recording or name in self._folder.spec.models:
            return False
        return recorded_result(self._store, name) is None and not is_file(self._path(gate, name))

    def results(self, gates: Sequence[GateCell]) -> list[tuple[str, ResultEntry]]:
        """The results compared with that are no models of the spec, each once, with its name."""
        names = [(gate, gate.spec.baseline) for gate in gates]
        outside = [(g, name) for g, name in names if name and name not in self._folder.spec.models]
        found = [(name, self._chosen(gate, name)) for gate, name in outside]
        return list(
            {(name, own["task"], own["model"]): (name, own) for name, own in found}.values()
        )

    def _of_report(self, gate: GateCell, name: str) -> Baseline:
        cases = self._chosen(gate, name)["cases"]
        found = {c["id"]: v for c in cases if (v := c["scores"].get(gate.column)) is not None}
        if not found:
            hint = "record it again with `--record`"
            message = f"the baseline `{name}` has no `{gate.column}` of the task `{gate.task}`"
            raise self._fault(gate, message, hint)
        return found

    def _chosen(self, gate: GateCell, name: str) -> ResultEntry:
        """The result that a gate compares with: of its own model, or of the only one."""
        report = self._report(gate, name)
        fitting = [r for r in report["results"] if r["task"] == gate.task and "cases" in r]
        own = [result for result in fitting if result["model"] == gate.model]
        chosen = own or (fitting if len(fitting) == 1 else [])
        if not chosen:
            why = (
                f"has the task `{gate.task}` for {len(fitting)} models, none of which is "
                f"`{gate.model}`"
                if fitting
                else f"has no cases of the task `{gate.task}`"
            )
            raise self._fault(
                gate, f"the baseline `{name}` {why}", "record it again with `--record`"
            )
        return chosen[0]

    def _report(self, gate: GateCell, name: str) -> Report:
        if name not in self._read:
            self._read[name] = from_json(self._text(gate, name), name)
        return self._read[name]

    def _text(self, gate: GateCell, name: str) -> str:
        content = recorded_result(self._store, name)
        if content is not None:
            return content.decode()
        path = self._path(gate, name)
        if is_file(path):
            try:
                return path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise self._fault(gate, f"`{path}` cannot be read: {error}", None) from None
        known = [*self._folder.spec.models, *recorded_names(self._store)]
        hint = did_you_mean(name, known) or (
            f"record it with `evalc exec --record {name}` where the baseline is checked out, or "
            "name a model of the spec or a file that `evalc report --json` wrote"
        )
        message = f"no result is recorded as `{name}`, and no model or file is called so"
        raise self._fault(gate, message, hint)

    def _path(self, gate: GateCell, name: str) -> Path:
        return self._folder.base(("gates", gate.gate, "baseline")) / Path(name).expanduser()

    def _fault(self, gate: GateCell, message: str, hint: str | None) -> Faults:
        place = self._folder.place(("gates", gate.gate, "baseline"))
        return Faults([Diagnostic("unknown-baseline", message, place, hint=hint)])


def _of_model(gate: GateCell, model: str, scores: Sequence[CellScores]) -> Baseline:
    for found in scores:
        if (found.cell.model, found.cell.task) == (model, gate.task):
            column = found.columns[gate.column]
            pairs = zip(found.cell.case_ids, column.values, column.present, strict=True)
            return {case: float(value) for case, value, present in pairs if present}
    return {}
