"""Every tiny architecture: does it run, by which way, is it right? No error may be internal.

    python benches/architectures.py [kind ...] [--trials 3]

Each model is made small (`tests/tiny_architectures.py`), started as a run starts it, and asked
log-likelihoods and greedy texts: compared with transformers' own call and `generate`, and answered
again in packs and orders drawn at random, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import tiny_architectures
from evalc.contract.outcomes import LIKELIHOOD
from evalc.contract.packs import Ask, Kind, PackColumns, built_pack
from evalc.contract.progress import Meter, Silence, Tally
from evalc.contract.settings import Setting
from evalc.diagnostics import Faults
from evalc.exec.answer.generate import run_generations
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.loop import ready
from evalc.exec.model.load import load
from evalc.exec.model.tokenizer import load_tokenizer
from evalc.exec.passes.engine import Engine
from evalc.plan.sources import ModelSource

DRAFTED = 6
SETTING = Setting(DRAFTED, (), 0.0, 1.0, 0, 0, 0, frozenset())
VOCAB = 270
Records = dict[int, bytes]


def asks() -> dict[Kind, list[Ask]]:
    """Choices behind shots, whole texts, and prompts."""

    def ids(length: int, seed: int) -> list[int]:
        return np.random.default_rng(seed).integers(3, VOCAB, length).tolist()

    shots = ids(60, 0)
    scored = [
        Ask(shots + ids(4 + 5 * q, q + 1) + ids(1 + c, 10 * q + c + 50), 1 + c, 10 * q + c)
        for q in range(3)
        for c in range(3)
    ]
    scored += [Ask(ids(length, 70 + length), 5, 100 + length) for length in (9, 33, 140)]
    prompts = [Ask(shots + ids(3 + 4 * n, 200 + n), 0, 1000 + n) for n in range(3)]
    return {"loglikelihood": scored, "generate": prompts}


def answered(engine: Engine, decoder: Decoder, kind: Kind, pack: Sequence[Ask]) -> Records:
    columns = PackColumns.of(built_pack(kind, pack))
    if kind == "loglikelihood":
        outcomes = run_loglikelihoods(engine, columns)
    else:
        keys = [ask.key.to_bytes(32, "big") for ask in pack]
        outcomes = run_generations(engine, columns, [SETTING], keys, decoder)
    if outcomes.failures:
        raise RuntimeError(f"requests failed: {outcomes.failures}")
    return {pack[at].key: payload for at, payload in outcomes.payloads.items()}


def repacked(engine: Engine, decoder: Decoder, trial: int) -> Records:
    draw, found = random.Random(trial), Records()
    for kind, requests in asks().items():
        order = draw.sample(requests, len(requests))
        while order:
            count = draw.choice([1, 2, 5, len(order)])
            found |= answered(engine, decoder, kind, order[:count])
            order = order[count:]
            if draw.random() < 0.5:
                engine.store.truncate(draw.randint(0, len(engine.store.ids)))
    return found


def plain_gap(model: Any, records: Records) -> float:
    """The largest difference of a log-likelihood from transformers' own call, in nats."""
    gaps = []
    for ask in asks()["loglikelihood"]:
        logits = model(input_ids=torch.tensor([ask.ids]), use_cache=False).logits[0].float()
        chances = torch.log_softmax(logits[-ask.cont - 1 : -1], dim=-1)
        wanted = torch.tensor(ask.ids[-ask.cont :])[:, None]
        expected = float(chances.gather(1, wanted).double().sum())
        gaps.append(abs(LIKELIHOOD.unpack(records[ask.key])[0] - expected))
    return max(gaps)


def greedy_equal(model: Any, records: Records) -> int:
    """How many of the texts are those of `generate`."""
    config = GenerationConfig(max_new_tokens=DRAFTED, do_sample=False, eos_token_id=None,
                              pad_token_id=0)  # fmt: skip
    same = 0
    for ask in asks()["generate"]:
        ids = torch.tensor([ask.ids])
        found = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
        wanted = found[0, len(ask.ids) :].tolist()
        same += json.loads(records[ask.key])["tokens"][: len(wanted)] == wanted
    return same


def judged(kind: str, folder: Path, trials: int) -> str:
    """One line of the table."""
    limit = tiny_architectures.POSITIONS
    source = ModelSource("m", folder, "float32", "cpu", None, None, False, limit, "stable")
    decoder = Decoder.of(load_tokenizer(folder, False))
    samples = [np.asarray(ask.ids) for ask in asks()["loglikelihood"][::4]]
    try:
        engine, checked = ready(load(source), samples, decoder, Meter(Tally(), Silence()))
    except Faults as faults:
        return f"refused: {faults.diagnostics[0].message}"
    way, fresh = checked.capability, replace(engine.budget)
    make = lambda: Engine.of(engine.forward, way, replace(fresh), engine.meter)  # noqa: E731
    whole = {}
    for work, requests in asks().items():
        whole |= answered(make(), decoder, work, requests)
    differing = sum(
        records[key] != whole[key]
        for records in (repacked(make(), decoder, trial) for trial in range(trials))
        for key in whole
    )
    plain = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    gap, greedy = plain_gap(plain, whole), greedy_equal(plain, whole)
    told = "" if way.path == "tree" else f"; {way.reason}"
    return f"{way.path}: gap {gap:.1e}, greedy {greedy} of 3, differing {differing}{told}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=tiny_architectures.KINDS)
    parser.add_argument("--trials", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            try:
                tiny_architectures.write(Path(folder), kind)
                said = judged(kind, Path(folder), options.trials)
            except Exception as failure:
                last = traceback.extract_tb(failure.__traceback__)[-1]
                at = f"{last.filename}:{last.lineno}"
                said = f"INTERNAL: {type(failure).__name__}: {failure} ({at})"
        counts[said.partition(":")[0]] += 1
        print(f"{kind:22} {' '.join(said.split())[:200]}", flush=True)
    print(dict(counts))


if __name__ == "__main__":
    main()
