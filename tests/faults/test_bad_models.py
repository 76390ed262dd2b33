"""Models and caches that cannot be used: a diagnostic, and nothing runs."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_bad_specs import refused

from evalc.plan.checkpoint import Checkpoint
from evalc.plan.sums import summed
from tiny_models import write_adapter, write_model
from workspaces import QUIZ, Workspace, quiz_rows

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
Damage = Callable[[Path], object]


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def replace(name: str, content: str) -> Damage:
    return lambda folder: (folder / name).write_text(content)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def headless(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:4])


def truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def unindexed(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[]")


def lacking_a_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))


def pipe(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return damage


@pytest.mark.parametrize(
    ("damage", "code", "phrase"),
    [
        (pipe("generation_config.json"), "bad-model", "no regular file"),
        (pipe("additional_notes"), "bad-model", "no regular file"),
        (pipe("tokenizer.json"), "bad-model", "no regular file"),
        (shutil.rmtree, "missing-model", "does not exist"),
        (remove("config.json"), "missing-model", "config.json"),
        (replace("config.json", "{"), "bad-model", "config.json"),
        (replace("config.json", "[]"), "bad-model", "config.json"),
        (remove("model.safetensors"), "missing-weights", "safetensors"),
        (pickled, "missing-weights", "pytorch_model.bin"),
        (lacking_a_shard, "missing-weights", "model-00002-of-00002.safetensors"),
        (replace("model.safetensors", LFS), "weights-lfs-pointer", "git lfs pull"),
        (replace("model.safetensors", "what"), "bad-model", "safetensors"),
        (replace("config.json", LFS), "weights-lfs-pointer", "config.json"),
        (headless, "bad-model", "safetensors"),
        (truncated, "bad-model", "where its header says"),
        (unindexed, "bad-model", "index of shards"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_unusable_model_directory_is_refused(
    workspace: Workspace, damage: Damage, code: str, phrase: str
) -> None:
    other = Workspace(workspace.root, write_model(workspace.root / "broken"))
    other.quiz()
    damage(other.model)
    said = refused(other, code)
    assert phrase in said
    assert "spec.toml:3:" in said


@pytest.mark.parametrize("value", [10**400, -1, 1 << 63], ids=["huge", "negative", "large"])
def test_a_size_that_no_model_has_is_none_for_the_cost_of_a_run(
    workspace: Workspace, value: int
) -> None:
    config = json.loads((workspace.model / "config.json").read_text())
    assert Checkpoint(workspace.model, {**config, "hidden_size": value}, (), ()).shape().width == 0


@pytest.mark.parametrize(("letters", "code"), [(60_000, 0), (100_000, 2)])
def test_a_long_control_token_is_read_in_time_or_refused(
    workspace: Workspace, letters: int, code: int
) -> None:
    other = Workspace(workspace.root, write_model(workspace.root / "long"))
    file = other.model / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "bos_token": "x" * letters}))
    other.quiz()
    start = time.process_time()
    done = other.call("plan", "specs")
    assert done.code == code, done.err
    assert code == 0 or "[bad-tokenizer]" in done.err
    assert time.process_time() - start < 10


def test_an_unusable_tokenizer_is_refused(workspace: Workspace) -> None:
    other = Workspace(workspace.root, write_model(workspace.root / "broken"))
    other.quiz()
    replace("tokenizer.json", LFS)(other.model)
    done = other.call("exec", "specs")
    assert (done.code, "[bad-tokenizer]" in done.err) == (2, True), done.err
    assert "spec.toml:3:" in done.err
    assert "Traceback" not in done.err
    assert other.untouched()
    assert len(list((other.cache / "tokenizers").iterdir())) == 1, "a bundle was left behind"


def test_chat_needs_a_chat_template(workspace: Workspace) -> None:
    workspace.write("chat = true\n", QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(2))
    said = refused(workspace, "no-chat-template")
    assert "spec.toml:4:" in said
    assert "chat = false" in said


@pytest.mark.parametrize(
    ("template", "phrase"),
    [
        ("{% for %}", "chat template"),
        ("{{ raise_exception('only tools here') }}", "only tools here"),
        ("{{ strftime_now('%Y') }}", "date"),
    ],
    ids=["syntax", "refusal", "date"],
)
def test_a_chat_template_that_fails_is_refused(
    workspace: Workspace, bundles: Path, template: str, phrase: str
) -> None:
    """The bundle is edited, which spares a child process for each template."""
    (bundle,) = (workspace.cache / "tokenizers").iterdir()
    content = json.loads(bundle.read_text())
    del content["sum"]
    bundle.write_bytes(summed(json.dumps({**content, "chat_template": template}).encode()))
    workspace.write("chat = true\n", QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(2))
    assert phrase in refused(workspace, "chat-template")


def test_every_unusable_model_and_file_is_told_of_at_once(workspace: Workspace) -> None:
    workspace.write('[models.n]\npath = "nowhere"\n[models.o]\npath = "elsewhere"\n', QUIZ)
    said = refused(workspace, "missing-model")
    assert said.count("[missing-model]") == 2
    assert "[missing-data]" in said


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors", "all"])
def test_a_bad_adapter_is_refused(workspace: Workspace, missing: str) -> None:
    adapter = write_adapter(workspace.root / "lora")
    if missing == "all":
        shutil.rmtree(adapter)
    else:
        (adapter / missing).unlink()
    workspace.write(f'adapter = "{adapter}"\n', QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(2))
    assert "spec.toml:4:" in refused(workspace, "bad-adapter")


def test_an_adapter_that_names_a_module_to_import_is_refused(workspace: Workspace) -> None:
    adapter = write_adapter(workspace.root / "lora")
    config = adapter / "adapter_config.json"
    fields = {"megatron_config": {"a": 1}, "megatron_core": "this"}
    config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
    workspace.write(f'adapter = "{adapter}"\n', QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(2))
    assert "megatron_core" in refused(workspace, "bad-adapter")


def test_code_of_another_repository_is_refused_by_plan(workspace: Workspace) -> None:
    named = {"AutoModelForCausalLM": "other/repo--own.Own"}
    other = Workspace(workspace.root, write_model(workspace.root / "own", auto_map=named))
    other.write("trust_remote_code = true\n", QUIZ)
    other.rows("quiz.jsonl", quiz_rows(2))
    said = refused(other, "bad-model")
    assert "`other/repo`" in said and "`own.Own`" in said


def test_a_tokenizer_that_needs_a_package_names_it(workspace: Workspace) -> None:
    other = Workspace(workspace.root, write_model(workspace.root / "slow"))
    remove("tokenizer.json")(other.model)
    (other.model / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    other.quiz()
    said = refused(other, "missing-package")
    assert "tokenizer.model" in said and "sentencepiece" in said


def test_an_adapter_of_another_model_fails_and_records_nothing(workspace: Workspace) -> None:
    adapter = write_adapter(workspace.root / "lora")
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace("q_proj", "no_such_proj"))
    workspace.write(f'adapter = "{adapter}"\n', QUIZ)
    workspace.rows("quiz.jsonl", quiz_rows(2))
    done = workspace.call("exec", "specs")
    assert done.code != 0
    assert "internal error" not in done.err
    assert workspace.untouched()


def test_weights_of_another_shape_fail_and_record_nothing(workspace: Workspace) -> None:
    other = Workspace(workspace.root, write_model(workspace.root / "odd", intermediate_size=48))
    other.quiz()
    done = other.call("exec", "specs")
    assert done.code != 0
    assert "[bad-model]" in done.err
    assert other.untouched()


def test_a_text_with_a_byte_that_the_tokenizer_lacks_is_refused(
    workspace: Workspace, bundles: Path
) -> None:
    (bundle,) = (workspace.cache / "tokenizers").iterdir()
    content = json.loads(bundle.read_text())
    del content["sum"]
    tokenizer = json.loads(content["tokenizer_json"])
    del tokenizer["model"]["vocab"]["Ā"]  # the letter of byte 0
    edited = {**content, "tokenizer_json": json.dumps(tokenizer), "probes": []}
    bundle.write_bytes(summed(json.dumps(edited).encode()))
    workspace.quiz()
    workspace.rows("quiz.jsonl", [{**quiz_rows(1)[0], "question": "a \0 byte"}])
    assert "quiz.jsonl:1" in refused(workspace, "tokenizer-failed")


@pytest.mark.parametrize("place", ["cache", "cache/store", "cache/tokenizers"])
def test_a_file_in_place_of_the_cache_is_refused(workspace: Workspace, place: str) -> None:
    workspace.quiz()
    path = workspace.root / place
    shutil.rmtree(path, ignore_errors=True)
    path.write_text("")
    for command in ("plan", "exec", "report"):
        done = workspace.call(command, "specs")
        assert done.code in (1, 2), done.text
        assert "[cache-" in done.err, done.err
        assert "internal error" not in done.err
        assert "Traceback" not in done.err


def test_a_cache_that_is_no_store_is_refused_and_left_alone(workspace: Workspace) -> None:
    workspace.quiz()
    data = workspace.cache / "store" / "data.mdb"
    data.parent.mkdir()
    data.write_bytes(b"something else" * 1000)
    done = workspace.call("exec", "specs")
    assert (done.code, "[cache-unusable]" in done.err) == (1, True)
    assert data.read_bytes() == b"something else" * 1000
