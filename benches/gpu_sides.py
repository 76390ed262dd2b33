"""The two sides of the GPU bench: evalc's engine, and transformers' own batched calls."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

import random_models
from evalc.contract.outcomes import Outcomes
from evalc.contract.packs import Ask, PackColumns
from evalc.contract.progress import Meter, Silence, Tally
from evalc.contract.settings import Setting
from evalc.exec.answer.generate import run_generations
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.loop import ready
from evalc.exec.memory.budget import is_out_of_memory
from evalc.exec.model.load import DTYPES, LoadedModel, hasten, restore
from evalc.exec.model.state import settle_numerics
from evalc.exec.passes.engine import Engine
from evalc.plan.sources import ModelSource
from gpu_work import Costs, Work, decode_bytes, rows_cost, tree_cost


@dataclass
class Took:
    """Seconds, operations and (of decoding) seconds, steps and bytes of one side."""

    seconds: float
    flops: float
    tokens: int
    decode_seconds: float = 0.0
    decode_bytes: float = 0.0


@dataclass
class Steps(Silence):
    """Counts passes by their kind."""

    counts: dict[str, int] = field(default_factory=dict)

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + bool(tokens)


def random_model(size: str, dtype: str, device: str, numerics: str, layers: int = 0) -> LoadedModel:
    """A model of random weights that is made where it runs, of all its layers or of some."""
    settle_numerics()
    torch.manual_seed(7)
    config = random_models.config(size)
    config.num_hidden_layers = layers or config.num_hidden_layers
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype]).eval()
    source = ModelSource(
        size, Path(), dtype, device, None, None, False, config.max_position_embeddings, numerics
    )
    return LoadedModel(source, model, config, config.vocab_size, torch.device(device))


@contextmanager
def started(loaded: LoadedModel, work: Work, observer: Silence) -> Iterator[Engine]:
    """An engine past its self-check, on a few of the work's own inputs.

    Afterwards the model is as transformers made it.
    """
    samples = [np.asarray(ask.ids, dtype=np.int64) for ask in work.asks[:4]]
    hasten(loaded.model)
    engine, _ = ready(loaded, samples, None, Meter(Tally(), observer))
    try:
        yield engine
    finally:
        engine.forward.hook.remove()
        restore(loaded.model, "sdpa")


def answered(engine: Engine, work: Work, asks: Sequence[Ask] | None = None) -> Outcomes:
    """evalc's answers to all requests of a work, or to these."""
    columns = PackColumns.of(work.pack(asks))
    if columns.kind == "loglikelihood":
        return run_loglikelihoods(engine, columns)
    setting = Setting(work.form.drafts, (), 0.0, 1.0, 0, 0, 0, frozenset())
    keys = [bytes(32)] * len(columns)
    decoder = Decoder.of(random_models.tokenizer())
    return run_generations(engine, columns, [setting], keys, decoder)


def ours(loaded: LoadedModel, work: Work, repeats: int) -> Took:
    """The best of some timed runs of the engine, after one to warm up."""
    costs, tooks = Costs.of(loaded.model), []
    steps = Steps()
    prompts = [len(ask.ids) for ask in work.asks]
    with started(loaded, work, steps) as engine:
        for _ in range(repeats + 1):
            steps.counts.clear()
            engine.store.truncate(0)
            tally = Tally()
            engine.meter = Meter(tally, steps)
            seconds = timed(loaded, lambda: sound(answered(engine, work)))
            computed = tally.prefill_tokens + tally.decode_tokens + tally.padding_tokens
            took = Took(seconds, tree_cost(work, costs), computed, tally.decode_seconds)
            read = steps.counts.get("decode", 0)
            took.decode_bytes = decode_bytes(prompts, work.form.drafts, read, costs)
            tooks.append(took)
    return min(tooks[1:], key=lambda took: took.seconds)


def sound(outcomes: Outcomes) -> Outcomes:
    if outcomes.failures:
        raise SystemExit(f"requests failed: {next(iter(outcomes.failures.values()))}")
    return outcomes


