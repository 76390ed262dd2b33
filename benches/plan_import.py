"""A warm `evalc plan` of the demo against `import transformers`: whole processes, in turn.

    python benches/plan_import.py [SPECS] [--rounds 9]

Both run in the same Python on the same machine, alternating, after one of each that is not counted.
The ratio is that of the medians; it must be below 0.25, and the exit code says whether it is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent / "specs" / "demo"
ENOUGH = 0.25


def seconds(command: list[str], cache: str) -> float:
    """Wall time of a process. Raises CalledProcessError if it fails."""
    began = time.perf_counter()
    environment = {**os.environ, "EVALC_CACHE": cache}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("specs", nargs="?", type=Path, default=DEMO)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    commands = {
        "evalc plan, warm": [sys.executable, "-m", "evalc", "plan", str(options.specs)],
        "import transformers": [sys.executable, "-c", "import transformers"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="evalc-bench-") as cache:
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                took = seconds(command, cache)
                times[name] += [took] if number else []
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, found in times.items():
        print(f"{name:20} {medians[name]:6.3f} s  ({min(found):.3f} to {max(found):.3f})")
    planned, imported = medians.values()
    print(f"{'ratio':20} {planned / imported:6.3f}")
    return 0 if planned / imported < ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
