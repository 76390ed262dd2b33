"""What stands in the way of a model is said before anything runs; adapters act."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from evalc.diagnostics import Faults
from evalc.exec.layout.shapes import Shapes
from evalc.exec.model import load as models
from evalc.exec.model.load import load
from evalc.exec.passes.forward import Forward

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"


def copied(model_dir: Callable[[str], Path], folder: Path) -> Path:
    shutil.copytree(model_dir("llama"), folder)
    return folder


def codes(source: Any) -> list[str]:
    with pytest.raises(Faults) as caught:
        load(source)
    assert all(d.hint for d in caught.value.diagnostics)
    return [d.code for d in caught.value.diagnostics]


def test_a_missing_directory_is_named(source: Callable[..., Any], tmp_path: Path) -> None:
    assert codes(source(path=tmp_path / "nowhere")) == ["missing-model"]


def test_a_directory_without_config_is_refused(source: Callable[..., Any], tmp_path: Path) -> None:
    assert codes(source(path=tmp_path)) == ["missing-model"]


def test_an_unreadable_config_is_refused(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    (folder / "config.json").write_text("{")
    assert codes(source(path=folder)) == ["bad-model"]


def test_an_unknown_architecture_is_refused(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    (folder / "config.json").write_text(json.dumps({"model_type": "of-tomorrow"}))
    assert codes(source(path=folder)) == ["bad-model"]


def test_missing_weights_are_refused(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    assert codes(source(path=folder)) == ["missing-weights"]


def test_a_missing_shard_is_named(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(Faults, match=r"1 of 2 shards \(`model-2.safetensors`\)"):
        load(source(path=folder))


def test_pickled_weights_are_never_loaded(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(Faults, match="only as pickles"):
        load(source(path=folder))


def test_a_git_lfs_pointer_is_told_from_weights(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    (folder / "model.safetensors").write_text(POINTER)
    assert codes(source(path=folder)) == ["weights-lfs-pointer"]


def test_damaged_weights_are_refused(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert codes(source(path=folder)) == ["bad-model"]


def test_absent_tensors_are_not_filled_with_noise(
    source: Callable[..., Any], model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(model_dir, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 4
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(Faults, match="lack 9 tensors"):
        load(source(path=folder))


def test_quantisation_needs_its_package(source: Callable[..., Any]) -> None:
    assert codes(source(quantization="3bit")) == ["wrong-value"]
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        assert codes(source(quantization="8bit")) == ["missing-package"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_absent_device_is_named(source: Callable[..., Any]) -> None:
    assert codes(source(device="cuda")) == ["missing-device"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_asked_dtype_is_loaded(dtype: str, source: Callable[..., Any]) -> None:
    model = load(source(dtype=dtype)).model
    assert next(model.parameters()).dtype == getattr(torch, dtype)
    assert not model.training


@pytest.fixture
def adapter(model_dir: Callable[[str], Path], tmp_path: Path) -> Path:
    """A LoRA adapter of random weights for the tiny llama."""
    torch.manual_seed(3)
    base = AutoModelForCausalLM.from_pretrained(model_dir("llama"))
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    wrapped = peft.get_peft_model(base, config)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    wrapped.save_pretrained(tmp_path / "lora")
    return tmp_path / "lora"


def test_an_adapter_changes_the_model_as_merging_it_would(
    source: Callable[..., Any], model_dir: Callable[[str], Path], adapter: Path
) -> None:
    ids = np.arange(5, 30)
    with torch.inference_mode():
        plain = Forward(load(source()), Shapes.of("cpu", "fast")).plain_logits(ids)
        adapted = Forward(load(source(adapter=adapter)), Shapes.of("cpu", "fast"))
        found = adapted.plain_logits(ids)
        assert adapted.heads_agree(ids)
    base = AutoModelForCausalLM.from_pretrained(model_dir("llama"))
    merged = peft.PeftModel.from_pretrained(base, str(adapter)).merge_and_unload().eval()
    with torch.inference_mode():
        expected = merged(torch.from_numpy(ids)[None]).logits[0]
    assert (plain - found).abs().max() > 0.1
    assert torch.allclose(found, expected, atol=1e-4)


def test_an_adapter_has_to_be_safetensors(source: Callable[..., Any], adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    assert codes(source(adapter=adapter)) == ["bad-adapter"]


def test_a_directory_that_is_no_adapter_is_refused(
    source: Callable[..., Any], tmp_path: Path
) -> None:
    assert codes(source(adapter=tmp_path)) == ["bad-adapter"]


def test_an_adapter_without_all_its_tensors_is_refused(
    source: Callable[..., Any], adapter: Path
) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, adapter / "adapter_model.safetensors")
    assert codes(source(adapter=adapter)) == ["bad-adapter"]


def test_an_adapter_of_another_model_is_refused(source: Callable[..., Any], adapter: Path) -> None:
    assert codes(source("gpt2", adapter=adapter)) == ["bad-adapter"]


def test_stable_numerics_on_a_gpu_need_programs_that_run(
    source: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(models, "triton_fault", lambda: "there is no C compiler")
    with pytest.raises(Faults) as caught:
        load(source(device="cuda", numerics="stable"))
    (found,) = caught.value.diagnostics
    assert found.code == "missing-package" and "no C compiler" in found.message
    assert found.hint is not None and '"fast"' in found.hint
