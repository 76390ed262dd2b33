"""Two hundred random repackings of log-likelihoods and generations: no record differs in a bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_record_of_two_hundred_repackings_differs(model_dir: Callable[[str], Path]) -> None:
    options = ["--model", str(model_dir("llama")), "--max-length", "256", "--trials", "200"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benches" / "repacking.py"), *options, "--threads=1", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["differing"] == 0
    assert found["records"] == {"loglikelihood": 17, "generate": 8}
    widths = {int(width) for width in found["passes"]}
    assert len(widths) >= 3, "packings that all take passes of one size prove little"
