"""A Hub on loopback with a tiny model and datasets, and a workspace whose processes ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_content import CONVERSION, DATASET, MODEL, parquet, remote_spec, tree
from hub_server import HubServer, Repository

from tiny_models import write_model
from workspaces import Workspace, quiz_rows


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty Hub that every process started from here on asks; its cache is the test's own."""
    server = HubServer()
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    yield server
    server.close()


@pytest.fixture
def model(hub: HubServer, tiny_model: Path) -> Repository:
    """`hf:acme/tiny`: the tiny model, with a pickle and files of other programs beside it."""
    repository = hub.repository("model", MODEL)
    others = {"README.md": b"# tiny\n", "pytorch_model.bin": b"\x80\x04.", "onnx/model.json": b"{}"}
    repository.push({**tree(tiny_model), **others})
    return repository


@pytest.fixture
def dataset(hub: HubServer) -> Repository:
    """`hf:acme/quiz`: its own files in JSON Lines and CSV, and the Parquet conversion of `test`."""
    repository = hub.repository("dataset", DATASET)
    rows = quiz_rows(5)
    repository.push(
        {
            "README.md": b"# quiz\n",
            "data/dev.jsonl": b'{"question": "Q?", "choices": ["a", "b"], "answer": 1}\n' * 2,
            "data/dev.csv.txt": b"no data",
            "hard/test.csv": b"question,choices,answer\nQ?,ab,0\n",
        }
    )
    shards = {"default/test/0000.parquet": rows[:3], "default/test/0001.parquet": rows[3:]}
    repository.push({path: parquet(part) for path, part in shards.items()}, CONVERSION)
    return repository


@pytest.fixture
def other(tmp_path: Path) -> dict[str, bytes]:
    """The files of the tiny model trained further: other weights, the rest the same."""
    return tree(write_model(tmp_path / "other", seed=8))


@pytest.fixture
def remote(workspace: Workspace, model: Repository, dataset: Repository) -> Workspace:
    """A workspace with such a spec."""
    remote_spec(workspace)
    return workspace
