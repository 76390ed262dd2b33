"""Peak memory of `evalc exec`: does it grow with the number of cases, and in which part?

    python benches/exec_memory.py [--cases 1000 100000]

A random-weight two-layer model answers multiple choice of short prompts and generates after a tenth
of them. Each run is one `evalc exec` process on an empty cache. Resident memory is read where each
part begins and its peak within the part, by resetting the kernel's mark (Linux). The planner keeps
columns for every case; what the executor adds on top of them has to be flat. The store is a mapped
file: its pages count as resident while the kernel keeps them, and are apart in the last lines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import random_models

SPEC = """\
evalc = 1
[models.tiny]
path = {model}
[datasets.rows]
path = "rows.jsonl"
[datasets.some]
path = "rows.jsonl"
rows = "0:{some}"
[tasks.choice]
dataset = "rows"
type    = "multiple_choice"
prompt  = "{{{{ n }}}} is"
choices = ["odd", "even"]
target  = "{{{{ n % 2 == 0 }}}}"
metrics = ["acc"]
[tasks.next]
dataset  = "some"
type     = "generate"
prompt   = "after {{{{ n }}}}:"
target   = "{{{{ n + 1 }}}}"
generate = {{ max_new_tokens = 2 }}
metrics  = ["exact_match"]
"""

CHILD = """
import json, sys, torch
torch.set_num_threads(1)
from evalc.cli.commands import exec as executing
from evalc.cli.app import evalc
from evalc.exec import loop

def kib(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0])

parts = []
def began(part):
    if parts:
        parts[-1]["peak"] = kib("VmHWM")
    open("/proc/self/clear_refs", "w").write("5")
    parts.append({"part": part, "before": kib("VmRSS"), "files": kib("RssFile"), "own": []})

def spied(part, original, after=None):
    def run(*arguments, **named):
        began(part)
        if part == "execute":
            asking, packs, commit = arguments
            def noted(keys, payloads):
                commit(keys, payloads)
                parts[-1]["own"].append(kib("RssAnon"))
            arguments = (asking, packs, noted)
        found = original(*arguments, **named)
        if after:
            began(after)
        return found
    return run

loop.Asking.ask = spied("execute", loop.Asking.ask, "log")
executing.show_report = spied("report", executing.show_report)
began("plan")
evalc.main(args=sys.argv[1:], standalone_mode=False)
began("end")
print(json.dumps(parts), file=sys.stderr)
"""


def ran(folder: Path, model: Path, cases: int) -> tuple[float, list[dict[str, Any]]]:
    """Seconds and parts of one run on a new cache."""
    folder.mkdir()
    text = SPEC.format(model=json.dumps(str(model)), some=max(1, cases // 10))
    (folder / "spec.toml").write_text(text, encoding="utf-8")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f'{{"n": {n}}}\n' for n in range(cases))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "exec", str(folder), "--json", "--cache", folder / "cache"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    parts: list[dict[str, Any]] = json.loads(done.stderr.splitlines()[-1])
    return time.perf_counter() - began, parts


def table(results: dict[int, tuple[float, list[dict[str, Any]]]]) -> None:
    few, many = min(results), max(results)
    print(f"{'part':10}" + "".join(f"{f'{n:,} cases':>28}" for n in results) + f"{'per case':>14}")
    for place, part in enumerate(results[few][1][:-1]):
        row, added = f"{part['part']:10}", {}
        for cases, (_, parts) in results.items():
            found = parts[place]
            added[cases] = found["peak"] - found["before"]
            row += f"{found['before'] / 1024:12.1f} +{added[cases] / 1024:8.1f} MiB"
        growth = (added[many] - added[few]) * 1024 / (many - few)
        print(row + f"{growth:9.0f} bytes")
    for cases, (seconds, parts) in results.items():
        peak = max(part["peak"] for part in parts[:-1]) / 1024
        print(f"{cases:,} cases: {seconds:.1f} s, peak {peak:.1f} MiB; {own(parts)}")


def own(parts: list[dict[str, Any]]) -> str:
    """What the executor itself holds: anonymous memory at commits, without mapped files."""
    place = next(n for n, part in enumerate(parts) if part["part"] == "execute")
    held = [kib / 1024 for kib in parts[place]["own"]]
    files = (parts[place + 1]["files"] - parts[place]["files"]) / 1024
    quarters = [held[len(held) * n // 4] for n in range(4)]
    shown = ", ".join(f"{size:.1f}" for size in [*quarters, held[-1]])
    return (
        f"own memory over {len(held)} commits {shown} MiB, at most {max(held):.1f}; "
        f"mapped files grew by {files:.1f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs=2, default=[1000, 100_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = random_models.write(folder / "model", "tiny")
        ran(folder / "first", model, 10)
        table({cases: ran(folder / str(cases), model, cases) for cases in sorted(options.cases)})


if __name__ == "__main__":
    main()
