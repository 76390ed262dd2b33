"""Whether gates are right as often as they say, how soon they are decided, and what a look costs.

    python benches/decide.py [coverage] [shares] [predictors] [peeking] [speed]
                              [--runs 2000] [--gates 300]

All of it goes through the product's own evidence, trials, units and rounds, on populations whose
truth is known (`tests/decide/populations.py`). Exits with 1 where a figure is not what is wanted.
`--size` takes a part of `coverage`, `--setting` one of the gates of `shares`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "decide"))

from decide_coverage import SIZES, coverage, first_rows, peeked
from decide_predictors import gains
from decide_shares import SETTINGS, costs
from decide_speed import exponent, look_ms, order_ms

PARTS = ("coverage", "shares", "predictors", "peeking", "speed")


def print_coverage(runs: int, sizes: list[int]) -> bool:
    """A row for each population; wrong in percent of runs, at any unit before the last."""
    print("\n| N | right | predictor | weights | interval misses | wrong pass | wrong fail |")
    print("|---|---|---|---|---|---|---|")
    cells = []
    for cell in coverage(runs, sizes):
        rates = " | ".join(f"{100 * x:.1f}" for x in (cell.outside, cell.passed, cell.failed))
        note = "" if cell.holds else " TOO OFTEN"
        row = f"| {cell.size} | {cell.share} | {cell.predictor} | {cell.weights} | {rates}{note} |"
        print(row, flush=True)
        cells.append(cell)
    for name in ("outside", "passed", "failed"):
        rates = [getattr(cell, name) for cell in cells]
        print(f"{name}: {100 * min(rates):.1f} to {100 * max(rates):.1f} % of {runs} runs")
    return all(cell.holds for cell in cells)


def print_shares(runs: int, chosen: list[int]) -> bool:
    """A row for each gate and size."""
    print("\n| gate | N | median | wanted | nine in ten | expected | wrong |")
    print("|---|---|---|---|---|---|---|")
    good = True
    for place in chosen:
        for cost in costs(runs, SETTINGS[place]):
            good &= cost.median <= cost.most and cost.wrong <= 0.05 * runs
            shares = f"{cost.median:.1%} | {cost.most:.0%} | {cost.late:.1%} | {cost.expected:.1%}"
            name = cost.setting.name
            print(f"| {name} | {cost.size} | {shares} | {cost.wrong} of {runs} |", flush=True)
    return good


def print_predictors(runs: int) -> bool:
    """What other models' scores are worth."""
    print("\n| predictor | mean share | wrong at the truth |\n|---|---|---|")
    found = gains(runs)
    for gain in found:
        print(f"| {gain.kind} | {gain.share:.1%} | {gain.wrong:.1%} |", flush=True)
    return found[-1].share < found[0].share


def print_peeking(runs: int) -> bool:
    """What looking early does to the usual interval, and to a file's order."""
    print("\n| N = 1319, truth 0.75 | wrong |\n|---|---|")
    plain, finite = (peeked(1319, 0.75, runs, 50, corrected=c) for c in (False, True))
    print(f"| Wilson's interval at 50 looks | {plain:.1%} |")
    print(f"| with the finite population's correction | {finite:.1%} |")
    print(
        f"| anytime evidence in a file's order (80 %, then 60 %) | {first_rows(1319, runs):.1%} |"
    )
    return True


def print_speed() -> bool:
    """Milliseconds; by `nproc` and a quiet machine."""
    rows = look_ms()
    print(f"\norder of 14,042 ids: {order_ms():.1f} ms")
    print("\n| units seen | look, ms | interval, ms |\n|---|---|---|")
    for seen, look, interval in rows:
        print(f"| {seen} | {look:.2f} | {interval:.1f} |")
    look, interval = (
        exponent((rows[0][0], rows[0][i]), (rows[-1][0], rows[-1][i])) for i in (1, 2)
    )
    print(f"exponent: {look:.2f} of a look, {interval:.2f} of an interval")
    return rows[-1][1] < 10 and interval < 1.2


def main() -> int:
    """Print the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--gates", type=int, default=300)
    parser.add_argument("--size", type=int, action="append", choices=SIZES)
    parser.add_argument("--setting", type=int, action="append")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    sizes = asked.size or list(SIZES)
    work = {
        "coverage": lambda: print_coverage(asked.runs, sizes),
        "shares": lambda: print_shares(asked.gates, asked.setting or list(range(len(SETTINGS)))),
        "predictors": lambda: print_predictors(asked.gates),
        "peeking": lambda: print_peeking(asked.runs),
        "speed": print_speed,
    }
    good = [work[part]() for part in asked.parts or PARTS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
