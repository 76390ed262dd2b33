"""What is in the ids of a model and of its engine: each line of the list is edited."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evalc.plan import identity
from evalc.plan.checkpoint import read_checkpoint
from evalc.plan.digests import Digests
from tiny_models import write_adapter, write_index, write_model, write_shards

Patch = pytest.MonkeyPatch


@dataclass
class Model:
    """A model directory with an adapter and code of its own, and how it is run."""

    folder: Path
    options: dict[str, str | None] = field(
        default_factory=lambda: {"quantization": None, "dtype": "float32", "device": "cpu"}
    )
    numerics: str = "stable"

    def found(self) -> identity.Identity:
        return identity.identify(
            read_checkpoint(self.folder, None, "m"),
            adapter=self.folder / "adapter",
            trust_remote_code=True,
            numerics=self.numerics,
            digests=Digests(None),
            place=None,
            **self.options,  # type: ignore[arg-type]
        )

    def edit(self, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        path = self.folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    def flip(self, name: str) -> None:
        """Other bits at the end of a file of weights."""
        path = self.folder / name
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    folder = write_model(tmp_path / "model")
    write_adapter(folder / "adapter")
    (folder / "own.py").write_text("A = 1\n")
    return Model(folder)


def doubled(model: Model) -> None:
    """Two sets of shards of one model, and an index that names one of them."""
    shutil.copytree(model.folder, spare := model.folder.parent / "spare")
    write_shards(model.folder, ["model.norm.weight"])
    for file in write_shards(spare, ["model.norm.weight"], stem="other"):
        file.rename(model.folder / file.name)
    shutil.rmtree(spare)


def other_shards(model: Model, _: Patch) -> None:
    write_index(model.folder, sorted(model.folder.glob("other-*")))


def padded_elsewhere(model: Model, _: Patch) -> None:
    model.edit("config.json", lambda c: {**c, "pad_token_id": 7})


def ended_elsewhere(model: Model, _: Patch) -> None:
    model.edit("config.json", lambda c: {**c, "bos_token_id": 7})


MODEL: dict[str, Callable[[Model, Patch], object]] = {
    "the content of the safetensors files": lambda m, _: m.flip("model.safetensors"),
    "the names of the safetensors files": lambda m, _: write_shards(m.folder),
    "`config.json`, but for the keys in `identity.INERT`": lambda m, _: m.edit(
        "config.json", lambda c: {**c, "rope_theta": 5.0}
    ),
    "`pad_token_id`, where positions are counted from it or over it (RoBERTa, XGLM)": (
        padded_elsewhere
    ),
    "the ids of special tokens, where the model runs its own code": ended_elsewhere,
    "the adapter's configuration": lambda m, _: m.edit(
        "adapter/adapter_config.json", lambda c: {**c, "lora_alpha": 8}
    ),
    "the adapter's weights": lambda m, _: m.flip("adapter/adapter_model.safetensors"),
    "the name of a quantisation": lambda m, _: m.options.update(quantization="8bit"),
    "the names of the shards that are read, where other weights lie beside them": other_shards,
    "the `*.py` in the model's folder and below, where `trust_remote_code` is set": lambda m, _: (
        m.folder / "own.py"
    ).write_text("A = 2\n"),
}
ENGINE: dict[str, Callable[[Model, Patch], object]] = {
    "`ENGINE_VERSION`": lambda _, p: p.setattr(
        identity, "ENGINE_VERSION", identity.ENGINE_VERSION + 1
    ),
    "the dtype": lambda m, _: m.options.update(dtype="bfloat16"),
    "the attention family": lambda m, _: m.edit(
        "config.json", lambda c: {**c, "attn_logit_softcapping": 50.0}
    ),
    "the numerics class": lambda m, _: setattr(m, "numerics", "fast"),
    "the device kind": lambda m, _: m.options.update(device="cuda"),
}


@pytest.mark.parametrize("line", MODEL)
def test_what_is_in_a_models_id_changes_it(line: str, model: Model, monkeypatch: Patch) -> None:
    if MODEL[line] is other_shards:
        doubled(model)
    if MODEL[line] is padded_elsewhere:
        model.edit("config.json", lambda c: {**c, "model_type": "xglm"})
    if MODEL[line] is ended_elsewhere:
        model.edit("config.json", lambda c: {**c, "auto_map": {"AutoModelForCausalLM": "own.A"}})
    before = model.found()
    MODEL[line](model, monkeypatch)
    after = model.found()
    assert after.model_id != before.model_id
    assert after.engine_id == before.engine_id


@pytest.mark.parametrize("line", ENGINE)
def test_what_is_in_an_engines_id_changes_it(line: str, model: Model, monkeypatch: Patch) -> None:
    before = model.found()
    ENGINE[line](model, monkeypatch)
    assert model.found().engine_id != before.engine_id


@pytest.mark.parametrize("name", sorted(identity.INERT))
def test_what_the_configuration_has_without_meaning_changes_no_id(name: str, model: Model) -> None:
    before = model.found()
    model.edit("config.json", lambda config: {**config, name: "edited"})
    assert model.found() == before
