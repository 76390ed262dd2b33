"""Log-likelihoods equal plain model calls, and shared tokens are computed once."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from evalc.contract.outcomes import Outcomes
from evalc.contract.packs import Ask, PackColumns, built_pack
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.passes.engine import Engine

ARCHITECTURES = (
    "llama", "qwen2", "qwen3", "gpt_neox", "gpt2", "granite", "gemma2", "gemma3", "mamba",
)  # fmt: skip
Ids = Callable[[int, int], list[int]]


def few_shot(ids: Ids) -> list[Ask]:
    """A shared prefix, questions of several lengths below it, choices below those."""
    prefix = ids(40, 0)
    asks = []
    for question in range(4):
        context = prefix + ids(3 + 4 * question, question + 1)
        for choice in range(3):
            cont = ids(1 + 2 * choice, 10 * question + choice + 50)
            asks.append(Ask(context + cont, len(cont), len(asks)))
        asks.append(Ask([*context, 17], 1, len(asks)))
        asks.append(Ask([*context, 23], 1, len(asks)))
    lone = ids(19, 99)
    asks.append(Ask(lone, 18, len(asks)))
    return asks


def run(engine: Engine, asks: Sequence[Ask]) -> Outcomes:
    return run_loglikelihoods(engine, PackColumns.of(built_pack("loglikelihood", asks)))


def totals(outcomes: Outcomes) -> list[tuple[float, int, int]]:
    return [struct.unpack("<dBI", outcomes.payloads[r]) for r in sorted(outcomes.payloads)]


def plain(engine: Engine, ask: Ask) -> tuple[float, bool]:
    """The score of one request by one unpadded, uncached call of the model itself."""
    ids = torch.tensor([ask.ids], device=engine.forward.device)
    logits = engine.forward.loaded.model(input_ids=ids, use_cache=False).logits[0].float()
    scored = torch.log_softmax(logits[-ask.cont - 1 : -1], dim=-1)
    wanted = ids[0, -ask.cont :]
    greedy = bool((scored.argmax(-1) == wanted).all())
    return float(scored.gather(1, wanted[:, None]).double().sum()), greedy


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_equal_plain_model_calls(name: str, engine: Callable[..., Engine], ids: Ids) -> None:
    asks = few_shot(ids)
    used = engine(name)
    found = totals(run(used, asks))
    assert len(found) == len(asks)
    for ask, (total, greedy, count) in zip(asks, found, strict=True):
        expected, argmax = plain(used, ask)
        assert total == pytest.approx(expected, abs=1e-4)
        assert (bool(greedy), count) == (argmax, ask.cont)


@pytest.mark.parametrize("name", ["gemma2", "gemma3"])
def test_sliding_windows_take_padded_rows(name: str, engine: Callable[..., Engine]) -> None:
    assert engine(name).capability.path == "padded"


def test_recurrent_models_batch_rows_of_one_length_only(engine: Callable[..., Engine]) -> None:
    assert engine("mamba").capability.path == "uniform"


@pytest.mark.parametrize("path", ["padded", "uniform"])
def test_every_path_gives_the_same_scores(
    path: str, engine: Callable[..., Engine], ids: Ids
) -> None:
    asks = few_shot(ids)
    shared = totals(run(engine("llama"), asks))
    other = totals(run(engine("llama", path=path), asks))
    for left, right in zip(shared, other, strict=True):
        assert left[0] == pytest.approx(right[0], abs=1e-4)
        assert left[1:] == right[1:]


def test_a_greedy_continuation_is_marked(engine: Callable[..., Engine], ids: Ids) -> None:
    used = engine("llama")
    context = ids(12, 4)
    for _ in range(3):
        logits = used.forward.plain_logits(np.asarray(context))
        context = [*context, int(logits[-1].argmax())]
    assert totals(run(used, [Ask(context, 3)]))[0][1] == 1


def computed(engine: Engine, work: Callable[[], object]) -> int:
    """How many ids pass through the model's embedding while `work` runs."""
    seen: list[int] = []
    embedding = engine.forward.loaded.model.get_input_embeddings()
    hook = embedding.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].numel()))
    try:
        work()
    finally:
        hook.remove()
    return sum(seen)


def test_a_shared_prefix_is_computed_once(engine: Callable[..., Engine], ids: Ids) -> None:
    prefix = ids(60, 1)
    asks = [Ask(prefix + ids(5, n + 2), 4, n) for n in range(8)]
    used = engine("llama")
    assert computed(used, lambda: run(used, asks)) == 60 + 8 * 4
    assert used.meter.tally.prefill_tokens == 60 + 8 * 4
    padded = engine("llama", path="padded")
    assert computed(padded, lambda: run(padded, asks)) == 8 * 64


def test_choices_of_one_token_cost_one_row(engine: Callable[..., Engine], ids: Ids) -> None:
    context = ids(30, 3)
    asks = [Ask([*context, choice], 1, choice) for choice in (5, 6, 7, 8)]
    used = engine("llama")
    assert computed(used, lambda: run(used, asks)) == 30


