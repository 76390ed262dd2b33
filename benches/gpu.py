"""One command for a machine with a GPU: is the engine right there, and how fast is it?

    python benches/gpu.py [--size 1b 8b] [--work mmlu hellaswag gsm8k] [--json FILE]
    python benches/gpu.py --device cpu --size tiny      # tries the bench itself out

Needs torch, transformers and evalc's wheel, and neither network nor model files: models have the
shapes of Llama and random weights. In order:

    right     log-likelihoods against the plain call of transformers, row by row, in float32 and
              bfloat16, and greedy tokens in float32 against `generate`
    bits      20 random packs of one work, in random order, in stable numerics: every record's bits
    speed     each work against transformers' own batched calls: distinct inputs once, sorted by
              length, logits only where they are scored; `generate` on batches. Both sides after a
              warm-up, the best of the repeats, under the same settings of torch

`MFU` is the operations of the tokens that a side has to compute (evalc: distinct ones of the tree)
over seconds and the peak of a large matrix product measured here, `BW` the bytes that decoding has
to read over its seconds and the bandwidth of a large copy measured here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import random
import sys
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import evalc

PLANNING = ("lmdb", "pydantic", "tomli")


def without_planner() -> None:
    """Let `evalc.plan.sources` be imported where what planning needs is not installed."""
    if all(importlib.util.find_spec(name) for name in PLANNING):
        return
    package = types.ModuleType("evalc.plan")
    package.__path__ = [str(Path(evalc.__file__).parent / "plan")]
    sys.modules["evalc.plan"] = package


without_planner()

import torch  # noqa: E402
import transformers  # noqa: E402

from evalc.contract.outcomes import LIKELIHOOD  # noqa: E402
from evalc.contract.progress import Silence  # noqa: E402
from evalc.exec.model.load import DTYPES, LoadedModel  # noqa: E402
from evalc.exec.model.state import settle_numerics  # noqa: E402
from gpu_sides import answered, generated, ours, random_model, sound, started, theirs  # noqa: E402
from gpu_work import FORMS, Work  # noqa: E402

SHRUNK = {"tiny": 8, "1b": 1, "8b": 1}
BATCH = {"cpu": 8, "cuda": 64}
PACKS = 20


def peaks(device: str, dtype: str) -> dict[str, float]:
    """Operations per second of a large matrix product and bytes per second of a large copy."""
    side = 8192 if device == "cuda" else 1024
    # of random numbers: a product of constant ones runs faster than one of anything real
    left = torch.randn(side, side, dtype=DTYPES[dtype], device=device)
    source = torch.randn((1 << 30 if device == "cuda" else 1 << 26) // 4, device=device)
    target = torch.empty_like(source)
    return {
        "flops": 2.0 * side**3 / _best(lambda: left @ left, device),
        "bytes": 2.0 * source.nbytes / _best(lambda: target.copy_(source), device),
    }


def _best(work: Any, device: str) -> float:
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[2:])


def work_of(name: str, size: str, vocab: int) -> Work:
    form = FORMS[name]
    return Work.of(form if SHRUNK[size] == 1 else form.scaled(SHRUNK[size]), vocab, seed=3)


def right(size: str, dtype: str, device: str) -> dict[str, Any]:
    """How far log-likelihoods are from the plain call's, and how many choices differ."""
    loaded = random_model(size, dtype, device, "stable", layers=4)
    work = work_of("hellaswag", size, loaded.vocab)
    asks = work.asks[:64]
    with started(loaded, work, Silence()) as engine:
        payloads = sound(answered(engine, work, asks)).payloads
    found = [LIKELIHOOD.unpack(payloads[at])[0] for at in range(len(asks))]
    plain = [plain_sum(loaded, ask.ids, ask.cont) for ask in asks]
    chosen = [
        [
            max(range(4), key=lambda c, first=first: sums[first + c])
            for first in range(0, len(asks), 4)
        ]
        for sums in (found, plain)
    ]
    return {
        "largest_difference": max(abs(a - b) for a, b in zip(found, plain, strict=True)),
        "choices": len(chosen[0]),
        "choices_that_differ": sum(a != b for a, b in zip(*chosen, strict=True)),
        "path": engine.capability.path,
        "equal_tiles": list(engine.capability.tiles),
    }


def plain_sum(loaded: LoadedModel, ids: Sequence[int], scored: int) -> float:
    given = torch.tensor([ids], device=loaded.device)
    logits = loaded.model(given, use_cache=False).logits[0, -scored - 1 : -1].float()
    chances = torch.log_softmax(logits, dim=-1)
    return float(chances.gather(1, given[0, -scored:, None]).double().sum())


def drafts_agree(size: str, device: str) -> dict[str, int]:
    """Greedy outputs in float32 that equal those of `generate`, prompt by prompt."""
    loaded = random_model(size, "float32", device, "stable", layers=4)
    work = work_of("gsm8k", size, loaded.vocab)
    asks = work.asks[:8]
    with started(loaded, work, Silence()) as engine:
        payloads = sound(answered(engine, work, asks)).payloads
    found = [json.loads(payloads[at])["tokens"] for at in range(len(asks))]
    plain = [generated(loaded, [ask.ids], work.form.drafts)[0] for ask in asks]
    return {"equal": sum(a == b for a, b in zip(found, plain, strict=True)), "outputs": len(asks)}


