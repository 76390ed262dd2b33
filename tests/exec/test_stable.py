"""Stable numerics: a record's bits depend on its request alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from test_loop import Book
from transformers import LlamaConfig, LlamaForCausalLM

from evalc.contract.packs import Ask, PackColumns, built_pack
from evalc.contract.progress import Meter, Silence, Tally
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.layout.shapes import Shapes
from evalc.exec.loop import ready
from evalc.exec.memory.budget import Budget
from evalc.exec.model.capability import capability
from evalc.exec.model.load import LoadedModel, load
from evalc.exec.passes.attention import NAME
from evalc.exec.passes.engine import Engine
from evalc.exec.passes.forward import Forward
from evalc.plan.sources import ModelSource

Ids = Callable[[int, int], list[int]]
Records = dict[int, bytes]


def suite(ids: Ids) -> list[Ask]:
    """Few-shot choices, whole texts, lone questions, and forks at every kind of place."""
    sequences: list[tuple[list[int], int]] = []
    shots = ids(150, 0)
    for question in range(5):
        context = shots + ids(4 + 9 * question, question + 1)
        for choice in range(4):
            cont = ids(1 + choice, 10 * question + choice + 50)
            sequences.append((context + cont, len(cont)))
        sequences += [([*context, letter], 1) for letter in (11, 12, 13)]
    for text in range(4):
        whole = ids(20 + 60 * text, 70 + text)
        sequences.append((whole, len(whole) - 1))
    for fork in (15, 16, 17, 127, 128, 129):
        sequences.append((shots[:fork] + ids(40, 80 + fork), 12))
    return [Ask(sequence, cont, key) for key, (sequence, cont) in enumerate(sequences)]


def repacked(engine: Callable[[], Engine], asks: Sequence[Ask], draw: random.Random) -> Records:
    """Records of `asks` in random packs, order and cache states."""
    order = draw.sample(asks, len(asks))
    used, found = engine(), Records()
    while order:
        count = draw.choice([1, 2, 5, 11, len(order)])
        pack, order = order[:count], order[count:]
        if draw.random() < 0.5:
            used.store.truncate(draw.randint(0, len(used.store.ids)))
        outcomes = run_loglikelihoods(used, PackColumns.of(built_pack("loglikelihood", pack)))
        assert not outcomes.failures
        found.update({pack[at].key: payload for at, payload in outcomes.payloads.items()})
        if draw.random() < 0.2:
            used = engine()
    return found


def differing(make: Callable[[], Engine], asks: Sequence[Ask], trials: int) -> int:
    """How many records of `trials` random packings differ in a bit from those of one pack."""
    whole = repacked(make, asks, random.Random(-1))
    draws = (repacked(make, asks, random.Random(trial)) for trial in range(trials))
    return sum(found[key] != whole[key] for found in draws for key in whole)


@pytest.mark.parametrize("name", ["llama", "gpt_neox"])
def test_random_packings_give_the_same_bits(
    name: str, engine: Callable[..., Engine], ids: Ids
) -> None:
    assert differing(lambda: engine(name, numerics="stable"), suite(ids), 20) == 0


@pytest.mark.parametrize("path", ["padded", "uniform"])
def test_rows_of_their_own_give_the_same_bits(
    path: str, engine: Callable[..., Engine], ids: Ids
) -> None:
    make = lambda: engine("gemma3", path, numerics="stable")  # noqa: E731
    assert differing(make, suite(ids)[:20], 5) == 0


def test_the_bits_do_not_depend_on_the_number_of_threads(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        make = lambda: engine("llama", numerics="stable")  # noqa: E731
        found.append(repacked(make, suite(ids), random.Random(threads)))
    torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("threads", [3, 5, 8])
def test_threads_are_given_up_where_bits_depend_on_a_token_s_place(
    threads: int, source: Callable[..., ModelSource], ids: Ids, tmp_path: Path
) -> None:
    """Torch cuts 256 x 1537 elements among threads, some of it inside vectors.

    Which cuts those are depends on the processor; what is asserted is what it does with equal rows.
    """
    torch.manual_seed(3)
    sizes = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 1537}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, **heads)).save_pretrained(tmp_path)
    loaded = load(source(path=tmp_path, numerics="stable"))
    before, book = torch.get_num_threads(), Book()
    torch.set_num_threads(threads)
    try:
        even = _equal_rows(1537)
        with torch.inference_mode():
            samples = [np.asarray(ids(120, seed)) for seed in range(4)]
            used, _ = ready(loaded, samples, None, Meter(Tally(), book))
            left = torch.get_num_threads()
            assert _equal_rows(1537)
            assert even or left < threads
            assert left in {threads, 2, 4}
            assert any(f"{threads} threads" in note for note in book.notes) == (left < threads)
            assert all(_equal_rows(1537, count) for count in used.capability.tiles)
    finally:
        torch.set_num_threads(before)


def _equal_rows(width: int, count: int = 256) -> bool:
    """Whether this processor gives equal rows equal bits, with torch's threads."""
    rows = torch.linspace(-6.0, 6.0, 16 * width).view(16, width)
    found = [torch.nn.functional.silu(row.repeat(count, 1)) for row in rows]
    return all(bool((one == one[0]).all()) for one in found)


