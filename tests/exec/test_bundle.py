"""The tokenizer bundle says what the tokenizer does, not what its flags claim."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from evalc.exec.model.bundle import bundle, main
from evalc.exec.model.probes import PROBES
from tiny_models import write_model


@pytest.fixture
def folder(model_dir: Callable[[str], Path], tmp_path: Path) -> Path:
    shutil.copytree(model_dir("llama"), tmp_path / "m")
    return tmp_path / "m"


def test_a_bundle_reproduces_its_probes_with_the_bare_tokenizer(folder: Path) -> None:
    made = bundle(folder, trust_remote_code=False)
    backend = Tokenizer.from_str(made["tokenizer_json"])
    assert [probe["text"] for probe in made["probes"]] == list(PROBES)
    assert len(PROBES) >= 40
    for probe in made["probes"]:
        assert backend.encode(probe["text"], add_special_tokens=False).ids == probe["ids"]


def test_the_digest_covers_everything_that_follows_it(folder: Path) -> None:
    made = bundle(folder, trust_remote_code=False)
    rest = {name: made[name] for name in made if name not in ("bundle", "digest")}
    canonical = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.blake2b(canonical.encode(), digest_size=32).hexdigest()
    assert made["digest"] == digest
    assert made == bundle(folder, trust_remote_code=False)


def test_lengths_ends_and_contexts_come_from_tokenizer_and_configs(folder: Path) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    made = bundle(folder, trust_remote_code=False)
    assert made["eos_ids"] == [1, 2, 7]
    assert made["empty_context_ids"] == [0]
    assert made["prefix_ids"] == []
    assert made["model_max_length"] == 256
    assert made["special_tokens"]["bos_token"] == "<|start|>"
    assert made["chat_template"] is None


def test_a_chat_template_is_taken_from_its_file(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    template = bundle(folder, trust_remote_code=False)["chat_template"]
    assert template == "{{ messages[0]['content'] }}"


def test_what_the_tokenizer_puts_first_is_found_by_encoding(folder: Path, tokenizer: Any) -> None:
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = TemplateProcessing(
        single="<|start|> $A <|end|>", special_tokens=[("<|start|>", 0), ("<|end|>", 1)]
    )
    backend.enable_truncation(5)
    backend.enable_padding()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|start|>")
    wrapped.save_pretrained(folder)
    made = bundle(folder, trust_remote_code=False)
    assert made["prefix_ids"] == [0]
    saved = json.loads(made["tokenizer_json"])
    assert (saved["truncation"], saved["padding"]) == (None, None)


def test_a_bundle_appears_in_one_rename(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bundle.json"
    assert main([str(folder), str(out)]) == 0
    assert json.loads(out.read_text(encoding="utf-8"))["bundle"] == 3
    assert [file.name for file in out.parent.iterdir()] == ["bundle.json"]


def run_child(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "evalc.exec.model.bundle", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stderr.strip().splitlines()[-1])


def test_the_child_process_reports_a_missing_directory_as_json(tmp_path: Path) -> None:
    code, found = run_child(str(tmp_path / "nowhere"), str(tmp_path / "b.json"))
    assert code == 2
    assert found["code"] == "missing-model"
    assert "nowhere" in found["message"]
    assert found["hint"]
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize("damage", ["removed", "broken"])
def test_an_unusable_tokenizer_is_reported(
    damage: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if damage == "removed":
        for file in folder.glob("tokenizer*"):
            file.unlink()
    else:
        (folder / "tokenizer.json").write_text("{}")
    assert main([str(folder), str(tmp_path / "b.json")]) == 2
    found = json.loads(capsys.readouterr().err.strip().splitlines()[-1])
    assert found["code"] == "bad-tokenizer"
    assert not (tmp_path / "b.json").exists()


def test_a_tokenizer_without_any_end_or_start_is_refused(
    folder: Path, tmp_path: Path, tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(folder)
    assert main([str(folder), str(tmp_path / "b.json")]) == 2
    assert "neither a BOS nor an EOS" in capsys.readouterr().err


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ cycler.__init__.__globals__.os._exit(3) }}",
    ],
)
def test_a_chat_template_that_asks_for_too_much_hangs_no_bundle(
    template: str, tmp_path: Path
) -> None:
    found = bundle(write_model(tmp_path, chat=template), False)
    assert found["chat_template"] == template
    assert found["control_ids"] == [0, 1, 2]
