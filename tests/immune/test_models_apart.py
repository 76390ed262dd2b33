"""Answers belong to the weights that gave them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger import (
    CLOSE,
    asked,
    fresh,
    generations,
    in_order,
    likelihoods,
    plan,
    remaining,
    to_run,
)
from safetensors.numpy import load_file, save_file

from evalc.exec.model import bases
from evalc.plan.sources import ModelSource
from evalc.store.records import decode_likelihoods
from tiny_models import LAYERS, write_adapter, write_model
from workspaces import QUIZ, SUMS, Workspace, quiz_rows

REQUESTS = 24 + 6


def entry(name: str, path: Path, adapter: Path | None = None) -> str:
    """A table of a model."""
    lines = [f"[models.{name}]", f"path = {json.dumps(str(path))}"]
    if adapter is not None:
        lines.append(f"adapter = {json.dumps(str(adapter))}")
    return "\n".join(lines) + "\n"


def test_two_models_share_no_answer(workspace: Workspace) -> None:
    """I1, lm-eval #4063: its cache gave the first model's answers to the second."""
    workspace.both()
    assert asked(workspace) == REQUESTS
    other = write_model(workspace.root / "other", seed=8)
    workspace.write(QUIZ, SUMS, entry("other", other))
    found = plan(workspace)
    assert {c["model"]: c["cached"] for c in found["cells"] if c["task"] == "quiz"} == {
        "m": 24,
        "other": 0,
    }
    assert asked(workspace) == REQUESTS
    assert in_order(workspace, "m", "quiz") != in_order(workspace, "other", "quiz")
    assert not {*in_order(workspace, "m", "quiz")} & {*in_order(workspace, "other", "quiz")}


def test_a_second_name_for_the_same_weights_asks_nothing(workspace: Workspace) -> None:
    """I1, the other side of lm-eval #4063: what the model is called is no part of it."""
    workspace.both()
    assert asked(workspace) == REQUESTS
    copy = shutil.copytree(workspace.model, workspace.root / "copy")
    workspace.write(QUIZ, SUMS, entry("copy", copy))
    assert asked(workspace) == 0


