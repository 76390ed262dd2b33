"""What cannot be had, or is not what is pinned, ends in a diagnostic and never in other content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hub_content import CONVERSION, lock, parquet, remote_spec
from hub_server import HubServer, Repository

from workspaces import Done, Workspace, quiz_rows


def refused(done: Done, code: str) -> str:
    """What was said by a command that ended in a diagnostic of this code."""
    assert done.code not in (0, 6), done.text
    assert f"[{code}]" in done.err, done.text
    for word in ("Traceback", "internal error"):
        assert word not in done.err
    return done.err


def blob(workspace: Workspace, name: str) -> Path:
    """The content of a file in the Hugging Face cache."""
    [link] = (workspace.root / "hf").rglob(name)
    return link.resolve()


def flip(path: Path) -> None:
    """Change the last byte of a file in place; the size stays."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_partial_conversion_is_refused(remote: Workspace, dataset: Repository) -> None:
    rows = quiz_rows(3)
    dataset.push({"default/partial-test/0000.parquet": parquet(rows)}, CONVERSION)
    said = refused(remote.run("plan"), "partial-conversion")
    assert "holds only part of its rows" in said
    assert not (remote.specs / "evalc.lock").exists()


def test_weights_changed_in_the_cache_are_noticed(remote: Workspace) -> None:
    assert remote.run("plan").code == 0
    weights = blob(remote, "model.safetensors")
    flip(weights)
    for command in ("plan", "exec"):
        said = refused(remote.run(command), "content-differs")
        assert "`model.safetensors` of `hf:acme/tiny` is not what `evalc.lock` pins" in said
    weights.unlink()
    done = remote.run("plan")
    assert done.code == 0, "a deleted file is downloaded again"


def test_a_lock_with_another_digest_is_not_followed(remote: Workspace) -> None:
    assert remote.run("plan").code == 0
    path = remote.specs / "evalc.lock"
    [wanted] = [f for f in lock(remote)["models"][0]["files"] if f["path"] == "config.json"]
    path.write_text(path.read_text().replace(wanted["blake3"], "0" * 64))
    assert "`config.json`" in refused(remote.run("plan"), "content-differs")


def test_ingested_rows_changed_in_the_cache_are_ingested_again(
    remote: Workspace, hub: HubServer
) -> None:
    first = remote.run("plan", "--json").json
    [snapshot] = (remote.cache / "snapshots").glob("hub.*.jsonl")
    snapshot.write_text(snapshot.read_text().replace("Q 0", "Q 9"))
    hub.requests.clear()
    done = remote.run("plan", "--json")
    assert done.code == 0, done.text
    assert "Q 0" in snapshot.read_text()
    assert done.json["total"] == first["total"]
    assert hub.requests == []


def test_rows_changed_in_both_caches_are_noticed(remote: Workspace) -> None:
    assert remote.run("plan").code == 0
    [snapshot] = (remote.cache / "snapshots").glob("hub.*.jsonl")
    snapshot.unlink()
    flip(blob(remote, "0001.parquet"))
    assert "0001.parquet" in refused(remote.run("plan"), "content-differs")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_download_is_not_locked(
    remote: Workspace, hub: HubServer, model: Repository, name: str
) -> None:
    content = bytearray(model.commits[model.references["main"]][name])
    content[-2] ^= 1
    hub.damaged[name] = bytes(content)
    done = remote.run("lock")
    said = refused(done, "content-differs")
    assert f"`{name}` of `hf:acme/tiny` is not what the Hub has" in said
    assert lock(remote)["datasets"], "what worked is locked"
    assert "models" not in lock(remote)


def missing_model(_: HubServer, __: Repository, workspace: Workspace) -> None:
    workspace.write('[models.m]\npath = "hf:acme/nothing"\n', header=False)


def missing_revision(_: HubServer, __: Repository, workspace: Workspace) -> None:
    workspace.write('[models.m]\npath = "hf:acme/tiny@v9"\n', header=False)


def gated_model(_: HubServer, model: Repository, __: Workspace) -> None:
    model.gated = True


def forbidden(hub: HubServer, _: Repository, __: Workspace) -> None:
    hub.failing = 403


def broken(hub: HubServer, _: Repository, __: Workspace) -> None:
    hub.failing = 501


def down(hub: HubServer, _: Repository, __: Workspace) -> None:
    hub.close()


def pickles_only(_: HubServer, model: Repository, __: Workspace) -> None:
    model.push({"pytorch_model.bin": b"\x80\x04.", "README.md": b"old\n"})


def no_config_in_the_address(_: HubServer, __: Repository, workspace: Workspace) -> None:
    remote_spec(workspace, "hf:acme/quiz")


def a_folder_of_a_model(_: HubServer, __: Repository, workspace: Workspace) -> None:
    workspace.write('[models.m]\npath = "hf:acme/tiny/onnx"\n', header=False)


def no_such_split(_: HubServer, __: Repository, workspace: Workspace) -> None:
    remote_spec(workspace, "hf:acme/quiz/default/train")


@pytest.mark.parametrize(
    "case",
    [
        (missing_model, "hub-missing", "the Hub has no model `acme/nothing`, or it is private"),
        (missing_revision, "hub-missing", "`acme/tiny` has no revision `v9`"),
        (gated_model, "hub-refused", "the Hub refuses access to `acme/tiny`"),
        (forbidden, "hub-refused", "the Hub refuses access to `acme/tiny`"),
        (broken, "hub-unavailable", "the Hub answers 501"),
        (down, "hub-unavailable", "the Hub cannot be reached"),
        (pickles_only, "hub-data", "holds no file that a model is loaded from"),
        (no_config_in_the_address, "bad-hub-path", "`hf:acme/quiz` does not name a configuration"),
        (a_folder_of_a_model, "bad-hub-path", "`hf:acme/tiny/onnx` does not name a model"),
        (no_such_split, "hub-data", "named after configuration `default` and split `train`"),
    ],
    ids=lambda case: case[0].__name__,
)
def test_what_the_hub_does_not_give_is_a_diagnostic(
    remote: Workspace,
    hub: HubServer,
    model: Repository,
    case: tuple[Callable[[HubServer, Repository, Workspace], None], str, str],
) -> None:
    change, code, words = case
    change(hub, model, remote)
    said = refused(remote.run("lock"), code)
    assert words in said
    assert "hint:" in said
    assert "specs/spec.toml:" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = 2\n", "has version `2`"),
        ("version = 1\n[[models]]\naddress = 1\n", "is malformed"),
        ("version = [\n", "cannot be read"),
    ],
)
def test_a_bad_lock_is_named_and_left_alone(
    remote: Workspace, hub: HubServer, text: str, words: str
) -> None:
    path = remote.specs / "evalc.lock"
    path.write_text(text)
    said = refused(remote.run("plan"), "bad-lock")
    assert words in said
    assert path.read_text() == text
    assert hub.requests == []


def test_without_the_hubs_library_the_hint_names_the_extra(remote: Workspace) -> None:
    script = "import sys\nsys.modules['huggingface_hub'] = None\nfrom evalc.cli import main\n"
    said = refused(remote.python(script + "main(['plan'])"), "needs-huggingface-hub")
    assert "pip install 'evalc[data]'" in said
