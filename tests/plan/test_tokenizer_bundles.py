"""A tokenizer is read by a child process once, and found by content afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evalc import _core
from evalc.diagnostics import Faults
from evalc.plan import tokenizers
from evalc.plan.contents import TEMPLATES
from planned_requests import dataset, ir, task
from tiny_models import write_rows


@pytest.fixture
def cache(tmp_path: Path, bundles: Path) -> Path:
    shutil.copytree(bundles, tmp_path / "cache" / "tokenizers")
    return tmp_path / "cache"


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of child processes, none of which is started."""
    started: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        started.append(command)
        return subprocess.CompletedProcess(command, 2, "", "Traceback:\nValueError: no way\n")

    monkeypatch.setattr(tokenizers.subprocess, "run", run)
    return started


def test_a_known_tokenizer_starts_no_child(
    tiny_model: Path, cache: Path, children: list[list[str]], tmp_path: Path
) -> None:
    found = tokenizers.bundle(tiny_model, cache, False, None)
    assert found.is_file()
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny_model, copy)
    (copy / "model.safetensors").write_bytes(b"other weights")
    assert tokenizers.bundle(copy, cache, False, None) == found
    assert children == []


READ = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *(
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "qwen.tiktoken",
    ),
    *("tekken.json", "chat_template.jinja", "chat_template.json", f"{TEMPLATES}/tools.jinja"),
    *("generation_config.json", "config.json"),
)
"""What transformers makes a tokenizer of, and what says which ids end an output."""


@pytest.mark.parametrize("name", READ)
def test_a_changed_tokenizer_file_asks_a_child(
    tiny_model: Path, cache: Path, children: list[list[str]], tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    (copy / name).parent.mkdir(exist_ok=True)
    with (copy / name).open("a") as file:
        file.write(" ")
    with pytest.raises(Faults):
        tokenizers.bundle(copy, cache, False, None)
    assert len(children) == 1


def test_a_child_that_dies_is_reported_by_its_last_line(
    tiny_model: Path, tmp_path: Path, children: list[list[str]]
) -> None:
    with pytest.raises(Faults) as caught:
        tokenizers.bundle(tiny_model, tmp_path, False, None)
    (found,) = caught.value.diagnostics
    assert found.code == "bad-tokenizer"
    assert "ValueError: no way" in found.message
    assert "--trust-remote-code" not in children[0]
    with pytest.raises(Faults):
        tokenizers.bundle(tiny_model, tmp_path, True, None)
    assert "--trust-remote-code" in children[1]


def test_without_transformers_a_new_tokenizer_is_refused(
    tiny_model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers.importlib.util, "find_spec", lambda name: None)
    assert tokenizers.bundle(tiny_model, cache, False, None).is_file()
    with pytest.raises(Faults) as caught:
        tokenizers.bundle(tiny_model, tmp_path / "empty", False, None)
    assert caught.value.diagnostics[0].code == "needs-transformers"


def damaged(bundle: Path, tmp_path: Path, changes: dict[str, Any]) -> bytes:
    """An Ir whose bundle is not what the child wrote."""
    content = {**json.loads(bundle.read_text()), **changes}
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(content))
    rows = write_rows(tmp_path / "rows.jsonl", [{"p": "Q", "c": ["x"]}])
    return ir(path, [dataset(rows)], [task()])


@pytest.mark.parametrize(
    "change",
    [{"probes": [{"text": "the", "ids": [1, 2]}]}, {"bundle": 2}, {"tokenizer_json": "{}"}],
    ids=["probe", "version", "tokenizer"],
)
def test_a_bundle_that_the_core_does_not_reproduce_is_refused(
    bundle: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(_core.PlanFaults) as caught:
        _core.Plan.build(damaged(bundle, tmp_path, change))
    (found,) = json.loads(str(caught.value))
    assert (found["code"], found["loc"]) == ("tokenizer-mismatch", ["models", "m", "path"])


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"ir": 2}', b"\xff"], ids=["nothing", "empty", "later", "bytes"]
)
def test_an_ir_of_another_form_is_refused(content: bytes) -> None:
    for step in (_core.Plan.build, _core.Plan.check):
        with pytest.raises(_core.PlanFaults, match="bad-ir"):
            step(content)


def test_an_ir_of_another_version_or_with_unknown_fields_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    plain = json.loads(damaged(bundle, tmp_path, {}))
    for change in ({"ir": 2}, {"more": 1}):
        with pytest.raises(_core.PlanFaults, match="bad-ir"):
            _core.Plan.build(json.dumps({**plain, **change}).encode())
