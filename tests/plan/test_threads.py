"""A plan is the same on any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from test_prefix_counts import rows

from planned_requests import dataset, ir, task
from tiny_models import write_rows

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import hashlib, sys
from pathlib import Path
from evalc import _core
plan = _core.Plan.build(Path(sys.argv[1]).read_bytes())
digest = hashlib.sha256(plan.keys() + plan.summary() + plan.settings())
for cell in range(2):
    for name, column in sorted(plan.cell(cell).items()):
        digest.update(column if isinstance(column, bytes) else repr(column).encode())
for pack in plan.packs(0, 600, 50):
    for name in ("tokens", "node_offsets", "node_parent", "node_start",
                 "req_node", "req_cont", "req_key", "req_setting"):
        digest.update(getattr(pack, name))
print(digest.hexdigest(), len(plan.keys()) // 32)
"""


def test_keys_columns_and_packs_do_not_depend_on_the_number_of_threads(
    bundle: Path, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", rows(1500, 4))
    fewshot = {"dataset": 0, "k": 4, "seed": 1, "template": "{{ p }}\n", "separator": ""}
    tasks = [task(fewshot={**fewshot, "select": "per_case"}), task(name="u")]
    saved = tmp_path / "ir.json"
    saved.write_bytes(ir(bundle, [dataset(path)], tasks))
    found = set()
    for threads in ("1", "2", "7"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(saved)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "RAYON_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1, found
