"""The memory bench sees every part of a run, and the executor at each of its commits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_bench_sees_every_part_of_a_run_and_every_commit() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benches" / "exec_memory.py"), "--cases", "20", "60"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    assert [row.split()[0] for row in rows[1:5]] == ["plan", "execute", "log", "report"]
    assert all(int(count) >= 1 for count in re.findall(r"over (\d+) commits", done.stdout))
    assert len(re.findall("own memory", done.stdout)) == 2
