"""`evalc doctor`: the way a model takes, why, and what stands in the way of others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from evalc import env
from evalc.exec import doctor
from evalc.exec.passes.forward import Forward
from evalc.run.backends import PACK_REQUESTS, PACK_TOKENS
from tiny_models import write_adapter, write_model
from workspaces import QUIZ, Workspace, quiz_rows


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost a tiny model more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def specs(workspace: Workspace, **models: Path | tuple[Path, Path]) -> Workspace:
    """A quiz for some models, or bases with adapters, besides `m`."""
    lines = []
    for name, found in models.items():
        path, adapter = found if isinstance(found, tuple) else (found, None)
        lines += [f"[models.{name}]", f"path = {json.dumps(str(path))}"]
        lines += [f"adapter = {json.dumps(str(adapter))}"] if adapter else []
    workspace.write(QUIZ, "\n".join(lines) + "\n")
    workspace.rows("quiz.jsonl", quiz_rows(3))
    return workspace


def examined(workspace: Workspace, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = workspace.call("doctor", "specs", "--json", *arguments)
    assert done.err == ""
    return done.code, done.json


def test_a_model_that_runs_is_told_with_its_path_its_checks_and_its_budget(
    workspace: Workspace,
) -> None:
    code, found = examined(specs(workspace))
    assert (code, found["schema"], found["sound"]) == (0, "evalc.doctor/1", True)
    assert found["diagnostics"] == []
    (model,) = found["models"]
    assert (model["name"], model["path"], model["generation"]) == ("m", "tree", "slots")
    assert model["reason"] == "every layer attends fully"
    (trial,) = model["check"]["trials"]
    assert 0 <= max(trial["scores"], trial["drafts"]) <= model["check"]["allowed"] == 1e-3
    assert model["check"]["rows"] == 4
    assert (model["bits"]["alone"], model["bits"]["held"]) == (True, True)
    assert set(model["bits"]["tiles"]) <= {128, 64, 32, 24, 16, 8}
    budget = model["budget"]
    assert (budget["pass_tokens"], budget["longest"]) == (model["shapes"]["tile"], 256)
    assert 1 <= budget["slots"] <= model["shapes"]["decode"]
    assert model["memory"]["free"] > 0
    assert model["pack"] == {"tokens": PACK_TOKENS["cpu"], "requests": PACK_REQUESTS["cpu"]}


def test_the_machine_is_told_with_its_devices_packages_and_cache(workspace: Workspace) -> None:
    _, found = examined(specs(workspace))
    machine = found["machine"]
    assert machine["packages"]["torch"] == torch.__version__.partition("+")[0]
    cpu = machine["devices"][0]
    assert (cpu["device"], cpu["threads"]) == ("cpu", torch.get_num_threads())
    assert "float32" in cpu["dtypes"]
    assert machine["hardware"]["cpu"] == env.hardware("cpu")
    assert machine["cache"]["usable"]
    assert machine["cache"]["directory"] == str(workspace.cache)


def test_nothing_is_asked_or_recorded(workspace: Workspace) -> None:
    examined(specs(workspace))
    assert workspace.untouched()


def test_what_an_architecture_rules_out_is_said(workspace: Workspace, tmp_path: Path) -> None:
    mistral = {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
    sliding = write_model(tmp_path / "sliding", sliding_window=8, **mistral)
    scaling = {"rope_type": "dynamic", "factor": 2.0}
    dynamic = write_model(tmp_path / "dynamic", rope_scaling=scaling)
    code, found = examined(specs(workspace, sliding=sliding, dynamic=dynamic))
    assert code == 0
    ways = {model["name"]: (model["path"], model["generation"]) for model in found["models"]}
    assert ways == {
        "m": ("tree", "slots"),
        "sliding": ("padded", "lockstep"),
        "dynamic": ("uniform", "lockstep"),
    }
    reasons = {model["name"]: model["reason"] for model in found["models"]}
    assert "Sliding" in reasons["sliding"]
    assert "rotary" in reasons["dynamic"]
    text = workspace.call("doctor", "specs").out
    for words in ("packed prefix tree", "padded rows", "rows of one length"):
        assert words in text


def test_broken_models_are_diagnosed_and_the_others_still_examined(
    workspace: Workspace, tmp_path: Path
) -> None:
    short = shutil.copytree(workspace.model, tmp_path / "short")
    weights = short / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    deep = shutil.copytree(workspace.model, tmp_path / "deep")
    config = json.loads((deep / "config.json").read_text())
    (deep / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 5}))
    empty = write_adapter(tmp_path / "empty")
    (empty / "adapter_model.safetensors").write_bytes(b"")
    tuned = (workspace.model, write_adapter(tmp_path / "lora"))
    models = {"absent": tmp_path / "nowhere", "short": short, "deep": deep}
    specs(workspace, **models, empty=(workspace.model, empty), tuned=tuned)
    code, found = examined(workspace)
    assert (code, found["sound"]) == (1, False)
    sound = {model["name"]: model["sound"] for model in found["models"]}
    assert sound == {
        "m": True, "tuned": True, "absent": False, "short": False, "deep": False, "empty": False,
    }  # fmt: skip
    codes = {m["name"]: m["diagnostics"][0]["code"] for m in found["models"] if not m["sound"]}
    assert codes == {
        "absent": "missing-model",
        "short": "bad-model",
        "deep": "bad-model",
        "empty": "bad-adapter",
    }
    done = workspace.call("doctor", "specs")
    assert done.code == 1
    assert done.out.count("cannot be run") == 4
    assert done.err.count("error[") == 4
    assert "Traceback" not in done.text


def test_a_model_that_fails_its_self_check_cannot_be_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_self: Any, _picked: Any, _index: Any, tokens: Any) -> Any:
        return torch.full((2, len(tokens)), -1.0)

    monkeypatch.setattr(Forward, "scores", wrong)
    code, found = examined(specs(workspace))
    assert code == 1
    assert [each["code"] for each in found["diagnostics"]] == ["self-check-failed"]


def test_an_error_of_the_models_own_code_is_a_diagnostic(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ready", lambda *_: {}["no such layer"])
    code, found = examined(specs(workspace))
    assert code == 1
    (each,) = found["diagnostics"]
    assert each["code"] == "bad-model"
    assert "KeyError: there is no 'no such layer'" in each["message"]


def test_weights_that_do_not_fit_are_not_loaded(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "free_memory", lambda: (1000, "a test"))
    code, found = examined(specs(workspace))
    assert code == 1
    (each,) = found["diagnostics"]
    assert each["code"] == "out-of-memory"
    assert "1,000 are free" in each["message"]


def test_less_free_memory_gives_a_smaller_budget(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs(workspace)
    budgets = []
    for free in (8 << 20, 8 << 30):
        monkeypatch.setattr(env, "free_memory", lambda free=free: (free, "a test"))
        _, found = examined(workspace)
        budgets.append(found["models"][0]["budget"])
    assert budgets[0]["slots"] < budgets[1]["slots"] == 32
    assert budgets[0]["kept_tokens"] < budgets[1]["kept_tokens"]


def test_without_a_spec_only_the_machine_is_told(workspace: Workspace) -> None:
    done = workspace.call("doctor")
    assert (done.code, done.err) == (0, "")
    assert "torch" in done.out
    assert workspace.call("doctor", "nowhere").code == 2


def test_a_spec_without_a_task_is_enough(workspace: Workspace) -> None:
    workspace.write()
    code, found = examined(workspace)
    assert (code, [model["name"] for model in found["models"]]) == (0, ["m"])
