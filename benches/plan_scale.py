"""How planning grows: cold, warm, one row changed, one template word changed, model changed.

    python benches/plan_scale.py --model models/smollm2-135m [--cases 10000 100000 1000000]

Each plan is one `evalc plan` process, from the start of Python to the printed plan; peak memory is
that process's. The exponent is that of seconds over cases between the smallest and largest size:
1 is linear. Question and four choices without shots; `--shots 5` puts five before each. The weights
are identified and the tokenizer is extracted before the first measured plan.

    cold        nothing is known but the model
    warm        nothing has changed since (median of three)
    one row     one row was edited
    warm after  nothing has changed since that
    model       another model with the same tokenizer
    template    one word of the template was changed
    answered    every request has a record, which is looked at; with --answered
    warm all    nothing has changed since that
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import synthetic

SPEC = """\
evalc = 1
[models.base]
path = {model}
[datasets.test]
path = "test.jsonl"
[datasets.dev]
path = "dev.jsonl"
[tasks.synthetic]
dataset = "test"
type    = "multiple_choice"
prompt  = {prompt}
choices = "{{{{ choices }}}}"
target  = "{{{{ answer }}}}"
metrics = ["acc"]
{fewshot}
"""


@dataclass(frozen=True)
class Measured:
    """One plan: wall seconds, peak resident MiB, cases, cases written anew."""

    seconds: float
    peak: int
    cases: int


def planned(folder: Path, cache: Path) -> Measured:
    """Plan `folder` in a process of its own."""
    code = (
        "import sys\n"
        "from evalc.cli.app import evalc\n"
        "evalc.main(args=sys.argv[1:], standalone_mode=False)\n"
        # not getrusage, whose figure starts at that of the process that started this one
        "status = open('/proc/self/status').read()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024, file=sys.stderr)\n"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", str(folder), "--json", "--cache", str(cache)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    seconds = time.perf_counter() - started
    total = json.loads(done.stdout)["total"]
    return Measured(seconds, int(done.stderr.split()[-1]), total["cases"])


def write_spec(folder: Path, model: Path, shots: int, prompt: str) -> None:
    fewshot = {
        "dataset": "dev",
        "k": shots,
        "template": synthetic.PROMPT + " {{ 'ABCD'[answer] }}\n\n",
    }
    pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in fewshot.items())
    text = SPEC.format(
        model=json.dumps(str(model.resolve())),
        prompt=json.dumps(prompt),
        fewshot=f"fewshot = {{ {pairs} }}" if shots else "",
    )
    (folder / "bench.toml").write_text(text, encoding="utf-8")


def measure(
    model: Path, cases: int, shots: int, answered: bool, folder: Path
) -> dict[str, Measured]:
    """All states at one size."""
    spec, cache = folder / "spec", folder / "cache"
    for path in (spec, cache):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    test, _ = synthetic.write(spec, cases)
    other = folder / "other-model"
    if not other.exists():
        other.mkdir()
        for file in model.iterdir():
            (other / file.name).symlink_to(file.resolve())
        (other / "config.json").unlink()
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        config["rms_norm_eps"] = 2e-5
        (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_spec(spec, model, shots, synthetic.PROMPT)
    for known in (model, other):
        planned_once(known, folder, cache)
    states = {"cold": planned(spec, cache)}
    states["warm"] = median([planned(spec, cache) for _ in range(3)])
    edit_row(test, cases // 2)
    states["one row"] = planned(spec, cache)
    states["warm after"] = planned(spec, cache)
    write_spec(spec, other, shots, synthetic.PROMPT)
    states["model"] = planned(spec, cache)
    write_spec(spec, model, shots, synthetic.PROMPT.replace("Answer:", "Reply:"))
    states["template"] = planned(spec, cache)
    if answered:
        answer(spec, cache)
        states["answered"] = planned(spec, cache)
        states["warm all"] = planned(spec, cache)
    return states


def median(measured: list[Measured]) -> Measured:
    return sorted(measured, key=lambda one: one.seconds)[len(measured) // 2]


def edit_row(path: Path, number: int) -> None:
    """Put a word before the question of one row, line by line."""
    edited = path.with_suffix(".edited")
    with path.open(encoding="utf-8") as old, edited.open("w", encoding="utf-8") as new:
        for place, line in enumerate(old):
            if place != number:
                new.write(line)
                continue
            row = json.loads(line)
            new.write(json.dumps({**row, "question": f"Changed: {row['question']}"}) + "\n")
    edited.replace(path)


def answer(spec: Path, cache: Path) -> None:
    """Put a record under every key, in a process of its own, as planning is what is measured."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from evalc.plan import plan\n"
        "from evalc.spec import load, select\n"
        "from evalc.store import Store\nfrom evalc.store.records import Likelihood\n"
        "folder, cache = load([Path(sys.argv[1])]), Path(sys.argv[2])\n"
        "with Store.open(cache / 'store') as store:\n"
        "    keys = plan(folder, select(folder), cache, store).keys\n"
        "    for start in range(0, len(keys), 32 << 17):\n"
        "        part = keys[start : start + (32 << 17)]\n"
        "        names = [part[at : at + 32] for at in range(0, len(part), 32)]\n"
        "        store.commit(names, [Likelihood(-1.0, True, 3).encode()] * len(names))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(spec), str(cache)], check=True)


def planned_once(model: Path, folder: Path, cache: Path) -> None:
    """Digest the weights and extract the tokenizer, which is no part of what is measured."""
    tiny = folder / "tiny"
    tiny.mkdir(exist_ok=True)
    synthetic.write(tiny, 10)
    write_spec(tiny, model, 0, synthetic.PROMPT)
    planned(tiny, cache)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cases", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--answered", action="store_true")
    arguments = parser.parse_args()
    sizes = sorted(arguments.cases)
    found: dict[int, dict[str, Measured]] = {}
    print(f"{'cases':>10}  {'state':10}  {'seconds':>8}  {'peak MiB':>8}  cases/s", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            found[size] = measure(
                arguments.model, size, arguments.shots, arguments.answered, Path(name)
            )
            for state, one in found[size].items():
                rate = one.cases / one.seconds
                print(
                    f"{size:>10,}  {state:10}  {one.seconds:8.2f}  {one.peak:>8,}  {rate:,.0f}",
                    flush=True,
                )
    small, large = sizes[0], sizes[-1]
    for state in found[large]:
        ratio = found[large][state].seconds / found[small][state].seconds
        exponent = math.log(ratio) / math.log(large / small) if large > small else math.nan
        print(f"{state}: exponent {exponent:.2f}")
    last = found[large]
    print(f"peak memory at {large:,} cases: {max(one.peak for one in last.values()):,} MiB")
    print(f"ratio: warm is {last['cold'].seconds / last['warm'].seconds:.1f}x faster than cold")


if __name__ == "__main__":
    main()
