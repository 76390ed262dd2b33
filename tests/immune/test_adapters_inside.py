"""An adapter in the model's own folder, which transformers applies without being asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from ledger import asked, command, in_order, plan
from transformers import AutoModelForCausalLM

from evalc.exec.model.bases import Bases
from evalc.plan.sources import ModelSource
from evalc.store.records import decode_likelihoods
from tiny_adapters import ADAPTERS
from tiny_models import write_adapter, write_model
from workspaces import QUIZ, Workspace


def edited(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


EDITS: dict[str, Callable[[Path], object]] = {
    "lora_alpha": lambda folder: edited(folder / "adapter_config.json", lora_alpha=64),
    "r": lambda folder: edited(folder / "adapter_config.json", r=3),
    "modules": lambda folder: edited(folder / "adapter_config.json", target_modules=["k_proj"]),
    "weights": lambda folder: write_adapter(folder, seed=9),
    "gone": lambda folder: (folder / "adapter_config.json").unlink(),
}


@pytest.fixture
def inner(workspace: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose model's folder holds an adapter."""
    folder = shutil.copytree(workspace.model, tmp_path / "inner")
    write_adapter(folder)
    other = Workspace(workspace.root, folder)
    other.quiz()
    yield other


@pytest.mark.parametrize("what", EDITS)
def test_an_adapter_in_the_models_folder_is_in_the_key(inner: Workspace, what: str) -> None:
    """I28: transformers applies it, so what it is decides which answers are served."""
    with inner.store():
        pass
    before = plan(inner)["models"][0]
    assert asked(inner) == 24
    EDITS[what](inner.model)
    after = plan(inner)
    assert after["total"]["cached"] == 0
    assert after["models"][0]["model_id"] != before["model_id"]


def test_an_adapter_in_the_models_folder_acts_as_the_same_beside_it(inner: Workspace) -> None:
    """I28: applied once, with the numbers that plain transformers gives."""
    beside = shutil.copytree(inner.model, inner.root / "beside")
    adapter = inner.root / "lora"
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (beside / name).rename(adapter / name)
    tables = [("beside", beside, f'adapter = "{adapter}"\n'), ("bare", beside, "")]
    inner.write(QUIZ, *(f'[models.{n}]\npath = "{p}"\n{more}' for n, p, more in tables))
    assert asked(inner) == 3 * 24
    mine, same, bare = (
        decode_likelihoods(in_order(inner, name, "quiz"))[0] for name in ("m", "beside", "bare")
    )
    assert np.array_equal(mine, same)
    assert abs(mine - bare).max() > 0.1


def test_plan_and_doctor_name_an_adapter_in_the_models_folder(inner: Workspace) -> None:
    """I28: nobody has to guess that it acts."""
    for name in ("plan", "doctor"):
        said = command(inner, name, "specs")
        assert said.code == 0, said.text
        assert "with the adapter in its folder" in said.out


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_in_the_models_folder_gives_what_peft_gives(kind: str, tmp_path: Path) -> None:
    """I28: put into the model once, whole.

    transformers, which does it unasked, leaves DoRA's magnitudes out and does not know VeRA.
    """
    base = write_model(tmp_path / "base")
    folder = shutil.copytree(base, tmp_path / "m")
    ADAPTERS[kind](folder, folder)
    ids = torch.arange(5, 45)[None]
    bare = AutoModelForCausalLM.from_pretrained(base)
    plain = peft.PeftModel.from_pretrained(bare, str(folder)).eval()
    source = ModelSource("m", folder, "float32", "cpu", folder, None, False, 64, "stable")
    with torch.inference_mode(), Bases([source]).lent(source) as mine:
        assert torch.allclose(mine.model(ids).logits, plain(ids).logits, atol=1e-5)


def test_a_base_under_an_adapter_in_its_folder_has_all_its_tensors(inner: Workspace) -> None:
    """I28: transformers tells of the adapter's absent tensors alone, and fills the base's."""
    edited(inner.model / "config.json", num_hidden_layers=3)
    done = command(inner, "exec", "specs")
    assert done.code == 2, done.text
    assert "lack 9 tensors" in done.err


def test_a_second_adapter_on_top_of_one_in_the_folder_is_refused(inner: Workspace) -> None:
    """I28: transformers and peft would put both in."""
    other = write_adapter(inner.root / "lora", seed=9)
    inner.write(f'adapter = "{other}"\n', QUIZ)
    done = command(inner, "plan", "specs")
    assert done.code == 2, done.text
    assert "[bad-adapter]" in done.err and "holds one already" in done.err


def test_a_pickled_adapter_in_the_models_folder_is_refused(inner: Workspace) -> None:
    """I28: transformers would take it from the pickle."""
    (inner.model / "adapter_model.safetensors").rename(inner.model / "adapter_model.bin")
    done = command(inner, "plan", "specs")
    assert done.code == 2, done.text
    assert "[bad-adapter]" in done.err and "pickle" in done.err
