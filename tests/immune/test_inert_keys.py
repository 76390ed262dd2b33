"""Keys of `config.json` that are not held change no number; where they would, they are held."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

import tiny_architectures
from evalc.diagnostics import Faults
from evalc.exec.model.load import load
from evalc.plan import identity
from evalc.plan.checkpoint import read_checkpoint
from evalc.plan.digests import Digests
from loaded_files import source

IDS = torch.tensor([[3, 7, 1, 0, 9, 7, 20, 30, 1, 40, 50, 7, 60]])
CHANGES = {
    "pad_token_id": 7,
    "bos_token_id": 7,
    "eos_token_id": 7,
    "unk_token_id": 7,
    "use_cache": False,
    "output_attentions": True,
    "output_hidden_states": True,
    "return_dict": False,
    "torchscript": True,
    "task_specific_params": {"text-generation": {"do_sample": True}},
    "torch_dtype": "float16",
    "dtype": "float16",
    "_name_or_path": "other/name",
    "_model_name_or_path": "other/name",
    "transformers_version": "4.0.0",
}
ANOTHERS_USE = re.compile(
    r"Embedding\(|self\.padding_idx = config|`pad_token_id`|pad_token_id is None|non_pad_mask"
    r"|equal to pad_token_id|padding_idx: int|super\(\).__init__\(|self\.padding_idx, (embed_scale"
    r"|config\.rms)|hasattr\(self\.config, \"pad_token_id\"\)|^self\.pad_token_id = "
    r"|padding_idx is specified|^self\.padding_idx,$"
)
"""Lines that name the id of padding and that no logit follows from: an embedding's row of that id,
which is loaded from the file, and classifiers."""
HARMLESS = {
    "big_bird": "it fills rows up to whole blocks, which are masked",
    "fuyu": "it is kept, and nothing reads it",
    "moshi": "it belongs to audio codes and to generate",
    "recurrent_gemma": "it zeroes a row of a new embedding, before the file is read",
    "rembert": "it is the row of an embedding",
    "trocr": "positions begin behind it, and only with sines that are never used",
}
"""Why an architecture that names it otherwise is none of `identity.PADDED`."""


def edited(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def logits(folder: Path) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = load(source(folder)).model(input_ids=IDS, use_cache=False).logits
    return found


def model_id(folder: Path, own_code: bool = False) -> str:
    return identity.identify(
        read_checkpoint(folder, None, "m"),
        adapter=None,
        quantization=None,
        trust_remote_code=own_code,
        dtype="float32",
        device="cpu",
        numerics="stable",
        digests=Digests(None),
        place=None,
    ).model_id


@pytest.mark.parametrize(
    "kind", ["llama", "falcon", "opt", "xglm", "roberta", "gpt2", "mpt", *HARMLESS]
)
def test_a_key_that_is_not_held_changes_no_number(kind: str, tmp_path: Path) -> None:
    folder = tiny_architectures.write(tmp_path / "m", kind)
    whole, plain = (folder / "config.json").read_text(), logits(folder)
    held = json.loads(whole)
    assert set(CHANGES) == identity.INERT
    for name in identity.inert(held, own_code=False):
        edited(folder, **{name: CHANGES[name]})
        assert torch.equal(logits(folder), plain), name
        (folder / "config.json").write_text(whole)


@pytest.mark.parametrize("kind", sorted(identity.PADDED & set(tiny_architectures.KINDS)))
def test_the_id_of_padding_is_held_where_positions_depend_on_it(kind: str, tmp_path: Path) -> None:
    folder = tiny_architectures.write(tmp_path / "m", kind)
    plain, before = logits(folder), model_id(folder)
    edited(folder, pad_token_id=7)
    assert not torch.allclose(logits(folder), plain)
    assert model_id(folder) != before


def test_every_architecture_that_counts_from_padding_is_listed() -> None:
    """By their source: an architecture of tomorrow that does so fails here."""
    found = set()
    for kind in tiny_architectures.KINDS:
        made = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind])
        lines = inspect.getsource(sys.modules[made.__module__]).splitlines()
        named = [line.strip() for line in lines if re.search("pad_token_id|padding_idx", line)]
        if any(not ANOTHERS_USE.search(line) for line in named if not line.startswith("#")):
            found.add(kind)
    assert found - HARMLESS.keys() == identity.PADDED & set(tiny_architectures.KINDS)


@pytest.mark.parametrize("name", sorted(identity.TOKENS))
def test_a_models_own_code_may_read_what_is_inert_elsewhere(name: str, tmp_path: Path) -> None:
    folder = tiny_architectures.write(tmp_path / "m", "llama")
    edited(folder, auto_map={"AutoModelForCausalLM": "own.Own"})
    (folder / "own.py").write_text("")
    before = model_id(folder, own_code=True), model_id(folder)
    edited(folder, **{name: 7})
    assert model_id(folder, own_code=True) != before[0]
    assert model_id(folder) == before[1]


def remote_code(folder: Path) -> None:
    edited(folder, auto_map={"AutoModelForCausalLM": "other/repo--own.Own"})


def local_code(folder: Path) -> None:
    (folder.parent / "own.py").write_text("raise SystemExit('it ran')\n")
    edited(folder, auto_map={"AutoConfig": f"{folder.parent}--own.Own"})


def tokenizer_code(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    named = {"AutoTokenizer": [None, "other/repo--own.Own"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": named}))


@pytest.mark.parametrize("edit", [remote_code, local_code, tokenizer_code])
def test_code_of_another_place_is_refused(edit: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tiny_architectures.write(tmp_path / "m", "llama")
    edit(folder)
    with pytest.raises(Faults, match="which no key holds") as caught:
        load(source(folder, trust_remote_code=True))
    assert "copy the Python files" in (caught.value.diagnostics[0].hint or "")
    if edit is not tokenizer_code:
        load(source(folder))  # nothing of it is read where a model's own code does not run


@pytest.mark.parametrize("key", ["_attn_implementation", "_experts_implementation"])
def test_compiled_code_of_another_place_is_refused(key: str, tmp_path: Path) -> None:
    folder = tiny_architectures.write(tmp_path / "m", "llama")
    edited(folder, **{key: "kernels-community/flash-attn2"})
    with pytest.raises(Faults, match=r"kernels-community/flash-attn2.*no key holds"):
        load(source(folder))
