"""What only a GPU shows: recorded passes, and bits in half precision. Run by the tests of
programs, with EVALC_TEST_ENGINE=cuda.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_generation import prompts, records, run, sampled, setting
from test_stable import differing, suite

from evalc.contract.packs import Ask, PackColumns, built_pack
from evalc.contract.progress import Meter, Silence, Tally
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.layout.shapes import Shapes
from evalc.exec.memory.budget import Budget
from evalc.exec.model.capability import capability
from evalc.exec.model.load import load
from evalc.exec.passes.attention import NAME
from evalc.exec.passes.engine import Engine
from evalc.exec.passes.forward import Forward

Ids = Callable[[int, int], list[int]]


class Notes(Silence):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def make(source: Callable[..., Any]) -> Callable[..., Engine]:
    """An engine of a dtype, in stable numerics."""
    kept: dict[tuple[str, str], Any] = {}

    def engine(name: str = "llama", dtype: str = "bfloat16", observer: Any = None) -> Engine:
        if (name, dtype) not in kept:
            kept[name, dtype] = load(source(name, dtype=dtype, numerics="stable"))
        model = kept[name, dtype]
        model.model.set_attn_implementation(NAME)
        if not isinstance(model.model.get_output_embeddings(), torch.nn.Linear):
            raise TypeError("the output head is no linear layer")
        model.model.get_output_embeddings()._forward_pre_hooks.clear()
        forward = Forward(model, Shapes.of("cuda", "stable"))
        judged = capability(model.model, model.decoder)
        budget = replace(Budget.of("cuda"), overhead=2)
        return Engine.of(forward, judged, budget, Meter(Tally(), observer or Silence()))

    return engine


def answers(engine: Engine, asks: list[Ask]) -> dict[int, bytes]:
    outcomes = run_loglikelihoods(engine, PackColumns.of(built_pack("loglikelihood", asks)))
    assert not outcomes.failures
    return {asks[at].key: payload for at, payload in outcomes.payloads.items()}


@torch.inference_mode()
def test_passes_are_recorded_and_replayed_with_the_same_bits(
    make: Callable[..., Engine], ids: Ids
) -> None:
    used, asks = make(), suite(ids)
    found = []
    for _ in range(4):
        used.store.truncate(0)
        found.append(answers(used, asks))
    assert used.passes is not None
    assert [held.run.graph is not None for held in used.passes._fixed.values()] == [True]
    assert found[1:] == found[:1] * 3


@torch.inference_mode()
def test_the_decode_step_is_recorded(make: Callable[..., Engine], tokenizer: Any, ids: Ids) -> None:
    used, decoder = make("llama", "float32"), Decoder.of(tokenizer)
    asks = prompts(ids)
    outcomes = run(used, decoder, asks, [setting(max_new_tokens=20, eos_ids=[])])
    assert len(records(outcomes)) == len(asks)
    steps = used.decoding(1, 1)._steps.values()
    assert any(step.run.graph is not None for step in steps)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["llama", "gpt_neox", "qwen2"])
def test_no_packing_changes_a_bit(
    name: str, dtype: str, make: Callable[..., Engine], ids: Ids
) -> None:
    assert differing(lambda: make(name, dtype), suite(ids), 10) == 0


@torch.inference_mode()
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_batch_changes_a_token(
    dtype: str, make: Callable[..., Engine], tokenizer: Any, ids: Ids
) -> None:
    decoder, draw = Decoder.of(tokenizer), random.Random(5)
    settings = [sampled(0), setting(max_new_tokens=9, eos_ids=[])]
    asks = [Ask(ask.ids, 0, 2 * n + k, k) for n, ask in enumerate(prompts(ids)) for k in (0, 1)]
    whole = records(run(make("llama", dtype), decoder, asks, settings))
    used = make("llama", dtype)
    for _ in range(5):
        some = draw.sample(range(len(asks)), draw.randint(1, len(asks)))
        found = run(used, decoder, [asks[at] for at in some], settings)
        assert [json.loads(found.payloads[n]) for n in range(len(some))] == [
            whole[at] for at in some
        ]


@torch.inference_mode()
def test_a_model_that_waits_for_the_host_is_run_without_recording(
    make: Callable[..., Engine], ids: Ids
) -> None:
    notes = Notes()
    used, asks = make(observer=notes), suite(ids)
    layer = used.forward.loaded.model.model.layers[0]
    hook = layer.register_forward_hook(lambda _module, _given, out: float(out.sum()) and None)
    try:
        waiting = [answers(used, asks) for _ in range(3)]
    finally:
        hook.remove()
    assert len(notes.texts) == 1 and "not captured" in notes.texts[0]
    assert waiting == [answers(make(), asks)] * 3