def bits(size: str, dtype: str, device: str) -> dict[str, int]:
    """Records of random packs that have other bits than in one pack."""
    loaded = random_model(size, dtype, device, "stable", layers=4)
    work, draw = work_of("mmlu", size, loaded.vocab), random.Random(5)
    compared = differing = 0
    with started(loaded, work, Silence()) as engine:
        whole = sound(answered(engine, work)).payloads
        for _ in range(PACKS):
            asks = draw.sample(work.asks, draw.randint(1, min(len(work.asks), 64)))
            if draw.random() < 0.5:
                engine.store.truncate(draw.randint(0, len(engine.store.ids)))
            found = sound(answered(engine, work, asks)).payloads
            compared += len(asks)
            differing += sum(found[at] != whole[ask.key] for at, ask in enumerate(asks))
    return {"packs": PACKS, "records": compared, "differing": differing}


def speed(size: str, options: argparse.Namespace, peak: dict[str, float]) -> Iterator[Any]:
    """A row for every work and numerics class."""
    made = random_model(size, options.dtype, options.device, "stable")
    for name in options.work:
        work = work_of(name, size, made.vocab)
        other = theirs(made, work, options.batch, options.repeats)
        for numerics in ("stable", "fast"):
            loaded = replace(made, source=replace(made.source, numerics=numerics))
            mine = ours(loaded, work, options.repeats)
            yield {
                "size": size,
                "work": name,
                "numerics": numerics,
                "requests": len(work.asks),
                "ratio": other.seconds / mine.seconds,
                "token_ratio": other.tokens / mine.tokens,
                "evalc": side(mine, peak, bool(work.form.drafts)),
                "transformers": side(other, peak, bool(work.form.drafts)),
            }


def side(took: Any, peak: dict[str, float], drafts: bool) -> dict[str, Any]:
    prefill = took.seconds - took.decode_seconds
    bandwidth = took.decode_bytes / took.decode_seconds / peak["bytes"] if drafts else None
    return {
        "seconds": took.seconds,
        "tokens": took.tokens,
        "mfu": took.flops / max(prefill, 1e-9) / peak["flops"],
        "decode_bandwidth": bandwidth,
    }


def shown(row: dict[str, Any]) -> str:
    def of(found: dict[str, Any]) -> str:
        share = found["decode_bandwidth"]
        return (
            f"{found['seconds']:9.3f} s {found['tokens']:9,} tok  MFU {found['mfu']:6.1%}  "
            f"BW {'     -' if share is None else f'{share:6.1%}'}"
        )

    return (
        f"{row['size']:5} {row['work']:10} {row['numerics']:7} {row['ratio']:6.2f}x "
        f"({row['token_ratio']:5.2f}x tokens) | evalc {of(row['evalc'])} | "
        f"transformers {of(row['transformers'])}"
    )


def machine(options: argparse.Namespace) -> dict[str, Any]:
    cuda = options.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or "cpu",
        "gpu": cuda,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "evalc": evalc.__version__,
        "dtype": options.dtype,
        "threads": torch.get_num_threads(),
    }


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, printed as it comes."""
    about = machine(options)
    label = "GPU" if about["gpu"] else "CPU: a trial of the bench, no figure of a GPU"
    print(f"{label}\n{about}")
    settle_numerics()
    peak = peaks(options.device, options.dtype)
    print(f"peaks: {peak['flops'] / 1e12:.2f} TFLOP/s, {peak['bytes'] / 1e9:.1f} GB/s")
    found: dict[str, Any] = {"label": label, "machine": about, "peaks": peak}
    if not options.speed_only:
        found |= correctness(options)
    found["speed"] = []
    for size in options.size:
        for row in speed(size, options, peak):
            found["speed"].append(row)
            print(shown(row), flush=True)
    return found


def correctness(options: argparse.Namespace) -> dict[str, Any]:
    """What is right and which bits are equal, on four layers of the first size."""
    small, found = options.size[0], dict[str, Any]()
    found["right"] = {d: right(small, d, options.device) for d in ("float32", "bfloat16")}
    for dtype, result in found["right"].items():
        print(f"right, {dtype}: {result}")
    found["drafts"] = drafts_agree(small, options.device)
    print(f"greedy outputs as generate's, float32: {found['drafts']}")
    found["bits"] = {d: bits(small, d, options.device) for d in ("float32", "bfloat16")}
    for dtype, result in found["bits"].items():
        print(f"bits, {dtype}: {result}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--size", nargs="+", choices=list(SHRUNK), default=["1b", "8b"])
    parser.add_argument("--work", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--dtype", choices=list(DTYPES), default=None)
    parser.add_argument("--batch", type=int, default=None, help="rows of transformers' batches")
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    cuda = options.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device; try `--device cpu --size tiny`")
    options.dtype = options.dtype or ("bfloat16" if cuda else "float32")
    options.batch = options.batch or BATCH[options.device]
    with torch.inference_mode():
        found = measured(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
