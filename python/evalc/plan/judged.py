"""What the gates of a plan judge by: their tables, and the results that they compare with."""

from __future__ import annotations

import json
from pathlib import Path

from evalc.plan.planned import Planned
from evalc.plan.provenance import digest
from evalc.spec.metrics import split_metric
from evalc.store import Store
from evalc.store.recorded import recorded_result

RESULT = "result"
"""What stands for the content of a baseline beside the keys of a gate's table."""


def judged(planned: Planned, store: Store) -> dict[str, dict[str, str]]:
    """Digests of the keys of every gate on a selected task, and of its baseline's results."""
    spec = planned.folder.spec
    tasks = {task for _, task in planned.selection.cells}
    found = {}
    for name, gate in sorted(spec.gates.items()):
        parts = split_metric(gate.metric, spec.tasks)
        if parts is None or parts[0] not in tasks:
            continue
        found[name] = {key: digest(value) for key, value in gate.model_dump().items()}
        if gate.baseline is not None and gate.baseline not in spec.models:
            base = planned.folder.base(("gates", name, "baseline"))
            found[name][RESULT] = _results(gate.baseline, base, store)
    return found


def _results(name: str, base: Path, store: Store) -> str:
    """A digest of recorded results, or of those in a file; empty for what is none.

    Of the results alone: recorded again they may come from another run, and are the same.
    """
    try:
        content = recorded_result(store, name) or (base / Path(name).expanduser()).read_bytes()
        return digest(json.loads(content)["results"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
