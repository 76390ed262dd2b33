"""Seconds to answer the same cases: evalc's engine against lm-evaluation-harness 0.4.13.

    python benches/engine_vs_lm_eval.py --model models/smollm2-135m --data ../shared/data
        [--task mmlu ...] [--share 0.1] [--threads 1] [--batch 8] [--numerics stable]

Both sides get the same contexts and continuations of the same cases, the same weights in float32
and the same threads, one after the other in one process. Each is timed from the loading of its
model to its last answer; evalc's self-check is included, its planning is not (that is measured by
plan_vs_lm_eval.py), the harness's tokenisation, which is inside its calls, is. With `--share` the
harness answers only that share of the cases and its seconds and tokens are scaled up; evalc always
answers all of them. CPU seconds are printed beside wall seconds: with one thread they are what
remains comparable on a machine that others use. Floors: distinct tokens of the prefix tree, and
1.0 computed tokens for each.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from evalc.contract.progress import Silence, Tally
from evalc.exec.loop import execute
from evalc.plan import Planned, plan
from evalc.run.backends import PACK_REQUESTS, PACK_TOKENS
from evalc.spec import load, select
from evalc.store import Store

ROOT = Path(__file__).resolve().parents[1]
KEY = 32
WORK: dict[str, tuple[list[str], int]] = {
    "mmlu": (["mmlu_high_school_psychology", "mmlu_world_religions"], 50),
    "truthfulqa_mc1": (["truthfulqa_mc1"], 60),
    "hellaswag": (["hellaswag"], 200),
    "hellaswag_10shot": (["hellaswag_10shot"], 50),
    "crows_pairs": (["crows_pairs"], 300),
    "gsm8k": (["gsm8k"], 20),
}
"""Name -> its tasks and how many first rows of each."""
DATASETS = {"truthfulqa_mc1": "truthfulqa", "hellaswag_10shot": "hellaswag"}


@dataclass(frozen=True)
class Took:
    """Wall and CPU seconds and computed tokens of one side."""

    wall: float
    cpu: float
    tokens: int


@dataclass(frozen=True)
class Request:
    """A context with its continuation, or with the generation settings in its place."""

    context: str
    wanted: str | dict[str, Any]


def timed(work: Callable[[], int]) -> Took:
    """Seconds of `work`, which returns the tokens it computed."""
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu, tokens)


def planned_work(
    tasks: Sequence[str], count: int, options: argparse.Namespace, cache: Path
) -> Planned:
    rows = {f"datasets.{DATASETS.get(task, task)}.rows": f"0:{count}" for task in tasks}
    values = {
        "paths.data": str(options.data.resolve()),
        "models.base.path": str(options.model.resolve()),
        "models.base.numerics": options.numerics,
        **rows,
    }
    if "gsm8k" in tasks:
        values["tasks.gsm8k.generate.max_new_tokens"] = 128
    overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    folder = load([ROOT / "specs"], overrides)
    chosen = select(folder, models=["base"], tasks=list(tasks))
    with Store.open(cache / "store") as store:
        return plan(folder, chosen, cache, store)


def requests_of(planned: Planned) -> tuple[list[list[Request]], list[list[bytes]]]:
    """The requests of every case, and the keys of their records."""
    cases, keys = [], []
    for index, (_, name) in enumerate(planned.selection.cells):
        cell, task = planned.cell(index), planned.folder.spec.tasks[name]
        offsets = memoryview(cell["request_offsets"]).cast("I").tolist()
        indices = memoryview(cell["requests"]).cast("I").tolist()
        for at, (low, high) in enumerate(pairwise(offsets)):
            case = planned.case(index, at)
            if case["choices"]:
                wanted = [task.delimiter + choice for choice in case["choices"]]
            else:
                settings = planned.settings[0]
                stops = {"until": settings["stop"], "max_gen_toks": settings["max_new_tokens"]}
                wanted = [{**stops, "do_sample": False}]
            cases.append([Request(case["prompt"], text) for text in wanted])
            keys.append([planned.keys[KEY * i : KEY * i + KEY] for i in indices[low:high]])
    return cases, keys


def ours(planned: Planned, records: dict[bytes, bytes]) -> tuple[Took, Tally]:
    model, tally = planned.models[0], Tally()
    packs = planned.handle.packs(0, PACK_TOKENS["cpu"], PACK_REQUESTS["cpu"])
    probes = planned.handle.probes(0, 4)

    def commit(keys: list[bytes], payloads: list[bytes]) -> None:
        records.update(zip(keys, payloads, strict=True))

    def work() -> int:
        source, settings = model.source, planned.settings
        execute(source, packs, settings, planned.keys, commit, Silence(), probes, tally)
        return tally.prefill_tokens + tally.decode_tokens + tally.padding_tokens

    return timed(work), tally


def theirs(cases: list[list[Request]], options: argparse.Namespace) -> tuple[Took, list[Any]]:
    """The harness's own calls on its own copy of the model."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    from lm_eval.api.instance import Instance  # noqa: PLC0415
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415

    flat = [request for case in cases for request in case]
    generates = isinstance(flat[0].wanted, dict)
    kind = "generate_until" if generates else "loglikelihood"
    instances = [
        Instance(request_type=kind, doc={}, arguments=(r.context, r.wanted), idx=n)
        for n, r in enumerate(flat)
    ]
    answers: list[Any] = []

    def work() -> int:
        harness = HFLM(
            pretrained=str(options.model), device="cpu", dtype="float32", batch_size=options.batch
        )
        computed = []
        harness.model.get_input_embeddings().register_forward_pre_hook(
            lambda _module, inputs: computed.append(inputs[0].numel())
        )
        ask = harness.generate_until if generates else harness.loglikelihood
        answers.extend(ask(instances, disable_tqdm=True))
        return sum(computed)

    return timed(work), answers