def test_a_model_whose_bits_depend_on_the_place_in_a_pass_computes_rows_alone(
    source: Callable[..., ModelSource], ids: Ids
) -> None:
    loaded, book = load(source(numerics="stable")), Book()
    placed = lambda _module, _given, out: out + 1e-6 * torch.arange(out.shape[1])[:, None]  # noqa: E731
    loaded.model.model.layers[0].register_forward_hook(placed)
    asks = suite(ids)[:8]
    with torch.inference_mode():
        samples = [np.asarray(ids(120, seed)) for seed in range(4)]
        used, checked = ready(loaded, samples, None, Meter(Tally(), book))
        assert used.capability.path == "padded"
        assert [trial.path for trial in checked.trials] == ["tree", "padded"]
        assert any("depend on its place in a pass of this model" in note for note in book.notes)
        assert differing(lambda: used, asks, 3) == 0


def test_another_sequence_of_nan_states_poisons_nobody(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    make = lambda: engine("qwen2", numerics="stable")  # noqa: E731
    asks = suite(ids)
    clean = repacked(make, asks, random.Random(0))
    table = make().forward.loaded.model.get_input_embeddings().weight
    kept = table[2].clone()
    table[2] = torch.nan
    try:
        poisoned = [Ask([*ask.ids[:10], 2, *ask.ids[10:]], 3, 1000 + ask.key) for ask in asks]
        pack = built_pack("loglikelihood", [*poisoned, *asks])
        outcomes = run_loglikelihoods(make(), PackColumns.of(pack))
    finally:
        table[2] = kept
    assert sorted(outcomes.failures) == list(range(len(poisoned)))
    found = {asks[at - len(poisoned)].key: p for at, p in outcomes.payloads.items()}
    assert found == clean


def test_padding_is_counted_apart_from_what_was_asked(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    used = engine("llama", numerics="stable")
    asks = suite(ids)
    run_loglikelihoods(used, PackColumns.of(built_pack("loglikelihood", asks)))
    distinct = {tuple(ask.ids[:end]) for ask in asks for end in range(1, len(ask.ids))}
    tally = used.meter.tally
    assert tally.prefill_tokens == len(distinct)
    assert (tally.prefill_tokens + tally.padding_tokens) % used.shapes.tile == 0


@pytest.mark.model
def test_random_packings_of_a_real_model_give_the_same_bits(real_model: Path) -> None:
    source = ModelSource("base", real_model, "float32", "cpu", None, None, False, 8192, "stable")
    loaded: LoadedModel = load(source)
    loaded.model.set_attn_implementation(NAME)
    forward = Forward(loaded, Shapes.of("cpu", "stable"))
    judged = capability(loaded.model, loaded.decoder)

    def make() -> Engine:
        return Engine.of(forward, judged, Budget.of("cpu"), Meter(Tally(), Silence()))

    def ids(length: int, seed: int) -> list[int]:
        return np.random.default_rng(seed).integers(3, 49152, length).tolist()

    with torch.inference_mode():
        assert differing(make, suite(ids)[:14], 2) == 0