def test_a_prefix_is_kept_for_the_next_pack(engine: Callable[..., Engine], ids: Ids) -> None:
    prefix = ids(60, 1)
    first = [Ask(prefix + ids(5, n + 2), 4, n) for n in range(4)]
    second = [Ask(prefix + ids(5, n + 20), 4, n) for n in range(4)]
    used = engine("llama")
    run(used, first)
    assert computed(used, lambda: run(used, second)) == 4 * 4
    found = totals(run(used, second))
    for ask, (total, _, _) in zip(second, found, strict=True):
        assert total == pytest.approx(plain(used, ask)[0], abs=1e-4)


def test_a_kept_prefix_is_read_again_where_its_tokens_are_scored(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    prefix = ids(40, 1)
    used = engine("llama")
    run(used, [Ask(prefix + ids(5, n), 4, n) for n in range(3)])
    whole = [Ask(prefix + ids(6, n + 9), 44, n) for n in range(3)]
    for ask, (total, _, count) in zip(whole, totals(run(used, whole)), strict=True):
        assert total == pytest.approx(plain(used, ask)[0], abs=1e-4)
        assert count == 44


def test_only_scored_positions_reach_the_output_head(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    used = engine("llama")
    widths: list[int] = []
    head = used.forward.loaded.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda _m, _i, out: widths.append(out.numel() // 320))
    run(used, [Ask(ids(40, n), 2, n) for n in range(6)])
    hook.remove()
    assert sum(widths) <= 6 * 2 + len(widths)


def test_a_head_that_does_more_falls_back_to_whole_logits(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    assert engine("granite").forward.heads_agree(np.asarray(ids(8, 1)))
    unknown = engine("granite")
    unknown.forward._finished = lambda logits: logits  # type: ignore[method-assign]
    assert not unknown.forward.heads_agree(np.asarray(ids(8, 1)))
    asks = few_shot(ids)
    for ask, (total, _, _) in zip(asks, totals(run(unknown, asks)), strict=True):
        assert total == pytest.approx(plain(unknown, ask)[0], abs=1e-4)


def fail_above(engine: Engine, limit: int) -> list[int]:
    """Make passes over more than `limit` ids run out of memory; returns the sizes that ran."""
    ran: list[int] = []
    original = engine.forward.run

    def scarce(ids, rows, cols, **options):
        if ids.size > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        ran.append(ids.size)
        return original(ids, rows, cols, **options)

    engine.forward.run = scarce  # type: ignore[method-assign]
    return ran


@pytest.mark.parametrize("path", ["tree", "padded"])
def test_running_out_of_memory_halves_the_batch_and_is_remembered(
    path: str, engine: Callable[..., Engine], ids: Ids
) -> None:
    asks = [Ask(ids(20, n), 3, n) for n in range(12)]
    expected = totals(run(engine("llama"), asks))
    used = engine("llama", path=path)
    ran = fail_above(used, 60)
    found = totals(run(used, asks))
    assert [f[0] for f in found] == pytest.approx([e[0] for e in expected], abs=1e-4)
    assert max(ran) <= 60
    if path == "tree":
        assert used.tile <= 60
    else:
        assert used.budget.tokens_for(20) < used.budget.tokens
        assert used.budget.tokens_for(1000) == used.budget.tokens


def test_a_stable_tile_that_does_not_fit_is_a_failure_and_never_other_bits(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    used = engine("llama", numerics="stable")
    fail_above(used, 60)
    outcomes = run(used, [Ask(ids(20, n), 3, n) for n in range(3)])
    assert not outcomes.payloads
    assert all("memory" in reason for reason in outcomes.failures.values())


def test_a_prefix_that_does_not_fit_is_computed_in_pieces(
    engine: Callable[..., Engine], ids: Ids
) -> None:
    prefix = ids(100, 1)
    asks = [Ask(prefix + ids(3, n + 2), 2, n) for n in range(4)]
    expected = totals(run(engine("llama"), asks))
    used = engine("llama")
    ran = fail_above(used, 40)
    found = totals(run(used, asks))
    assert [f[0] for f in found] == pytest.approx([e[0] for e in expected], abs=1e-4)
    assert max(ran) <= 40


def test_a_row_that_never_fits_fails_alone(engine: Callable[..., Engine], ids: Ids) -> None:
    used = engine("llama", path="padded")
    fail_above(used, 30)
    outcomes = run(used, [Ask(ids(10, 1), 2, 0), Ask(ids(50, 2), 2, 1)])
    assert list(outcomes.payloads) == [0]
    assert "memory" in outcomes.failures[1]


def test_a_row_longer_than_the_model_fails_alone(engine: Callable[..., Engine], ids: Ids) -> None:
    outcomes = run(engine("llama"), [Ask(ids(300, 1), 2, 0), Ask(ids(20, 2), 2, 1)])
    assert list(outcomes.payloads) == [1]
    assert "256" in outcomes.failures[0]


def test_scoring_the_first_token_is_refused(engine: Callable[..., Engine]) -> None:
    with pytest.raises(ValueError, match="without a context"):
        run(engine("llama"), [Ask([5, 6, 7], 3)])
