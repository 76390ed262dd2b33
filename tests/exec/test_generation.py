"""Generation equals transformers' own greedy search; outputs depend on nothing but the request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from evalc.contract.outcomes import Outcomes
from evalc.contract.packs import Ask, PackColumns, built_pack
from evalc.contract.settings import Setting
from evalc.exec.answer.generate import run_generations
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.passes.engine import Engine

ARCHITECTURES = (
    "llama", "qwen2", "qwen3", "gpt_neox", "gpt2", "granite", "gemma", "gemma2", "gemma3", "mamba",
)  # fmt: skip
SHARING = ARCHITECTURES[:7]
Ids = Callable[[int, int], list[int]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost a tiny model more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def setting(**changes: Any) -> dict[str, Any]:
    plain = {"max_new_tokens": 12, "stop": [], "temperature": 0.0, "top_p": None, "top_k": None}
    return {**plain, "seed": 0, "slot": 0, "eos_ids": [1], **changes}


@pytest.fixture
def decoder(tokenizer: Any) -> Decoder:
    return Decoder.of(tokenizer)


def run(
    engine: Engine, decoder: Decoder, asks: Sequence[Ask], settings: Sequence[dict[str, Any]]
) -> Outcomes:
    columns = PackColumns.of(built_pack("generate", asks))
    keys = [ask.key.to_bytes(32, "big") for ask in asks]
    return run_generations(engine, columns, [Setting.of(s) for s in settings], keys, decoder)


def records(outcomes: Outcomes) -> list[dict[str, Any]]:
    assert not outcomes.failures
    return [json.loads(outcomes.payloads[r]) for r in sorted(outcomes.payloads)]


def prompts(ids: Ids) -> list[Ask]:
    """Prompts that share a prefix, and two that share nothing, of several lengths."""
    prefix = ids(40, 0)
    asks = [Ask(prefix + ids(2 + 3 * n, n + 1), 0, n) for n in range(5)]
    asks += [Ask(ids(11 + n, 30 + n), 0, 5 + n) for n in range(2)]
    return asks


def reference(engine: Engine, ask: Ask, count: int) -> list[int]:
    """transformers' greedy search on one prompt alone."""
    model = engine.forward.loaded.model
    out = model.generate(
        torch.tensor([ask.ids], device=model.device),
        attention_mask=torch.ones(1, len(ask.ids), dtype=torch.long, device=model.device),
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=1,
        pad_token_id=1,
    )
    return out[0, len(ask.ids) :].tolist()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_tokens_equal_transformers_generate(
    name: str, engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    used, asks = engine(name), prompts(ids)
    found = records(run(used, decoder, asks, [setting()]))
    assert [record["tokens"] for record in found] == [reference(used, ask, 12) for ask in asks]
    for record in found:
        ended = record["tokens"][-1] == 1
        assert record["finish"] == ("eos" if ended else "length")
        assert record["text"] == decoder.text(record["tokens"])


@pytest.mark.parametrize("numerics", ["fast", "stable"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_repeats_and_long_prompts_have_the_tokens_of_generate_and_share_their_prefill(
    name: str, numerics: str, engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    """Prompts around the ends of chunks and segments, outputs across them, each asked twice."""
    used = engine(name, numerics=numerics)
    shared = ids(111, 0)
    texts = [shared + ids(length - 111, length) for length in (112, 127, 128, 129, 144)]
    asks = [Ask(text, 0, 2 * n + k) for n, text in enumerate(texts) for k in range(2)]
    found = records(run(used, decoder, asks, [setting(max_new_tokens=24)]))
    tokens = [record["tokens"] for record in found]
    assert tokens[::2] == tokens[1::2] == [reference(used, ask, 24) for ask in asks[::2]]
    if used.capability.path == "tree":
        distinct = 111 + sum(len(text) - 111 for text in texts)
        assert used.meter.tally.prefill_tokens == distinct


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_refilled_slots_give_the_same_tokens(
    slots: int, engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    lengths = [3, 17, 5, 9, 1, 20, 8]
    asks = [Ask(ask.ids, 0, n, n) for n, ask in enumerate(prompts(ids))]
    settings = [setting(max_new_tokens=length, eos_ids=[]) for length in lengths]
    same = [setting(max_new_tokens=20, eos_ids=list(range(3, 40)))] * len(asks)
    for chosen in (settings, same):
        wide = records(run(engine("llama"), decoder, asks, chosen))
        narrow = records(run(engine("llama", slots=slots), decoder, asks, chosen))
        assert [r["tokens"] for r in narrow] == [r["tokens"] for r in wide]


def test_the_shared_prefix_of_prompts_is_computed_once(
    engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    used = engine("llama")
    asks = [Ask(ids(50, 0) + ids(4, n + 1), 0, n) for n in range(6)]
    run(used, decoder, asks, [setting(eos_ids=[], max_new_tokens=5)])
    assert used.meter.tally.prefill_tokens == 50 + 6 * 4
    assert used.meter.tally.decode_tokens == 6 * 4


def test_finished_rows_leave_the_batch(
    engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    used, asks = engine("llama"), prompts(ids)
    ends = setting(max_new_tokens=20, eos_ids=list(range(3, 60)))
    lengths = [len(record["tokens"]) for record in records(run(used, decoder, asks, [ends]))]
    assert len(set(lengths)) > 1
    assert used.meter.tally.decode_tokens == sum(lengths) - len(asks)


def test_a_stop_string_ends_the_text_before_itself(
    engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    asks = prompts(ids)
    free = records(run(engine("llama"), decoder, asks, [setting(eos_ids=[])]))
    stop = free[0]["text"][3:6]
    for name in ("llama", "gemma3"):
        whole = records(run(engine(name), decoder, asks, [setting(eos_ids=[])]))
        found = records(run(engine(name), decoder, asks, [setting(eos_ids=[], stop=[stop])]))
        for without, record in zip(whole, found, strict=True):
            assert record["text"] == without["text"].split(stop)[0]
            if stop in without["text"]:
                assert (record["finish"], record["stop"]) == ("stop", stop)
                assert stop not in decoder.text(record["tokens"][:-1])


def sampled(slot: int, seed: int = 3) -> dict[str, Any]:
    return setting(temperature=0.8, top_p=0.9, top_k=50, seed=seed, slot=slot, eos_ids=[])


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_a_sampled_text_does_not_depend_on_its_batch(
    name: str, engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    settings = [sampled(slot) for slot in range(3)]
    asks = [Ask(ask.ids, 0, 10 * n + s, s) for n, ask in enumerate(prompts(ids)) for s in range(3)]
    together = records(run(engine(name), decoder, asks, settings))
    alone = [records(run(engine(name), decoder, [ask], settings))[0] for ask in asks]
    assert [r["tokens"] for r in together] == [r["tokens"] for r in alone]
    narrow = records(run(engine(name, slots=2), decoder, asks[::-1], settings))
    assert [r["tokens"] for r in narrow[::-1]] == [r["tokens"] for r in alone]


def test_seed_slot_and_key_each_change_a_sampled_text(
    engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    prompt = ids(12, 5)
    settings = [sampled(0), sampled(1), sampled(0, seed=4)]
    asks = [Ask(prompt, 0, 0, 0), Ask(prompt, 0, 0, 1), Ask(prompt, 0, 0, 2), Ask(prompt, 0, 1, 0)]
    found = records(run(engine("llama"), decoder, asks, settings))
    assert len({tuple(record["tokens"]) for record in found}) == 4


def test_different_settings_never_share_a_pass(
    engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    used = engine("llama")
    batches: list[int] = []
    original = used.forward.run
    used.forward.run = lambda i, r, c, **o: batches.append(i.size) or original(i, r, c, **o)
    asks = [Ask(ids(9, n), 0, n, n) for n in range(2)]
    run(used, decoder, asks, [setting(), setting(temperature=0.5)])
    assert set(batches) == {1, 9}


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_running_out_of_memory_while_generating_changes_no_text(
    name: str, engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    asks = [Ask(ids(20, n), 0, n) for n in range(8)]
    expected = records(run(engine(name), decoder, asks, [setting()]))
    used = engine(name)
    original, calls = used.forward.run, 0

    def scarce(rows, at, cols, **options):
        nonlocal calls
        calls += 1
        if rows.size > 80 or (calls > 4 and len(at) > 2):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")
        return original(rows, at, cols, **options)

    used.forward.run = scarce
    assert records(run(used, decoder, asks, [setting()])) == expected


def test_a_prompt_without_room_fails_alone(
    engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    outcomes = run(engine("llama"), decoder, [Ask(ids(256, 1)), Ask(ids(250, 2))], [setting()])
    assert "256" in outcomes.failures[0]
    assert len(json.loads(outcomes.payloads[1])["tokens"]) <= 6


@pytest.mark.parametrize("name", ["llama", "gpt_neox", "mamba"])
def test_stable_texts_do_not_depend_on_slots_packs_or_what_is_held(
    name: str, engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    settings = [setting(temperature=1.0, slot=slot, eos_ids=[5, 6]) for slot in range(2)]
    shared = [Ask(ids(130, 0) + ids(3 + n, n + 1), 0, n, n % 2) for n in range(6)]
    asks = [*shared, *(Ask(ids(9 + 40 * n, n), 0, 6 + n, n % 2) for n in range(4))]
    whole = records(run(engine(name, numerics="stable"), decoder, asks, settings))
    used = engine(name, numerics="stable", slots=3)
    for part in (slice(5, 10), slice(0, 5), slice(2, 8)):
        found = records(run(used, decoder, asks[part], settings))
        assert [r["tokens"] for r in found] == [r["tokens"] for r in whole[part]]


@pytest.mark.parametrize("name", SHARING)
def test_sampled_repeats_are_forks_of_one_prefill_and_as_when_asked_alone(
    name: str, engine: Callable[..., Engine], decoder: Decoder, ids: Ids
) -> None:
    used = engine(name)
    settings = [sampled(slot) for slot in range(8)]
    asks = [Ask(ids(60, 1), 0, n, n) for n in range(8)]
    found = records(run(used, decoder, asks, settings))
    assert used.meter.tally.prefill_tokens == 60
    alone = [records(run(engine(name), decoder, [ask], settings))[0] for ask in asks]
    assert [r["tokens"] for r in found] == [r["tokens"] for r in alone]
    assert len({tuple(r["tokens"]) for r in found}) > 1
