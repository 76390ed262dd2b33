"""Verdicts for CI systems: a JUnit file, and GitHub's annotations and job summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evalc import env
from evalc.cli import output
from evalc.decide.gates import gate_cells, race_cells
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.diagnostics.render import one_line
from evalc.plan import Planned
from evalc.report import Report, report_markdown
from evalc.report.annotations import gate_annotations
from evalc.report.junit import case_name, junit_of_faults, junit_unfinished, junit_xml
from evalc.spec import Folder
from evalc.store.files import replaceable, write_file

SUMMARY = 1 << 20
"""Bytes of a step's summary that GitHub takes; it shows nothing of a longer one."""
LEAST = 2000
"""Bytes in which a report says something."""


@dataclass
class Expected:
    """What a command would give its verdict on: task and name of every gate's case, and where the
    gate is written."""

    gates: list[tuple[str, str, frozenset[Place]]] = field(default_factory=list)

    def of(self, planned: Planned) -> None:
        """The gates and races of a plan."""
        folder, selection = planned.folder, planned.selection
        spec = folder.spec
        self.gates = [
            *(
                (gate.task, case_name(gate.gate, gate.model), _written(folder, gate.gate))
                for gate in gate_cells(spec, selection)
            ),
            *(
                (race.task, case_name(race.gate, None), _written(folder, race.gate))
                for race in race_cells(spec, selection)
            ),
        ]


def _written(folder: Folder, gate: str) -> frozenset[Place]:
    """The places of a gate's keys."""
    keys = folder.spec.gates[gate].model_fields_set
    places = (folder.place(("gates", gate, key)) for key in sorted(keys))
    return frozenset(place for place in places if place is not None)


@contextmanager
def faults_for_ci(junit: Path | None) -> Iterator[Expected]:
    """Write what stops the block into the JUnit file too, so that none of before is left there.

    The file is written first, and says that the run has not ended, until `tell_ci` knows better:
    a path that cannot be written is found out before anything is asked. Gates that the block has
    told of are errors too: a viewer must not miss them.
    """
    if junit is not None and replaceable(junit):
        write_file(junit, junit_unfinished())
    wanted = Expected()
    try:
        yield wanted
    except Faults as faults:
        if junit is not None:
            root = Path.cwd()
            places = [_at(fault, root) for fault in faults.diagnostics]
            write_file(junit, junit_of_faults(faults.diagnostics, places, wanted.gates))
        raise


def _at(fault: Diagnostic, root: Path) -> str:
    line = one_line([fault], root=root)
    return line.partition(f": {fault.severity}[")[0] if fault.place else ""


def tell_ci(report: Report, folder: Folder, *, junit: Path | None, told: bool) -> None:
    """Write the JUnit file, and on GitHub annotate and add to the summary.

    `told`: the report was printed as Markdown, and so is meant for where the summary would be.
    """
    if junit is not None:
        write_file(junit, junit_xml(report))
    if env.on_github() and not told:
        output.say(gate_annotations(report, _places(folder), env.github_workspace()))
        _summarise(report)


def _places(folder: Folder) -> dict[str, Place]:
    found = {name: folder.place(("gates", name)) for name in folder.spec.gates}
    return {name: place for name, place in found.items() if place is not None}


def _summarise(report: Report) -> None:
    path = env.github_summary()
    if path is None:
        return
    try:
        room = SUMMARY - (path.stat().st_size if path.exists() else 0)
        if room < LEAST:
            output.talk("warning: the job summary is full; this report is not in it")
            return
        text = report_markdown(report, limit=room)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        output.talk(f"warning: the job summary cannot be written: {error}")
