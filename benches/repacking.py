"""Do records of stable numerics depend on what they are computed with? Bits over random packings.

    python benches/repacking.py --model models/smollm2-135m [--trials 20] [--threads 1] [--json]

A mixed suite of random ids (few-shot choices, whole texts, forks at every kind of place, greedy and
sampled generations) is answered over and over by one loaded model: in packs, orders, token counts
of a pass, slots and cache states drawn at random. Every record is compared with that of the first
answer, bit for bit. The token counts of the passes that ran are printed: the bits are only worth
something where these differ.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evalc.contract.packs import Ask, Kind, PackColumns, built_pack
from evalc.contract.progress import Meter, Silence, Tally
from evalc.contract.settings import Setting
from evalc.exec.answer.generate import run_generations
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.loop import ready
from evalc.exec.model.load import load
from evalc.exec.model.tokenizer import load_tokenizer
from evalc.exec.passes.engine import Engine
from evalc.plan.sources import ModelSource

ROOT = Path(__file__).resolve().parents[1]
FIRST_ID = 3
DRAFTED = 10
SETTINGS = [
    Setting(DRAFTED, (), 0.0, 1.0, 0, 0, 0, frozenset()),
    Setting(DRAFTED, (), 1.0, 0.9, 40, 5, 0, frozenset()),
]
Records = dict[int, bytes]


def suite(vocab: int) -> dict[Kind, list[Ask]]:
    """Requests by kind, each with a key of its own."""

    def ids(length: int, seed: int) -> list[int]:
        return np.random.default_rng(seed).integers(FIRST_ID, vocab, length).tolist()

    shots = ids(140, 0)
    scored: list[tuple[list[int], int]] = []
    for question in range(3):
        context = shots + ids(4 + 11 * question, question + 1)
        scored += [(context + ids(1 + n, 10 * question + n + 50), 1 + n) for n in range(3)]
    scored += [(text, len(text) - 1) for text in (ids(9, 70), ids(70, 71))]
    scored += [(shots[:fork] + ids(20, 80 + fork), 7) for fork in (15, 16, 17, 127, 128, 129)]
    prompts = [shots + ids(3 + 5 * n, 200 + n) for n in range(6)] + [ids(12, 210), ids(31, 211)]
    return {
        "loglikelihood": [Ask(each, cont, key) for key, (each, cont) in enumerate(scored)],
        "generate": [Ask(each, 0, 1000 + n, n % 2) for n, each in enumerate(prompts)],
    }


class Repacking:
    """A loaded model that answers a suite in ways drawn at random."""

    def __init__(self, path: Path, longest: int) -> None:
        source = ModelSource("base", path, "float32", "cpu", None, None, False, longest, "stable")
        loaded = load(source)
        self.decoder = Decoder.of(load_tokenizer(path, False))
        self.asks = suite(loaded.vocab)
        samples = [np.asarray(ask.ids) for ask in self.asks["loglikelihood"][:4]]
        meter = Meter(Tally(), Silence())
        self.first, _ = ready(loaded, samples, self.decoder, meter)
        self.widths: Counter[int] = Counter()
        loaded.model.get_input_embeddings().register_forward_pre_hook(
            lambda _module, given: self.widths.update([given[0].numel()])
        )

    def engine(self) -> Engine:
        """An engine that holds nothing."""
        budget = replace(self.first.budget)
        return Engine.of(self.first.forward, self.first.capability, budget, self.first.meter)

    def answered(self, draw: random.Random | None) -> Records:
        """The records of the suite, by key; without a draw in one pack of each kind."""
        engine, found = self.engine(), Records()
        for kind, pack in self._packs(draw):
            if draw is not None:
                engine = self._disturbed(engine, draw)
            found |= self._records(engine, kind, pack)
        return found

    def _packs(self, draw: random.Random | None) -> list[tuple[Kind, list[Ask]]]:
        if draw is None:
            return list(self.asks.items())
        packs = []
        for kind, asks in self.asks.items():
            order = draw.sample(asks, len(asks))
            while order:
                count = draw.choice([1, 2, 3, 7, len(order)])
                packs.append((kind, order[:count]))
                order = order[count:]
        draw.shuffle(packs)
        return packs

    def _disturbed(self, engine: Engine, draw: random.Random) -> Engine:
        """Another cache state, pass size and number of slots."""
        if draw.random() < 0.2:
            engine = self.engine()
        if draw.random() < 0.5:
            engine.store.truncate(draw.randint(0, len(engine.store.ids)))
        large = [count for count in engine.capability.tiles if count >= 64]
        engine.tile = draw.choice([engine.shapes.tile, *large])
        engine.budget.slots = draw.choice([1, 3, self.first.budget.slots])
        return engine

    def _records(self, engine: Engine, kind: Kind, pack: Sequence[Ask]) -> Records:
        columns = PackColumns.of(built_pack(kind, pack))
        if kind == "loglikelihood":
            outcomes = run_loglikelihoods(engine, columns)
        else:
            keys = [ask.key.to_bytes(32, "big") for ask in pack]
            outcomes = run_generations(engine, columns, SETTINGS, keys, self.decoder)
        if outcomes.failures:
            raise RuntimeError(f"requests failed: {outcomes.failures}")
        return {pack[at].key: payload for at, payload in outcomes.payloads.items()}


def found(repacking: Repacking, trials: int) -> dict[str, Any]:
    """How many of the records of all trials differ from the first ones in a bit."""
    whole = repacking.answered(None)
    repacking.widths.clear()
    differing = 0
    for trial in range(trials):
        records = repacking.answered(random.Random(trial))
        differing += sum(records[key] != whole[key] for key in whole)
    return {
        "trials": trials,
        "records": {kind: len(asks) for kind, asks in repacking.asks.items()},
        "differing": differing,
        "passes": dict(sorted(repacking.widths.items())),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--max-length", type=int, default=2048)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        result = found(Repacking(options.model, options.max_length), options.trials)
    if options.json:
        print(json.dumps(result))
        return
    kinds = ", ".join(f"{count} of kind {kind}" for kind, count in result["records"].items())
    passes = ", ".join(f"{count} of {width}" for width, count in result["passes"].items())
    print(f"{result['trials']} repackings of {kinds}: {result['differing']} records differ")
    print(f"passes by tokens: {passes}")


if __name__ == "__main__":
    main()
