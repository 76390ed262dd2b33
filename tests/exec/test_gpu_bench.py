"""The GPU bench runs from end to end on a CPU, and says that it did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARE = """
import runpy, sys
# a machine with torch, transformers and the wheel, and none of its other dependencies
for name in ("lmdb", "pydantic", "tomli", "sacrebleu", "peft"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
sys.argv[:2] = ["gpu.py"]
runpy.run_path(sys.path[0] + "/gpu.py", run_name="__main__")
"""


def test_the_bench_finds_the_engine_right_and_labels_a_cpu_as_one(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    options = ["--device", "cpu", "--size", "tiny", "--repeats", "1", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(ROOT / "benches"), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("CPU: a trial of the bench, no figure of a GPU")
    found = json.loads(out.read_text())
    assert not found["machine"]["gpu"]
    assert found["right"]["float32"]["largest_difference"] < 1e-4
    assert found["right"]["bfloat16"]["largest_difference"] < 1e-1
    assert found["drafts"]["equal"] == found["drafts"]["outputs"]
    assert {b["differing"] for b in found["bits"].values()} == {0}
    assert all(b["packs"] == 20 for b in found["bits"].values())
    rows = {(row["work"], row["numerics"]): row for row in found["speed"]}
    assert len(rows) == 3 * 2
    for (work, _), row in rows.items():
        assert row["token_ratio"] > 1
        for side in ("evalc", "transformers"):
            assert row[side]["mfu"] > 0
            assert (row[side]["decode_bandwidth"] is None) == (work != "gsm8k")
