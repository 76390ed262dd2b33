"""`evalc.lock` follows the Hub once, and never again without being told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub_content import CONVERSION, forget, lock, parquet, remote_spec, tree
from hub_server import HubServer, Repository

from tiny_models import write_adapter
from workspaces import Workspace, quiz_rows


def test_the_first_plan_locks_what_it_takes_from_the_hub(
    remote: Workspace, hub: HubServer, model: Repository, dataset: Repository
) -> None:
    done = remote.run("plan", "--json")
    assert done.code == 0, done.text
    assert "locked `hf:acme/tiny` at" in done.err
    assert "5 rows" in done.err
    assert done.json["total"]["cases"] == 5
    found = lock(remote)
    [of_model], [of_data] = found["models"], found["datasets"]
    assert of_model["commit"] == model.references["main"]
    assert [file["path"] for file in of_model["files"]] == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert of_data["commit"] == dataset.references[CONVERSION]
    assert of_data["rows"] == 5
    assert not [asked for asked in hub.requests if ".bin" in asked or "onnx" in asked]


def test_a_model_from_the_hub_is_the_same_model_as_in_a_plain_directory(
    remote: Workspace,
) -> None:
    there = remote.run("plan", "--json").json["models"][0]
    here = remote.run("plan", "--json", "--set", f"models.m.path={remote.model}").json["models"][0]
    assert there["model_id"] == here["model_id"]
    assert there["path"] != here["path"]


def test_a_locked_plan_asks_the_hub_nothing(remote: Workspace, hub: HubServer) -> None:
    assert remote.run("plan").code == 0
    before = (remote.specs / "evalc.lock").read_bytes()
    hub.requests.clear()
    done = remote.run("plan", "--json")
    assert done.code == 0, done.text
    assert done.err == ""
    assert hub.requests == []
    assert (remote.specs / "evalc.lock").read_bytes() == before


def test_a_revision_that_moves_is_not_followed(
    remote: Workspace, hub: HubServer, model: Repository, dataset: Repository, other: dict[str, Any]
) -> None:
    first = remote.run("plan", "--json").json
    locked = lock(remote)
    model.push(other)
    dataset.push({"default/test/0000.parquet": parquet(quiz_rows(9))}, CONVERSION)
    then = remote.run("plan", "--json").json
    assert then["models"] == first["models"]
    assert then["total"]["cases"] == 5
    assert lock(remote) == locked


def test_lock_check_tells_what_moved_and_writes_nothing(
    remote: Workspace, model: Repository, dataset: Repository, other: dict[str, Any]
) -> None:
    unlocked = remote.run("lock", "--check")
    assert unlocked.code == 1
    assert unlocked.err.count("is not locked") == 2
    assert not (remote.specs / "evalc.lock").exists()
    assert remote.run("lock").code == 0
    same = remote.run("lock", "--check")
    assert (same.code, same.err) == (0, "the lock is as the Hub is now\n")
    locked = lock(remote)
    now = model.push(other)
    moved = remote.run("lock", "--check")
    assert moved.code == 1
    was = locked["models"][0]["commit"]
    assert f"`hf:acme/tiny` is at `{now[:12]}` now, and locked at `{was[:12]}`" in moved.err
    assert "acme/quiz" not in moved.err
    assert lock(remote) == locked


def test_upgrade_moves_one_name_and_leaves_the_others(
    remote: Workspace, model: Repository, dataset: Repository, other: dict[str, Any]
) -> None:
    before = remote.run("plan", "--json").json
    old = lock(remote)
    now = model.push(other)
    dataset.push({"default/test/0000.parquet": parquet(quiz_rows(9))}, CONVERSION)
    done = remote.run("lock", "--upgrade", "m")
    assert done.code == 0, done.text
    assert "moved `hf:acme/tiny`" in done.err
    new = lock(remote)
    assert new["models"][0]["commit"] == now
    assert new["datasets"] == old["datasets"]
    after = remote.run("plan", "--json").json
    assert after["models"][0]["model_id"] != before["models"][0]["model_id"]
    assert remote.run("lock", "--upgrade", "*").code == 0
    assert lock(remote)["datasets"][0]["rows"] == 9


def test_upgrade_of_an_unknown_name_says_which_there_are(remote: Workspace) -> None:
    done = remote.run("lock", "--upgrade", "base")
    assert done.code != 0
    assert "[unknown-remote]" in done.err
    assert "`base` names no model or dataset" in done.err
    assert "these do: `m`, `quiz`" in done.err
    assert not (remote.specs / "evalc.lock").exists()


def test_another_machine_gets_the_locked_content_after_the_revision_moved(
    remote: Workspace, model: Repository, dataset: Repository, other: dict[str, Any]
) -> None:
    first = remote.run("plan", "--json").json
    model.push(other)
    dataset.push({"default/test/0000.parquet": parquet(quiz_rows(9))}, CONVERSION)
    forget(remote)
    again = remote.run("plan", "--json")
    assert again.code == 0, again.text
    assert again.json["models"][0]["model_id"] == first["models"][0]["model_id"]
    assert again.json["total"]["cases"] == 5


def test_a_locked_commit_that_is_gone_fails(
    remote: Workspace, model: Repository, other: dict[str, Any]
) -> None:
    assert remote.run("plan").code == 0
    del model.commits[model.references["main"]]
    model.push(other)
    forget(remote)
    done = remote.run("plan")
    assert done.code != 0
    assert "hub-missing" in done.err
    assert "has no revision" in done.err
    assert "Traceback" not in done.err


def test_offline_works_once_locked_and_cached(
    remote: Workspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote.run("lock").code == 0
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    planned = remote.run("plan", "--json")
    assert planned.code == 0, planned.text
    done = remote.run("exec", "--json")
    assert done.code == 0, done.text
    assert hub.requests == []


def test_running_a_locked_model_asks_the_hub_nothing(remote: Workspace, hub: HubServer) -> None:
    assert remote.run("lock").code == 0
    hub.requests.clear()
    done = remote.run("exec", "--json")
    assert done.code == 0, done.text
    assert hub.requests == []


def test_offline_without_a_lock_says_what_to_do(
    remote: Workspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = remote.run("plan")
    assert done.code != 0
    assert done.err.count("hub-offline") == 2
    assert "run `evalc lock` once with a network" in done.err
    assert hub.requests == []


def test_check_reads_remote_data_and_locks_nothing(remote: Workspace) -> None:
    done = remote.run("check")
    assert done.code == 0, done.text
    assert not (remote.specs / "evalc.lock").exists()


def test_lock_drops_what_no_spec_names_any_more(remote: Workspace) -> None:
    assert remote.run("lock").code == 0
    remote_spec(remote, "hf:acme/quiz/default/dev")
    done = remote.run("lock")
    assert "locked `hf:acme/quiz/default/dev`" in done.err
    assert "dropped `hf:acme/quiz/default/test`" in done.err
    assert [entry["address"] for entry in lock(remote)["datasets"]] == ["hf:acme/quiz/default/dev"]


def test_lock_of_one_file_keeps_what_its_neighbours_name(remote: Workspace) -> None:
    assert remote.run("lock").code == 0
    alone = remote.write(f'[models.m]\npath = "{remote.model}"\n', header=False, name="alone.toml")
    assert remote.run("lock", alone).code == 0
    assert len(lock(remote)["datasets"]) == 1
    assert len(lock(remote)["models"]) == 1


def test_an_adapter_from_the_hub_is_locked_too(
    remote: Workspace, hub: HubServer, tmp_path: Path
) -> None:
    hub.repository("model", "acme/lora").push(tree(write_adapter(tmp_path / "lora")))
    plain = remote.run("plan", "--json").json["models"][0]["model_id"]
    done = remote.run("plan", "--json", "--set", "models.m.adapter=hf:acme/lora")
    assert done.code == 0, done.text
    assert done.json["models"][0]["model_id"] != plain
    assert "hf:acme/lora" in [entry["address"] for entry in lock(remote)["models"]]


def test_a_commit_as_revision_never_moves(
    workspace: Workspace,
    model: Repository,
    dataset: Repository,
    other: dict[str, Any],
    hub: HubServer,
) -> None:
    commit = model.references["main"]
    workspace.write(f'[models.m]\npath = "hf:acme/tiny@{commit}"\n', header=False)
    assert workspace.run("lock").code == 0
    model.push(other)
    hub.requests.clear()
    assert workspace.run("lock", "--check").code == 0
    assert hub.requests == []


def test_a_plan_without_remote_paths_never_imports_the_hubs_library(workspace: Workspace) -> None:
    workspace.quiz()
    script = (
        "import sys\nfrom evalc.cli import main\n"
        "try:\n    main(['plan'])\nfinally:\n"
        "    print('huggingface_hub' in sys.modules, 'evalc.plan.hub' in sys.modules)\n"
    )
    done = workspace.python(script)
    assert done.out.splitlines()[-1] == "False True", done.text
