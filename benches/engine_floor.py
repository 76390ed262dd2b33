"""How far the engine is from what the machine could do: operations over the matmul peak.

    python benches/engine_floor.py --model models/smollm2-135m --data ../shared/data
        [--task mmlu ...] [--threads 1]

For each task: the operations that its requests need, over the seconds from the first request to the
last record, over the fastest matrix products of the same process at the same threads: a large
square one by `torch.matmul`, and the model's own shapes both by torch's linear and packed as the
engine packs them. Operations are 2 per weight of the linear layers and distinct token, 2 per weight
of the head and distinct scored position, 4 per key, head and channel of attention; padding counts
as time only. The price of `stable` is its seconds over those of `fast` for the same requests.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine_vs_lm_eval import WORK, planned_work, work_options
from evalc.contract.packs import Ids, Pack, PackColumns
from evalc.contract.progress import Silence, Tally
from evalc.exec.layout.forest import Targets, needed
from evalc.exec.loop import Asking, asking
from evalc.exec.model.linears import product, reordered
from evalc.plan import Planned
from evalc.run.backends import PACK_REQUESTS, PACK_TOKENS

TASKS = ("mmlu", "truthfulqa_mc1", "hellaswag", "hellaswag_10shot")
SQUARE = 2048
ROUNDS = 12


@dataclass(frozen=True)
class Needed:
    """What packs need at least: distinct tokens, the keys they attend, positions scored."""

    tokens: int = 0
    keys: int = 0
    scored: int = 0

    def __add__(self, other: Needed) -> Needed:
        return Needed(
            self.tokens + other.tokens, self.keys + other.keys, self.scored + other.scored
        )

    @classmethod
    def of(cls, pack: Pack) -> Needed:
        """Of a pack of log-likelihoods: a token at depth d attends d + 1 keys."""
        columns = PackColumns.of(pack)
        members = range(len(columns))
        lengths: Ids = needed(columns, members, whole=False) - columns.node_offsets[:-1]
        keys = lengths * columns.node_start + lengths * (lengths + 1) // 2
        scored = len(np.unique(Targets.of(columns, members).at))
        return cls(int(lengths.sum()), int(keys.sum()), scored)


def operations(need: Needed, shapes: Sequence[tuple[int, int]], head: int, attended: int) -> int:
    """Floating-point operations of `need`.

    `shapes` are those of the linear layers without the head, `head` is the number of its weights,
    `attended` heads times channels of all layers.
    """
    layers = 2 * need.tokens * sum(rows * cols for rows, cols in shapes)
    return layers + 2 * need.scored * head + 4 * need.keys * attended


def layer_shapes(model: Any) -> list[tuple[int, int]]:
    """[N, K] of every linear layer but the output head."""
    head = model.get_output_embeddings()
    layers = (part for part in model.modules() if isinstance(part, torch.nn.Linear))
    return [(part.out_features, part.in_features) for part in layers if part is not head]


def rate(work: Callable[[], Any], done: int) -> float:
    """The best of some rounds, in operations per second."""
    work()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return done / best


def peaks(shapes: Sequence[tuple[int, int]], rows: int) -> dict[str, float]:
    """The best rate of each kind of product, in operations per second."""
    left, right = torch.randn(2, SQUARE, SQUARE)
    best = {"square": rate(lambda: left @ right, 2 * SQUARE**3), "linear": 0.0, "packed": 0.0}
    for height, width in sorted(set(shapes)):
        weight, given = torch.randn(height, width), torch.randn(1, rows, width)
        packed, done = reordered(weight), 2 * rows * height * width
        found = {
            "linear": rate(lambda g=given, w=weight: torch.nn.functional.linear(g, w), done),
            "packed": rate(lambda g=given, w=packed: product(g, w, None), done),
        }
        best |= {kind: max(best[kind], value) for kind, value in found.items()}
    return best


@dataclass(frozen=True)
class Measured:
    """Seconds and counts of a task's requests, what they need, and the peaks beside them."""

    seconds: float
    tally: Tally
    need: Needed
    operations: int
    peaks: dict[str, float]


@contextmanager
def opened(planned: Planned, tally: Tally) -> Iterator[tuple[Asking, Sequence[Pack]]]:
    packs = planned.handle.packs(0, PACK_TOKENS["cpu"], PACK_REQUESTS["cpu"])
    probes = planned.handle.probes(0, 4)
    source, keys = planned.models[0].source, planned.keys
    with asking(source, packs, planned.settings, keys, Silence(), probes, tally) as model:
        yield model, packs


def measured(planned: Planned, with_peaks: bool) -> Measured:
    tally = Tally()
    with opened(planned, tally) as (model, packs):
        loaded = model.engine.forward.loaded
        began = time.perf_counter()
        if model.ask(packs, lambda _keys, _payloads: None):
            raise RuntimeError("requests failed")
        seconds = time.perf_counter() - began
        need = Needed()
        for pack in packs:
            need += Needed.of(pack)
        shapes, decoder = layer_shapes(loaded.model), loaded.decoder
        width = getattr(decoder, "head_dim", None) or (
            decoder.hidden_size // decoder.num_attention_heads
        )
        attended = decoder.num_hidden_layers * decoder.num_attention_heads * width
        done = operations(need, shapes, loaded.vocab * decoder.hidden_size, attended)
        with torch.inference_mode():
            best = peaks(shapes, model.engine.shapes.tile) if with_peaks else {}
    return Measured(seconds, tally, need, done, best)


def line(name: str, options: argparse.Namespace, cache: Path) -> str:
    tasks, count = WORK[name]
    found = {}
    for numerics in ("stable", "fast"):
        options.numerics = numerics
        planned = planned_work(tasks, count, options, cache / f"{name}-{numerics}")
        found[numerics] = measured(planned, numerics == "stable")
    stable, fast = found["stable"], found["fast"]
    tally, achieved = stable.tally, stable.operations / stable.seconds
    best = max(stable.peaks.values())
    named = ", ".join(f"{kind} {value / 1e9:.0f}" for kind, value in stable.peaks.items())
    return (
        f"{name:17} {achieved / 1e9:6.1f} GFLOP/s, "
        f"{achieved / stable.peaks['square']:.2f} of torch.matmul's peak, "
        f"{achieved / best:.2f} of the best product's ({named}) | "
        f"{stable.seconds:.2f} s, {stable.operations / 1e9:.0f} GFLOP, {stable.need.scored} "
        f"positions scored | computed {tally.prefill_tokens}, "
        f"{tally.prefill_tokens / stable.need.tokens:.3f} of distinct, padding "
        f"{tally.padding_tokens} | stable {stable.seconds / fast.seconds:.3f}x the seconds of fast"
    )


def main() -> None:
    options = work_options(TASKS).parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, float32")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.task:
            print(line(name, options, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
