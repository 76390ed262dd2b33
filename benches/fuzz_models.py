"""Mutated model folders through `plan` and `exec`: a diagnostic or a run, never anything else.

    .venv/bin/python benches/fuzz_models.py --seconds 600 [--seed 0] [--keep FOLDER]

Every input is a tiny model, some with an adapter or in shards, of which one file is mutated: its
JSON (values, keys, types, depth), its bytes, a safetensors header, or what kind of file it is. It
is planned and asked in a forked child, and counts as found when it ends in an internal error, a
traceback, a signal, or beyond a limit of time or memory. What is found is kept and exits with 1.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from fuzzing import Input, Make, command_line

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import tokenizer_child
from tiny_models import write_adapter, write_model, write_shards

SPEC = """evalc = 1
[models.m]
path = "../m"
[datasets.d]
path = "d.jsonl"
[tasks.t]
dataset = "d"
type = "generate"
prompt = "{{ q }}"
target = "x"
generate = { max_new_tokens = 2 }
metrics = ["exact_match"]
[tasks.c]
dataset = "d"
type = "multiple_choice"
prompt = "{{ q }}"
choices = ["a", "b"]
target = 0
metrics = ["acc"]
"""
FILES = (
    *("config.json", "config.json", "config.json", "tokenizer.json", "tokenizer_config.json"),
    *("generation_config.json", "adapter_config.json", "model.safetensors.index.json"),
    *("model.safetensors", "adapter_model.safetensors", "chat_template.jinja"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 255, 2**31, 2**63, 10**12, 10**9, 10**400, -(2**40)),
    *(0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "../..", "\ud800", "\x1b[2J", "7"),
    *("none", "x" * 100_000, [], {}, [0], [None], ["\x00"], {"a": {}}, [[]], [1e9], {"0": 0}),
    *("llama", "gpt2", "mamba", "bert", "float32", "auto", "eager", "flash_attention_2"),
)
KEYS = (
    *("num_labels", "id2label", "label2id", "auto_map", "quantization_config", "text_config"),
    *("transformers_weights", "configuration_files", "is_encoder_decoder", "layer_types"),
    *("rope_scaling", "rope_parameters", "tie_word_embeddings", "dtype", "architectures"),
    *("attn_implementation", "_attn_implementation", "return_dict", "output_attentions"),
    *("output_hidden_states", "use_cache", "torchscript", "head_dim", "pad_token_id"),
    *("eos_token_id", "bos_token_id", "max_position_embeddings", "attention_bias", "hidden_act"),
    *("num_hidden_layers", "vocab_size", "hidden_size", "problem_type", "sliding_window"),
    *("attn_logit_softcapping", "chat_template", "model_max_length", "added_tokens_decoder"),
    *("modules_to_save", "rank_pattern", "layers_to_transform", "layer_replication", "use_dora"),
    *("init_lora_weights", "auto_mapping", "loftq_config", "trainable_token_indices", "peft_type"),
    *("base_model_name_or_path", "target_parameters", "megatron_config", "exclude_modules"),
)


def bases(folder: Path) -> list[Path]:
    """Folders to start from."""
    plain = write_model(folder / "plain")
    chat = write_model(folder / "chat", chat="{{ messages[0]['content'] }}")
    (chat / "generation_config.json").write_text('{"eos_token_id": [1, 2], "temperature": 0.5}')
    adapted = write_model(folder / "adapted", attention_bias=True)
    write_adapter(adapted, bias="all")
    sharded = write_model(folder / "sharded", rope_scaling={"rope_type": "linear", "factor": 2.0})
    write_shards(sharded, ["model.norm.weight"])
    return [plain, chat, adapted, sharded]


def mutate(file: Path, chance: random.Random) -> str:
    """Change a file; what was done, in words."""
    how = chance.random()
    if how < 0.05:
        return _replaced(file, chance)
    if how < 0.2:
        file.write_bytes(damaged(file.read_bytes(), chance))
        return "bytes"
    if file.suffix == ".json":
        content = json.loads(file.read_bytes())
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            content = edited(content, chance)
        file.write_text(_text(content, chance), "utf-8", "surrogatepass")
        return "json"
    if file.suffix == ".safetensors":
        raw = file.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header = json.dumps(edited(json.loads(raw[8 : 8 + length]), chance))
        size = chance.choice((len(header), len(header), len(header), 2**63, length, 0))
        file.write_bytes(size.to_bytes(8, "little") + header.encode() + raw[8 + length :])
        return "header"
    file.write_bytes(damaged(file.read_bytes(), chance))
    return "bytes"


def _text(content: Any, chance: random.Random) -> str:
    """JSON, now and then with a bomb of depth or length in place of one value."""
    text = json.dumps(content, ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.05:
        bomb = chance.choice(("[" * 200_000, '{"a":' * 100_000, "9" * 5_000, "1e" + "9" * 50))
        whole = chance.random() < 0.5 and bomb[0] in "[{"
        closing = "]" * 200_000 if bomb[0] == "[" else "1" + "}" * 100_000
        value = bomb + closing if whole else bomb
        return re.sub(r": (\d+|true|null)", lambda _: f": {value}", text, count=1)
    return text


def edited(content: Any, chance: random.Random) -> Any:
    """A JSON value with one place of it changed."""
    if isinstance(content, dict) and content and chance.random() < 0.85:
        return _edited_object(content, chance)
    if isinstance(content, list) and content and chance.random() < 0.7:
        return _edited_list(content, chance)
    if isinstance(content, int) and chance.random() < 0.3:
        return content + chance.choice((-1, 1, 2, content, 1000))
    return chance.choice(VALUES)


def _edited_object(content: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    key, how = chance.choice(list(content)), chance.random()
    if how < 0.1:
        return {k: v for k, v in content.items() if k != key}
    if how < 0.25:
        return {**content, chance.choice(KEYS): chance.choice(VALUES)}
    if how < 0.3:
        return {**content, key: content[chance.choice(list(content))]}
    return {**content, key: edited(content[key], chance)}


def _edited_list(content: list[Any], chance: random.Random) -> list[Any]:
    at, how = chance.randrange(len(content)), chance.random()
    if how < 0.2:
        return content[:at] + content[at + 1 :]
    if how < 0.3:
        return content * 3
    return [*content[:at], edited(content[at], chance), *content[at + 1 :]]


def damaged(raw: bytes, chance: random.Random) -> bytes:
    at, to = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
    return chance.choice(
        (
            lambda: b"",
            lambda: raw[:at],
            lambda: raw[:at] + raw[to:],
            lambda: raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :],
            lambda: raw[:at] + bytes(64) + raw[at:],
            lambda: raw[:to] + raw[at:],
            lambda: b"\xef\xbb\xbf" + raw,
            lambda: raw.decode("latin1").encode("utf-16"),
            lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        )
    )()


def _replaced(file: Path, chance: random.Random) -> str:
    """Something else in place of a file."""
    file.unlink()
    kinds: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "a folder": file.mkdir,
        "a pipe": lambda: os.mkfifo(file),
        "a loop": lambda: file.symlink_to(file.name),
        "a dangling link": lambda: file.symlink_to("nowhere"),
        "a device": lambda: file.symlink_to("/dev/zero"),
    }
    kind = chance.choice(list(kinds))
    kinds[kind]()
    return kind


def made(models: list[Path], chance: random.Random, root: Path) -> Input:
    """Write the files of one input."""
    model = shutil.copytree(chance.choice(models), root / "m")
    there = [name for name in FILES if (model / name).exists()]
    file = model / chance.choice(there)
    how = mutate(file, chance)
    (root / "specs").mkdir()
    (root / "specs" / "spec.toml").write_text(SPEC)
    (root / "specs" / "d.jsonl").write_text('{"q": "one and two"}\n{"q": "three"}\n')
    return Input([["exec", "specs"]], f"{file.name}, {how}")


def prepared(root: Path) -> Make:
    """Models to start from, and what transformers imports late, which a fork inherits."""
    _ = (transformers.LlamaForCausalLM, transformers.PreTrainedTokenizerFast)
    models = bases(root.parent / "bases")
    return lambda chance, root: made(models, chance, root)


if __name__ == "__main__":
    sys.exit(command_line(__doc__, "fuzz-models", prepared, tokenizer_child.stay))
