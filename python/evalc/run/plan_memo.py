"""What `evalc plan` told of a request, told again while its footprint holds.

The spec is not even parsed then, and of evalc only the store and the tables are imported, which is
most of what a plan of few cases takes. Whatever could change the answer is in the name of the file
(the request, the machine, evalc itself) or in the footprint (files, folders, the store).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc import _core, env
from evalc.run.request import Request, default_path
from evalc.store import Store
from evalc.store.footprint import Footprint
from evalc.store.memos import read_memo, write_memo

SCHEMA = "evalc.told/1"
TAG = "evalc.told.v1"
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class ToldFile:
    """Where the priced plan of a request is kept."""

    path: Path
    store: Path

    @classmethod
    def of(cls, asked: Request) -> ToldFile:
        """The file of this request, on this machine, by this evalc."""
        devices = ("cpu", "cuda") if env.cuda_present() else ("cpu",)
        fields = {
            "build": [list(state) for state in _sources(str(PACKAGE))],
            "hardware": [env.hardware(device) for device in devices],
            "from": [str(Path.cwd()), str(asked.base or Path.cwd()), str(Path("~").expanduser())],
            "paths": [str(path) for path in asked.paths or (default_path(),)],
            "overrides": asked.overrides,
            "selection": [asked.suites, asked.models, asked.tasks, asked.tier],
            "no_hooks": asked.no_hooks,
        }
        name = _core.digest_fields(TAG, [json.dumps(fields).encode()])[:40]
        return cls(asked.cache / "memo" / f"{name}.told", asked.cache / "store")

    def recall(self) -> dict[str, Any] | None:
        """The priced plan, if all that it rested on is as it was."""
        fields = read_memo(self.path, SCHEMA)
        if fields is None:
            return None
        with Store.open(self.store) as store:
            holds = Footprint(**fields["footprint"]).holds(store)
        priced: dict[str, Any] = fields["priced"]
        return priced if holds else None

    def keep(self, priced: dict[str, Any], footprint: Footprint) -> None:
        """Remember a priced plan and what it rested on."""
        write_memo(self.path, SCHEMA, {"priced": priced, "footprint": footprint.as_json()})


def _sources(folder: str, at: str = "") -> Iterator[tuple[str, int, int]]:
    """Name, size and modification time of every file of a package, in name order."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{at}{entry.name}"
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _sources(entry.path, f"{name}/")
        else:
            state = entry.stat()
            yield name, state.st_size, state.st_mtime_ns
