"""Hostile text in every place where text comes in, and a look at every form of output.

    python benches/hostile_text.py [--inputs N] [--seed N] [--keep FOLDER]

Control characters, sequences of terminals, workflow commands, mentions, mark-up, what turns lines
round and what no XML holds are put into specs, rows, ids, answers, hooks, names of files, models'
files, arguments, reports and pinned plans; commands run on a pipe, on a terminal, to ASCII and in a
workflow. Printed: inputs, outputs looked at, what was found. Exits with 1 when anything was: a raw
control character, a line that begins a command that is not ours, a live mention, an element or a
document that is not ours or does not parse, an internal error, an undocumented exit code.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from hostile_rounds import Rounds

INPUTS = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="work here, and leave it")
    parser.add_argument("--only", help="only this kind of round")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evalc-hostile-") as made:
        folder = asked.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        rounds = Rounds(folder, random.Random(asked.seed))
        go(rounds, asked.inputs, asked.only)
    print(f"{rounds.inputs:,} hostile texts, {rounds.commands:,} commands, "
          f"{sum(rounds.looks.values()):,} outputs, {time.monotonic() - began:.0f} s")  # fmt: skip
    print(", ".join(f"{kind} {count:,}" for kind, count in rounds.looks.most_common()))
    print(f"{len(rounds.faults):,} faults")
    for fault in dict.fromkeys(rounds.faults):
        print(ascii(fault))
    return 1 if rounds.faults else 0


def go(rounds: Rounds, inputs: int, only: str | None) -> None:
    """Rounds of every kind until so many texts were put in; larger ones for many texts."""
    size = min(300, max(6, inputs // 80))
    kinds = {
        "answers": lambda: rounds.answers(size),
        "reports": lambda: rounds.reports(2),
        "pinned": lambda: rounds.pinned(4),
        "wrong_specs": lambda: rounds.wrong_specs(max(30, size // 2)),
        "arguments": lambda: rounds.arguments(max(20, size // 4)),
        "wrong_data": lambda: rounds.wrong_data(max(20, size // 3)),
        "hooks": rounds.hooks,
        "models": rounds.models,
    }
    while True:
        for name, kind in kinds.items():
            if only is None or name in only.split(","):
                began = time.monotonic()
                kind()
                print(f"{name} {time.monotonic() - began:.1f} s, {rounds.inputs:,} texts",
                      file=sys.stderr)  # fmt: skip
        if rounds.inputs >= inputs:
            return


if __name__ == "__main__":
    sys.exit(main())
