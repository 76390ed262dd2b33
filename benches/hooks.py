"""What a child process costs a hook, and what several of them save.

    python benches/hooks.py [--cheap 10000] [--slow 100] [--milliseconds 50]

Three hooks over made-up answers: a cheap one, one that computes for the given time a case, one that
sleeps for it. `here` is a report's scoring into an empty store, with the start of the children;
`again` has the children of the first. The in-process floor, in the same run, is the same with the
function called in this process, one case after the other: nothing of the border is in it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from evalc import env
from evalc.hooks.crew import CREW
from evalc.score import Scoring, score_cell
from evalc.score.answers import case_of
from evalc.score.cache import Missing, ScoreCache, Scored
from evalc.score.keys import canonical
from evalc.score.scorers import hook_scorer
from evalc.store import Store
from scores import hooked

HOOKS = """\
import time

def cheap(case):
    return len(case["texts"][0]) % 2

def computing(case):
    until = time.perf_counter() + {seconds}
    while time.perf_counter() < until:
        pass
    return 1

def sleeping(case):
    time.sleep({seconds})
    return 1
"""


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def floor(name: str, count: int, root: Path, store: Store) -> None:
    """Keys, look-ups, calls in this process, and what is written."""
    cell = hooked(count)
    function = getattr(importlib.import_module("bench_hooks"), name)
    views = [case_of(cell, at) for at in range(count)]
    said = [{"texts": cell.texts_of(at), "extracted": cell.texts_of(at)} for at in range(count)]

    def keys() -> list[bytes]:
        scorer = hook_scorer("metric", f"bench_hooks:{name}", root)
        pairs = zip(said, views, strict=True)
        return [scorer.key(canonical(one), canonical(view)) for one, view in pairs]

    def compute(missing: Missing) -> list[Scored]:
        called = ((at, float(function({**views[at], **said[at]}))) for at in missing)
        return [Scored(at, canonical(value)) for at, value in called]

    ScoreCache(store).values(count, keys, compute)


def here(name: str, count: int, root: Path, store: Store) -> None:
    score_cell(hooked(count), Scoring((f"bench_hooks:{name}",)), root=root, cache=ScoreCache(store))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cheap", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=100)
    parser.add_argument("--milliseconds", type=float, default=50)
    arguments = parser.parse_args()
    print(
        f"{env.hardware('cpu')}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        text = HOOKS.format(seconds=arguments.milliseconds / 1000)
        (root / "bench_hooks.py").write_text(text, encoding="utf-8")
        sys.path.insert(0, folder)
        counts = {"cheap": arguments.cheap, "computing": arguments.slow, "sleeping": arguments.slow}
        for name, count in counts.items():
            CREW.close()
            took = []
            for state, work in enumerate((floor, here, here)):
                with Store.open(root / f"{name}{state}") as store:
                    took.append(timed(lambda: work(name, count, root, store)))  # noqa: B023
            told = "in-process floor {:.3f} s, here {:.3f} s, again {:.3f} s".format(*took)
            print(f"{name}, {count:,} cases: {told}", flush=True)


if __name__ == "__main__":
    main()
