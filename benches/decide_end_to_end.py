"""A regression gate on a real model: what a run that may end early asks, beside the full run.

    python benches/decide_end_to_end.py --model models/smollm2-135m --data ../shared/data
        [--cases 1000] [--noise 0.12] [--max-drop 0.02]

The first `--cases` rows of HellaSwag. The model's own result is recorded as `main`. A copy of the
model, with normal noise of `--noise` standard deviations on every matrix, is then judged against it
twice, each time in a cache that has the record and none of the copy's answers: with a tier that
ends when its gate is decided, and whole. Seconds are of whole processes, to their report.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

SPEC = """
evalc = 1
[models.{name}]
path = {path}
[datasets.hellaswag]
path = {data}
id   = "{{{{ ind }}}}"
rows = "0:{cases}"
[tasks.hellaswag]
dataset = "hellaswag"
type    = "multiple_choice"
prompt  = "{{{{ query }}}}"
choices = "{{{{ choices }}}}"
target  = "{{{{ label }}}}"
metrics = ["acc_norm"]
[tiers.decide]
stop = "decided"
[tiers.whole]
"""
GATE = """
[gates.no_regression]
metric   = "hellaswag.acc_norm"
baseline = "main"
max_drop = {drop}
"""


@dataclass(frozen=True)
class Took:
    """A run: seconds of the process, its exit code and its report."""

    seconds: float
    code: int
    report: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        """The only result."""
        found: dict[str, Any] = self.report["results"][0]
        return found


def noised(model: Path, target: Path, scale: float) -> Path:
    """A copy with noise on every matrix, in proportion to the spread of its weights."""
    shutil.copytree(model, target)
    draw = torch.Generator().manual_seed(0)
    for file in target.glob("*.safetensors"):
        tensors = load_file(file)
        for name, tensor in tensors.items():
            if tensor.dim() == 2:
                noise = torch.randn(tensor.shape, generator=draw)
                tensors[name] = (tensor + scale * tensor.float().std() * noise).to(tensor.dtype)
        save_file(tensors, file, metadata={"format": "pt"})
    return target


def run(spec: Path, cache: Path, *arguments: str) -> Took:
    """`evalc exec` in a process of its own."""
    command = [sys.executable, "-m", "evalc.cli", "exec", str(spec), "--json", *arguments]
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, "EVALC_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 3, 4):
        raise SystemExit(f"evalc exec ended with {done.returncode}")
    return Took(seconds, done.returncode, json.loads(done.stdout))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=0.12)
    parser.add_argument("--max-drop", type=float, default=0.02)
    return parser.parse_args()


def spec(folder: Path, name: str, model: Path, given: argparse.Namespace, gate: str) -> Path:
    """A spec of one model and HellaSwag."""
    path = folder / f"{name}{'_gated' if gate else ''}.toml"
    rows = (given.data / "hellaswag" / "hellaswag_val.jsonl").resolve()
    text = SPEC.format(
        name=name, path=json.dumps(str(model)), data=json.dumps(str(rows)), cases=given.cases
    )
    path.write_text(text + gate)
    return path


def tell(name: str, took: Took) -> None:
    """A line of the table."""
    metric = took.result["metrics"][0]
    print(
        f"{name:<28} {took.seconds:8.1f} s  {took.result['scored']:6,} of {took.result['total']:,} "
        f"cases  acc_norm {metric['value']:.4f}  exit code {took.code}"
    )


def main() -> None:
    """Run all three and print the share of cases and of seconds."""
    given = arguments()
    with tempfile.TemporaryDirectory(prefix="evalc-bench-") as name:
        folder = Path(name)
        base = given.model.resolve()
        copy = noised(base, folder / "noised", given.noise)
        first = run(spec(folder, "base", base, given, ""), folder / "first", "--record", "main")
        tell("the model, recorded as main", first)
        shutil.copytree(folder / "first", folder / "second")
        gate = GATE.format(drop=given.max_drop)
        judged = spec(folder, "copy", copy, given, gate)
        early = run(judged, folder / "first", "--tier", "decide")
        tell("the copy, until decided", early)
        whole = run(judged, folder / "second", "--tier", "whole")
        tell("the copy, whole", whole)
        (entry,) = early.report["gates"]
        (condition,) = entry["conditions"]
        (full,) = whole.report["gates"]
        print(
            f"\ngate: {entry['state']} ({entry['basis']}, wrong with probability at most "
            f"{entry['error']:g}); whole: {full['state']} ({full['basis']})\n"
            f"share of cases {condition['seen'] / condition['total']:.3f} (predicted "
            f"{condition['expected'] / condition['total']:.3f} if nothing had changed), "
            f"share of seconds {early.seconds / whole.seconds:.3f}"
        )


if __name__ == "__main__":
    main()
