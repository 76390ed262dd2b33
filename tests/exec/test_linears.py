"""Packed linear layers give what the plain ones give, and go without a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_loop import SETTING, Book, keys, work
from torch.nn.functional import linear

from evalc.exec.loop import execute
from evalc.exec.model.linears import PackedLinear, pack, unpack
from evalc.exec.model.load import base, load

Ids = Callable[[int, int], list[int]]


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits
    return found


def packed_layers(model: Any) -> list[PackedLinear]:
    return [part for part in model.modules() if isinstance(part, PackedLinear)]


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt_neox", "gpt2"])
def test_a_packed_model_gives_what_it_gave_and_unpacks_to_the_same_bits(
    name: str, source: Callable[..., Any], ids: Ids
) -> None:
    model = base(source(name)).eval()
    given, before = ids(40, 1), {key: value.clone() for key, value in model.state_dict().items()}
    plain = logits(model, given)
    assert pack(model)
    assert packed_layers(model)
    assert (logits(model, given) - plain).abs().max() <= 1e-5 * plain.abs().max()
    unpack(model)
    assert not packed_layers(model)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert torch.equal(logits(model, given), plain)


def test_a_plain_weight_is_kept_only_where_another_module_uses_it(
    source: Callable[..., Any],
) -> None:
    model = base(source("llama")).eval()
    assert pack(model)
    assert not model.lm_head.weight.is_mkldnn
    assert model.lm_head.weight is model.model.embed_tokens.weight
    inner = [layer for layer in packed_layers(model) if layer is not model.lm_head]
    assert len(inner) == 3 * 7
    assert all(layer.weight.is_mkldnn and not layer.plain.numel() for layer in inner)


def test_a_model_that_reads_a_weight_itself_stays_plain(
    source: Callable[..., Any], ids: Ids
) -> None:
    model = base(source("llama")).eval()
    mlp = model.model.layers[0].mlp
    mlp.register_forward_hook(lambda _mlp, given, _out: linear(*given, mlp.gate_proj.weight[:32]))
    plain = logits(model, ids(20, 1))
    assert not pack(model)
    assert not packed_layers(model)
    assert torch.equal(logits(model, ids(20, 1)), plain)


def test_only_float32_layers_are_packed(source: Callable[..., Any]) -> None:
    assert packed_layers(load(source("llama")).model)
    assert not packed_layers(load(source("llama", dtype="bfloat16")).model)


def test_every_product_of_a_run_is_a_packed_one(
    source: Callable[..., Any], ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = {"plain": 0, "packed": 0}

    def counted(kind: str, original: Any) -> Any:
        def forward(layer: Any, given: torch.Tensor) -> torch.Tensor:
            ran[kind] += 1
            result: torch.Tensor = original(layer, given)
            return result

        return forward

    one = replace(source("llama"), numerics="stable")
    book = Book()
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Linear, "forward", counted("plain", torch.nn.Linear.forward))
        patch.setattr(PackedLinear, "forward", counted("packed", PackedLinear.forward))
        execute(one, work(ids), [SETTING], keys(9), book.commit, book)
    layers = 3 * 7 + 1
    assert ran["plain"] == layers, "the call before packing, and nothing after it"
    assert ran["packed"] > 10 * layers
