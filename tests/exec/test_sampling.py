"""Sampling follows transformers' warpers and the request's own random stream."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from evalc.contract.settings import Setting
from evalc.exec.answer.sampling import _top_k, _top_p, drawn, generator_for


def setting(temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0, **rest: int) -> Setting:
    seed, slot = rest.get("seed", 0), rest.get("slot", 0)
    return Setting(8, (), temperature, top_p, top_k, seed, slot, frozenset())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [1, 5, 40])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95])
def test_warping_equals_transformers(temperature: float, top_k: int, top_p: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(64) * 3
    theirs = LogitsProcessorList(
        [TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k), TopPLogitsWarper(top_p)]
    )(torch.zeros(1, 1, dtype=torch.long), logits[None].clone())[0]
    ours = _top_p(_top_k(logits / temperature, top_k), top_p)
    assert torch.equal(torch.isfinite(ours), torch.isfinite(theirs))
    assert torch.equal(ours[torch.isfinite(ours)], theirs[torch.isfinite(theirs)])


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -torch.inf])
    generator = generator_for(setting(), b"k" * 32)
    draws = torch.tensor([drawn(logits, setting(), generator) for _ in range(4000)])
    shares = torch.bincount(draws, minlength=4) / len(draws)
    assert torch.allclose(shares, torch.softmax(logits, -1), atol=0.03)
    assert shares[3] == 0


def test_top_k_of_one_is_the_argmax() -> None:
    logits = torch.randn(100)
    generator = generator_for(setting(), b"k" * 32)
    assert drawn(logits, setting(5.0, top_k=1), generator) == int(logits.argmax())


def test_a_stream_is_a_function_of_seed_slot_and_key() -> None:
    def first(seed: int, slot: int, key: bytes) -> float:
        return float(torch.rand(1, generator=generator_for(setting(seed=seed, slot=slot), key)))

    base = first(1, 0, b"a" * 32)
    assert first(1, 0, b"a" * 32) == base
    assert len({base, first(2, 0, b"a" * 32), first(1, 1, b"a" * 32), first(1, 0, b"b" * 32)}) == 4