def timed(loaded: LoadedModel, work: Callable[[], object]) -> float:
    """Seconds of `work`, the device idle before and after."""
    synchronised(loaded.device)
    began = time.perf_counter()
    work()
    synchronised(loaded.device)
    return time.perf_counter() - began


def synchronised(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def theirs(loaded: LoadedModel, work: Work, batch: int, repeats: int) -> Took:
    """The best of some timed runs of transformers' own calls, with batches that fit."""
    while True:
        try:
            run = _drafted if work.form.drafts else _scored
            tooks = [run(loaded, work, batch) for _ in range(repeats + 1)]
            return min(tooks[1:], key=lambda took: took.seconds)
        except RuntimeError as failure:
            if not is_out_of_memory(failure) or batch == 1:
                raise
        batch //= 2
        gc.collect()
        torch.cuda.empty_cache()


def _scored(loaded: LoadedModel, work: Work, batch: int) -> Took:
    """Each distinct input once, sorted by length, padded on the right, logits where scored."""
    inputs: dict[tuple[int, ...], int] = {}
    for ask in work.asks:
        row = tuple(ask.ids[:-1])
        inputs[row] = max(inputs.get(row, 0), ask.cont)
    rows = sorted(inputs, key=len)
    lengths, logits = [], 0

    def work_all() -> None:
        nonlocal logits
        for start in range(0, len(rows), batch):
            group = rows[start : start + batch]
            width = len(group[-1])
            kept = width - min(len(row) - inputs[row] for row in group)
            ids = torch.zeros(len(group), width, dtype=torch.long)
            for place, row in enumerate(group):
                ids[place, : len(row)] = torch.tensor(row)
            mask = torch.arange(width) < torch.tensor([len(row) for row in group])[:, None]
            out = loaded.model(
                input_ids=ids.to(loaded.device),
                attention_mask=mask.to(loaded.device),
                use_cache=False,
                logits_to_keep=kept,
            )
            torch.log_softmax(out.logits.float(), dim=-1).amax().item()
            lengths.extend([width] * len(group))
            logits += kept * len(group)

    seconds = timed(loaded, work_all)
    return Took(seconds, rows_cost(lengths, logits, Costs.of(loaded.model)), sum(lengths))


def _drafted(loaded: LoadedModel, work: Work, batch: int) -> Took:
    """`generate` on batches sorted by length and padded on the left."""
    asks = sorted(work.asks, key=lambda ask: len(ask.ids))
    costs, drafts = Costs.of(loaded.model), work.form.drafts
    groups = [asks[start : start + batch] for start in range(0, len(asks), batch)]

    def seconds(new: int) -> float:
        def run() -> None:
            for group in groups:
                generated(loaded, [ask.ids for ask in group], new)

        return timed(loaded, run)

    first, whole = seconds(1), seconds(drafts)
    widths = [len(group[-1].ids) for group in groups for _ in group]
    took = Took(whole, rows_cost(widths, len(asks), costs), sum(widths) + len(asks) * (drafts - 1))
    took.decode_seconds = max(whole - first, 1e-9)
    took.decode_bytes = decode_bytes(widths, drafts, len(groups) * (drafts - 1), costs)
    return took


def generated(loaded: LoadedModel, prompts: Sequence[Sequence[int]], new: int) -> list[list[int]]:
    """transformers' own greedy search, `new` tokens for each prompt."""
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, prompt in enumerate(prompts):
        ids[place, width - len(prompt) :] = torch.tensor(prompt)
        mask[place, width - len(prompt) :] = 1
    settings = GenerationConfig(max_new_tokens=new, do_sample=False, pad_token_id=0)
    # what the model's own configuration says would end a row early
    loaded.model.generation_config = settings
    out = loaded.model.generate(
        ids.to(loaded.device), attention_mask=mask.to(loaded.device), generation_config=settings
    )
    found: Any = out[:, width:].tolist()
    return found
