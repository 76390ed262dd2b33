"""Models of one base take turns on one load of it, and each finds it as it was loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evalc.diagnostics import Faults
from evalc.exec.model.bases import Bases
from evalc.exec.model.load import base, load
from evalc.exec.model.untouched import Untouched
from evalc.plan.sources import in_turn
from tiny_models import write_adapter, write_model


@pytest.fixture
def family(source: Callable[..., Any], tmp_path: Path) -> list[Any]:
    """A base and two adapters of it."""
    base = source("base", path=write_model(tmp_path / "base"))
    tuned = [write_adapter(tmp_path / f"lora-{n}", seed=n) for n in (3, 9)]
    return [base, *(replace(base, name=path.name, adapter=path) for path in tuned)]


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(5, 30)[None]).logits


def test_each_model_of_a_base_is_as_when_it_is_loaded_alone(family: list[Any]) -> None:
    plain, one, two = family
    alone = {each.name: logits(load(each).model) for each in family}
    assert not torch.equal(alone[one.name], alone[two.name])
    turns = [one, plain, two, one, plain]
    bases, lent = Bases(turns), []
    for each in turns:
        with bases.lent(each) as found:
            lent.append(found.model)
            assert found.source == each
            assert torch.equal(logits(found.model), alone[each.name])
    assert len({id(model) for model in lent}) == 1


def test_a_base_is_let_go_of_when_nobody_else_wants_it(family: list[Any]) -> None:
    plain, one, _ = family
    bases = Bases([plain, one])
    with bases.lent(plain):
        assert bases._held is not None
    assert bases._held is not None
    with bases.lent(one):
        assert bases._held is None


def test_an_adapter_that_does_not_load_leaves_the_base_as_it_was(
    family: list[Any], tmp_path: Path
) -> None:
    plain, one, _ = family
    narrow = write_adapter(tmp_path / "narrow", seed=1)
    (narrow / "adapter_model.safetensors").write_bytes(b"no tensors")
    broken = replace(plain, name="broken", adapter=narrow)
    bases = Bases([broken, one, plain])
    with pytest.raises(Faults), bases.lent(broken):
        pass
    for each in (one, plain):
        with bases.lent(each) as found:
            assert torch.equal(logits(found.model), logits(load(each).model))


def test_a_changed_bit_or_configuration_is_noticed(family: list[Any]) -> None:
    model = base(family[0])
    weight = model.model.layers[1].mlp.up_proj.weight
    before = Untouched(model)
    assert before.put_back()
    with torch.no_grad():
        weight.view(torch.int32)[3, 2] ^= 1
    assert not before.put_back()
    with torch.no_grad():
        weight.view(torch.int32)[3, 2] ^= 1
    assert before.put_back()
    model.config.rms_norm_eps = 0.5
    assert not before.put_back()


def test_hooks_and_attributes_go_when_a_model_is_put_back(family: list[Any]) -> None:
    model = base(family[0]).eval()
    before, plain = Untouched(model), logits(model)
    model.lm_head.register_forward_hook(lambda _m, _i, out: out + 1)
    model.model.norm = torch.nn.Identity()
    model.remark = "attached"
    assert not torch.equal(logits(model), plain)
    assert before.put_back()
    assert torch.equal(logits(model), plain)
    assert not hasattr(model, "remark")


def test_models_of_one_load_follow_each_other_and_the_base_comes_first(
    source: Callable[..., Any], tmp_path: Path
) -> None:
    def model(name: str, base: str, **changes: Any) -> Any:
        return source(path=tmp_path / name, name=name, base=base, **changes)

    tuned = model("b", "one", adapter=tmp_path)
    sources = [model("a", "two"), tuned, model("c", "two"), model("d", "one"),
               model("e", "one", dtype="bfloat16"), replace(tuned, name="f")]  # fmt: skip
    assert [sources[at].name for at in in_turn(sources)] == ["a", "c", "d", "b", "f", "e"]
