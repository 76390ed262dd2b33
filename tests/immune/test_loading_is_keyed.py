"""What loading reads is what the key holds: the kernel tells which files are opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger import asked

import tiny_architectures
from evalc.plan import contents
from loaded_files import decoyed, source, unheld
from opened import opened
from tiny_adapters import ADAPTERS
from tiny_models import write_adapter, write_model, write_shards
from workspaces import Workspace

KINDS = ("llama", "gpt2", "gemma2", "mixtral", "mamba", "bloom", "phi3", "falcon_h1")
"""Of each way to write weights and configurations one; the bench does all of them."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_that_loading_opens_is_held(kind: str, tmp_path: Path) -> None:
    """I28's kind: of a folder full of files loading opens those alone that a key holds."""
    folder = decoyed(tiny_architectures.write(tmp_path / "m", kind))
    files, found = unheld(source(folder))
    assert found == set()
    assert files >= {"config.json", "model.safetensors"}


def test_every_shard_is_held(tmp_path: Path) -> None:
    folder = decoyed(write_model(tmp_path / "m"))
    shards = write_shards(folder, ["model.norm.weight"])
    files, found = unheld(source(folder))
    assert found == set()
    assert files >= {shard.name for shard in shards} | {"model.safetensors.index.json"}


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "beside"])
def test_every_file_of_an_adapter_is_held(kind: str, inside: bool, tmp_path: Path) -> None:
    folder = decoyed(write_model(tmp_path / "m"))
    adapter = ADAPTERS[kind](folder, folder if inside else tmp_path / "adapter")
    decoyed(adapter)
    files, found = unheld(source(folder, adapter=adapter))
    assert found == set()
    assert files >= {"adapter_config.json", "adapter_model.safetensors"}


REMOTE = """
from transformers import LlamaConfig, LlamaForCausalLM
from .parts import SCALE
class Own(LlamaForCausalLM):
    pass
"""


def write_remote(folder: Path) -> Path:
    """A model with code of its own, in two files."""
    made = write_model(folder, auto_map={"AutoModelForCausalLM": "own.Own"})
    (made / "own.py").write_text(REMOTE)
    (made / "parts.py").write_text("SCALE = 1\n")
    return made


def test_every_file_of_a_models_own_code_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    folder = decoyed(write_remote(tmp_path / "m"))
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text("def generate(model): ...\n")
    files, found = unheld(source(folder, trust_remote_code=True))
    assert found == set()
    assert files >= {"own.py", "parts.py"}


def test_every_file_that_a_run_opens_is_held(workspace: Workspace, tmp_path: Path) -> None:
    """I28's kind, from outside: the tokenizer's child and the planner are watched as well."""
    other = Workspace(workspace.root, decoyed(write_model(tmp_path / "m", chat="{{ messages }}")))
    write_adapter(other.model)
    other.quiz()
    with opened(other.model) as files:
        assert asked(other) == 24
    names = {file.relative_to(other.model).as_posix() for file in files}
    assert names >= {"tokenizer.json", "chat_template.jinja", "adapter_config.json"}
    held = {name: contents.holder(name, adapter=True, tokenizer=True) for name in names}
    assert {name for name, part in held.items() if part is None} == set()


@pytest.mark.parametrize(
    ("table", "part"), [("MODEL", "weights"), ("MODEL", "config"), ("ADAPTER", "adapter")]
)
def test_a_file_that_leaves_the_table_is_missed(
    table: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watching itself: without a line of the table it fails."""
    folder = write_model(tmp_path / "m")
    adapter = write_adapter(tmp_path / "adapter")
    wanted = source(folder, adapter=adapter)
    assert unheld(wanted)[1] == set()
    monkeypatch.setattr(contents, table, {**getattr(contents, table), part: ()})
    # evalc's own look at the folder goes by the table, and would stop here
    monkeypatch.setattr("evalc.exec.model.bases.require", lambda _: None)
    assert unheld(wanted)[1]
