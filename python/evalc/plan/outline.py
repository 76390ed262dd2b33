"""What `evalc plan` says of a plan, remembered for as long as nothing that it rests on changes.

An outline depends on the Ir, on the content of every data file, on the build of the planner, on the
names of the spec's tasks (a renamed one is recognised by them), and on what the store holds. The
first four name the file that keeps it; the last is the store's revision, kept in it. A data file is
known by its size, times and inode, as weights are. What is asked never rests on an outline: `exec`
and pinned plans read the data and look at the store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.plan.digests import Digests
from evalc.plan.ir import Ir
from evalc.plan.planned import Planned
from evalc.plan.provenance import Provenance
from evalc.plan.reasons import Reasons
from evalc.spec import Folder
from evalc.store import Store
from evalc.store.memos import read_memo, write_memo

SCHEMA = "evalc.outline/1"
TAG = "evalc.outline.v1"


@dataclass(frozen=True, slots=True)
class Outline:
    """Counts of a plan after subtraction, and per cell the reasons of what remains."""

    summary: dict[str, Any]
    reasons: list[list[dict[str, Any]]]

    @classmethod
    def of(cls, planned: Planned, store: Store) -> Outline:
        """The outline of a plan."""
        return cls(planned.summary, Reasons(Provenance(planned, store), store).all())


@dataclass(frozen=True, slots=True)
class OutlineFile:
    """Where the outline of an Ir is kept. `revision` is None where the store has none."""

    path: Path
    revision: bytes | None

    @classmethod
    def of(cls, ir: Ir, folder: Folder, cache: Path, store: Store) -> OutlineFile | None:
        """The file for these inputs; None where a data file cannot be read."""
        files = sorted({entry["path"] for entry in json.loads(ir.content)["datasets"]})
        try:
            digests = Digests(store).of([Path(file) for file in files])
        except OSError:
            return None
        fields = [
            _core.planner_build().encode(),
            ir.content,
            json.dumps(list(zip(files, digests, strict=True))).encode(),
            json.dumps(sorted(folder.spec.tasks)).encode(),
        ]
        name = _core.digest_fields(TAG, fields)[:40]
        return cls(cache / "memo" / f"{name}.outline", store.revision())

    def recall(self) -> Outline | None:
        """The outline, if it was made of the same inputs and the store is what it was."""
        fields = read_memo(self.path, SCHEMA)
        if fields is None or self.revision is None or fields["revision"] != self.revision.hex():
            return None
        return Outline(fields["summary"], fields["reasons"])

    def keep(self, outline: Outline) -> None:
        """Remember an outline; a folder that cannot be written is no error."""
        if self.revision is not None:
            kept = {"summary": outline.summary, "reasons": outline.reasons}
            write_memo(self.path, SCHEMA, {"revision": self.revision.hex(), **kept})
