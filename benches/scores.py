"""What keeping scores saves: a report's scoring, cold and warm, by a slow hook and by programs.

    python benches/scores.py [--hooked 1000] [--milliseconds 2] [--programs 164]

The hook computes (it does not sleep) for the given time a case. The programs are humaneval-like: a
prompt, a body, a test of three assertions. Cold has an empty store, warm the store that cold left;
`one changed` is warm but for one answer. Records are made up; no model takes part.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from evalc.score import CellRecords, CodeSettings, Scoring, score_cell
from evalc.score.cache import ScoreCache
from evalc.store import Store

HOOK = """\
import time

def slow(case):
    until = time.perf_counter() + {seconds}
    while time.perf_counter() < until:
        pass
    return len(case["texts"][0]) % 2
"""
PROGRAM = "{{ prompt }}{{ completion }}\n{{ test }}\ncheck(candidate)\n"


def cell(texts: Sequence[str], rows: Sequence[dict[str, object]]) -> CellRecords:
    """Answered cases with a generated text each."""
    count = len(texts)
    return CellRecords(
        model="model",
        task="task",
        kind="generate",
        case_ids=[f"case-{n}" for n in range(count)],
        targets=["null"] * count,
        offsets=np.arange(count + 1, dtype=np.uint32),
        texts=list(texts),
        row=lambda n: {"row": rows[n], "prompt": f"question {n}", "choices": [], "target": None},
    )


def hooked(count: int, changed: bool = False) -> CellRecords:
    """Cases for the slow hook; the text of the first may be another."""
    texts = [f"answer {n} " * 20 for n in range(count)]
    if changed:
        texts[0] += "changed"
    return cell(texts, [{"n": n, "question": f"what is {n}?" * 10} for n in range(count)])


def coded(count: int, changed: bool = False) -> CellRecords:
    """Cases whose answers are bodies of functions."""
    rows: list[dict[str, object]] = [
        {
            "prompt": f"from typing import List\n\n\ndef candidate(x: int) -> int:\n    # {n}\n",
            "test": "def check(f):\n" + f"    assert f({n}) == {n + n % 2}\n" * 3,
        }
        for n in range(count)
    ]
    texts = [f"    y = {n % 2}\n    return x + y" for n in range(count)]
    if changed:
        texts[0] = "    return None"
    return cell(texts, rows)


def timed(score: Callable[[], object]) -> float:
    started = time.perf_counter()
    score()
    return time.perf_counter() - started


def measured(
    name: str, make: Callable[[int, bool], CellRecords], count: int, scoring: Scoring, root: Path
) -> None:
    """Print the three times and the ratio of the first two."""
    seconds: dict[str, float] = {}
    values = []
    with Store.open(root / f"store-{name}") as store:
        for state in ("cold", "warm", "one changed"):
            subject = make(count, state == "one changed")

            def score(subject: CellRecords = subject) -> None:
                found = score_cell(
                    subject,
                    scoring,
                    root=root,
                    allow_code_execution=True,
                    cache=ScoreCache(store),
                )
                values.append(next(iter(found.columns.values())).values.tolist())

            seconds[state] = timed(score)
    assert values[0] == values[1], "warm and cold differ"
    told = ", ".join(f"{state} {took:.3f} s" for state, took in seconds.items())
    print(f"{name}, {count:,} cases: {told}", flush=True)
    print(f"ratio: warm is {seconds['cold'] / seconds['warm']:.0f}x faster than cold", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hooked", type=int, default=1000)
    parser.add_argument("--milliseconds", type=float, default=2)
    parser.add_argument("--programs", type=int, default=164)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        text = HOOK.format(seconds=json.dumps(arguments.milliseconds / 1000))
        (root / "bench_hook.py").write_text(text, encoding="utf-8")
        hook = Scoring(("bench_hook:slow",))
        measured("hook", hooked, arguments.hooked, hook, root)
        code = Scoring(("code_pass@1",), code=CodeSettings(PROGRAM, timeout=60))
        measured("code_pass@1", coded, arguments.programs, code, root)


if __name__ == "__main__":
    main()