def gap(answers: list[Any], payloads: Sequence[bytes]) -> str:
    """How far the two sides' answers are apart."""
    if isinstance(answers[0], str):
        texts = [json.loads(payload)["text"] for payload in payloads]
        return f"{sum(a == b for a, b in zip(answers, texts, strict=True))} of {len(texts)} equal"
    sums = [struct.unpack("<dBI", payload)[0] for payload in payloads]
    return f"{max(abs(a[0] - b) for a, b in zip(answers, sums, strict=True)):.1e}"


def compared(name: str, options: argparse.Namespace, cache: Path) -> str:
    tasks, count = WORK[name]
    planned = planned_work(tasks, count, options, cache / name)
    cases, keys = requests_of(planned)
    records: dict[bytes, bytes] = {}
    mine, tally = ours(planned, records)
    step = max(1, round(1 / options.share))
    other, answers = theirs(cases[::step], options)
    scale = len(cases) / len(cases[::step])
    payloads = [records[key] for case in keys[::step] for key in case]
    distinct = planned.summary["total"]["prefill_tokens"]
    return (
        f"{name:17} {other.wall * scale / mine.wall:6.1f}x wall  "
        f"{other.cpu * scale / mine.cpu:6.1f}x cpu  "
        f"{other.tokens * scale / mine.tokens:6.1f}x tokens | evalc {mine.wall:.1f} s "
        f"({mine.cpu:.1f} cpu), {tally.prefill_tokens} prefill tokens, "
        f"{tally.prefill_tokens / distinct:.3f} of distinct, {tally.padding_tokens} padding, "
        f"{tally.decode_tokens} decoded | harness {other.wall * scale:.1f} s "
        f"({other.cpu * scale:.1f} cpu), {other.tokens * scale:.0f} tokens"
        f"{'' if step == 1 else f' (scaled from 1 in {step})'} | difference "
        f"{gap(answers, payloads)}"
    )


def work_options(names: Sequence[str]) -> argparse.ArgumentParser:
    """Options of a bench on some of `WORK`: the model, the data, which of them, and threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--task", nargs="*", choices=names, default=list(names))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def main() -> None:
    parser = work_options(list(WORK))
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--numerics", choices=["stable", "fast"], default="stable")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, numerics {options.numerics}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.task:
            print(compared(name, options, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