def test_retrained_weights_at_the_same_path_miss_everything(
    workspace: Workspace, tmp_path: Path
) -> None:
    """I2, lighteval #1364: weights retrained in place, their size and date as before."""
    mine = Workspace(workspace.root, shutil.copytree(workspace.model, tmp_path / "mine"))
    mine.both()
    assert asked(mine) == REQUESTS
    before = mine.records()
    file = mine.model / "model.safetensors"
    state = file.stat()
    write_model(mine.model, seed=8)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    now = file.stat()
    assert (now.st_size, now.st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert plan(mine)["total"]["cached"] == 0
    assert asked(mine) == REQUESTS
    assert len(mine.records()) == 2 * len(before)


def test_the_weights_of_before_find_their_answers_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    """I2, lighteval #1364: going back to an old checkpoint costs nothing."""
    mine = Workspace(workspace.root, shutil.copytree(workspace.model, tmp_path / "mine"))
    mine.quiz()
    assert asked(mine) == 24
    kept = shutil.copy(mine.model / "model.safetensors", tmp_path / "kept")
    write_model(mine.model, seed=8)
    assert asked(mine) == 24
    shutil.copy(kept, mine.model / "model.safetensors")
    assert asked(mine) == 0


def merged(base: Path, adapter: Path, folder: Path) -> Path:
    """The base model with a LoRA adapter of `write_adapter` added into its weights."""
    shutil.copytree(base, folder)
    weights, lora = (
        load_file(base / "model.safetensors"),
        load_file(adapter / "adapter_model.safetensors"),
    )
    fields = json.loads((adapter / "adapter_config.json").read_text())
    scale = np.float32(fields["lora_alpha"] / fields["r"])
    for layer in range(LAYERS):
        at = f"model.layers.{layer}.self_attn.q_proj"
        a, b = (lora[f"base_model.model.{at}.lora_{side}.weight"] for side in "AB")
        weights[f"{at}.weight"] = weights[f"{at}.weight"] + scale * (b @ a)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_two_adapters_on_one_base_answer_as_two_merged_models(workspace: Workspace) -> None:
    """I23: two LoRA adapters in one run, each as when it is merged and run alone.

    Adapters of other harnesses leak into each other when one base is kept loaded.
    """
    workspace.both()
    adapters = {n: write_adapter(workspace.root / f"lora-{n}", seed=n) for n in (3, 9)}
    names = [entry(f"tuned{n}", workspace.model, path) for n, path in adapters.items()]
    workspace.write(QUIZ, SUMS, *names)
    assert asked(workspace) == 3 * REQUESTS
    alone = [
        entry(f"merged{n}", merged(workspace.model, path, workspace.root / f"merged-{n}"))
        for n, path in adapters.items()
    ]
    workspace.write(QUIZ, SUMS, *names, *alone)
    assert asked(workspace) == 2 * REQUESTS
    for n in adapters:
        tuned, whole = (
            decode_likelihoods(in_order(workspace, f"{how}{n}", "quiz"))[0]
            for how in ("tuned", "merged")
        )
        assert tuned == pytest.approx(whole, abs=CLOSE)
        texts = (in_order(workspace, f"{how}{n}", "sums") for how in ("tuned", "merged"))
        assert next(texts) == next(texts)
    of_adapter = decode_likelihoods(in_order(workspace, "tuned3", "quiz"))[0]
    for other in ("tuned9", "m"):
        differing = decode_likelihoods(in_order(workspace, other, "quiz"))[0]
        assert np.abs(of_adapter - differing).max() > 100 * CLOSE


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models for which a base was loaded, in order."""
    named: list[str] = []
    original = bases.base

    def counted(source: ModelSource) -> Any:
        named.append(source.name)
        return original(source)

    monkeypatch.setattr(bases, "base", counted)
    return named


def test_adapters_of_one_base_share_a_load_and_answer_as_alone(
    workspace: Workspace, loads: list[str]
) -> None:
    """I23: one load of the base for itself and both adapters, and every bit as when run alone."""
    workspace.both()
    adapters = {f"tuned{n}": write_adapter(workspace.root / f"lora-{n}", seed=n) for n in (3, 9)}
    other = write_model(workspace.root / "other", seed=8)
    entries = [entry(name, workspace.model, path) for name, path in adapters.items()]
    # by name, another model and one adapter come before the base, the other adapter after it
    entries += [entry("another", other), entry("a", workspace.model, adapters["tuned3"])]
    workspace.write(QUIZ, SUMS, *entries)
    assert to_run(workspace) == 4 * REQUESTS
    assert asked(workspace) == 4 * REQUESTS
    assert loads == ["m", "another"]
    for name in ("m", "another", *adapters):
        alone = fresh(workspace, f"only-{name}")
        assert asked(alone, "--model", name) == REQUESTS
        assert loads[-1] == name
        for task in ("quiz", "sums"):
            assert in_order(alone, name, task) == in_order(workspace, name, task)


def test_what_writes_into_the_weights_of_a_base_costs_a_load_and_no_answer(
    workspace: Workspace, loads: list[str]
) -> None:
    """I23: an adapter with biases of its own overwrites those of the base that it is put on."""
    biased = write_model(workspace.root / "biased", seed=5, attention_bias=True)
    adapters = {n: write_adapter(workspace.root / f"lora-{n}", seed=n, bias="all") for n in (3, 9)}
    workspace.write(QUIZ, entry("tuned9", biased, adapters[9]), entry("base", biased),
                    entry("tuned3", biased, adapters[3]))  # fmt: skip
    workspace.rows("quiz.jsonl", quiz_rows(6))
    names = ("base", "tuned3", "tuned9")
    chosen = [part for name in names for part in ("--model", name)]
    assert asked(workspace, *chosen) == 3 * 24
    assert loads == ["base", "tuned9"]
    for name in names:
        alone = fresh(workspace, f"only-{name}")
        assert asked(alone, "--model", name) == 24
        assert in_order(alone, name, "quiz") == in_order(workspace, name, "quiz")


def test_a_retrained_adapter_runs_again_and_its_base_does_not(workspace: Workspace) -> None:
    """I4, lm-eval #4105: the adapter's content is part of the model, its base's answers stay."""
    workspace.both()
    adapter = write_adapter(workspace.root / "lora")
    workspace.write(QUIZ, SUMS, entry("tuned", workspace.model, adapter))
    assert asked(workspace) == 2 * REQUESTS
    write_adapter(workspace.root / "lora", seed=4)
    assert remaining(workspace) == {("tuned", "quiz"): 24, ("tuned", "sums"): 6}
    assert asked(workspace) == REQUESTS
    assert (len(likelihoods(workspace)), len(generations(workspace))) == (3 * 24, 3 * 6)
    assert to_run(workspace) == 0
