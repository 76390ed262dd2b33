"""A tiny Llama with random weights and a tokenizer whose ids can be worked out by hand.

Written with numpy and tokenizers alone, so that what must not import torch can be tested with it.

The tokenizer is a byte-level BPE: 0, 1 and 2 are special, byte b is 3 + b, and `MERGES` follow
from 259 on, in order. GPT-2's pre-tokenizer cuts words, so a merge acts inside ` word` only.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

BOS, EOS = 0, 1
SPECIAL = ("<|start|>", "<|end|>", "<|other|>")
MERGES = (" A", " B", "ab", "cd", "abcd", "th", "the", " the", "in", "er", " x", " y")
FIRST_MERGE = 259
HIDDEN, LAYERS, HEADS, KV_HEADS, INNER = 32, 2, 4, 2, 64
CHATML = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def ids(text: str) -> list[int]:
    """Ids of a text in which nothing merges, for expectations written by hand."""
    return [3 + byte for byte in text.encode()]


def merged(piece: str) -> int:
    """Id of one of `MERGES`."""
    return FIRST_MERGE + MERGES.index(piece)


def tokenizer() -> Tokenizer:
    """The tokenizer described above."""
    table = letters()
    vocabulary = {token: index for index, token in enumerate(SPECIAL)}
    vocabulary |= {letter: 3 + byte for byte, letter in enumerate(table)}
    spelled = ["".join(table[b] for b in piece.encode()) for piece in MERGES]
    vocabulary |= {piece: FIRST_MERGE + i for i, piece in enumerate(spelled)}
    merges = [_halves(piece, vocabulary) for piece in spelled]
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return made


def _halves(piece: str, vocabulary: dict[str, int]) -> tuple[str, str]:
    """The longest known head of a piece, and the rest."""
    for cut in range(len(piece) - 1, 0, -1):
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary:
            return piece[:cut], piece[cut:]
    raise ValueError(f"`{piece}` has no two known parts")


def write_model(
    folder: Path, *, seed: int = 7, positions: int = 256, chat: str | None = None, **config: Any
) -> Path:
    """Write a model directory as `save_pretrained` does; `config` replaces configuration keys."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = FIRST_MERGE + len(MERGES)
    fields = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "torch_dtype": "float32",
    }
    _json(folder / "config.json", {**fields, **config})
    biased = bool(config.get("attention_bias"))
    weights = _weights(vocabulary, seed, biased)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer().save(str(folder / "tokenizer.json"))
    names = {"bos_token": SPECIAL[BOS], "eos_token": SPECIAL[EOS]}
    _json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": positions, **names},
    )
    if chat is not None:
        (folder / "chat_template.jinja").write_text(chat, encoding="utf-8")
    return folder


def write_shards(folder: Path, *groups: Sequence[str], stem: str = "model") -> list[Path]:
    """Cut a model's weights into files by names of tensors, one takes the rest, with an index."""
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = [{name: whole.pop(name) for name in group} for group in groups]
    parts = [part for part in (*parts, whole) if part]
    files = [
        folder / f"{stem}-{n + 1:05}-of-{len(parts):05}.safetensors" for n in range(len(parts))
    ]
    for file, part in zip(files, parts, strict=True):
        save_file(part, file, metadata={"format": "pt"})
    write_index(folder, files)
    return files


def write_index(folder: Path, files: Sequence[Path]) -> Path:
    """Write the index of shards, as `save_pretrained` does."""
    names = {name: file.name for file in files for name in load_file(file)}
    index = folder / "model.safetensors.index.json"
    _json(index, {"metadata": {"total_size": 0}, "weight_map": names})
    return index


def write_noisy(source: Path, folder: Path, scale: float, seed: int = 1) -> Path:
    """Write a copy of a model whose weights have noise of so many of their standard deviations."""
    shutil.copytree(source, folder)
    random = np.random.default_rng(seed)
    for file in folder.glob("*.safetensors"):
        weights = {
            name: weight + np.float32(scale * weight.std()) * random.normal(size=weight.shape)
            for name, weight in load_file(file).items()
        }
        kept = {name: weight.astype(np.float32) for name, weight in weights.items()}
        save_file(kept, file, metadata={"format": "pt"})
    return folder


def _weights(vocabulary: int, seed: int, biased: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return random.normal(0.0, 0.25, shape).astype(np.float32)

    head = HIDDEN // HEADS
    weights = {"model.embed_tokens.weight": matrix(vocabulary, HIDDEN)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        weights |= {
            f"{at}.self_attn.q_proj.weight": matrix(HIDDEN, HIDDEN),
            f"{at}.self_attn.k_proj.weight": matrix(KV_HEADS * head, HIDDEN),
            f"{at}.self_attn.v_proj.weight": matrix(KV_HEADS * head, HIDDEN),
            f"{at}.self_attn.o_proj.weight": matrix(HIDDEN, HIDDEN),
            f"{at}.mlp.gate_proj.weight": matrix(INNER, HIDDEN),
            f"{at}.mlp.up_proj.weight": matrix(INNER, HIDDEN),
            f"{at}.mlp.down_proj.weight": matrix(HIDDEN, INNER),
            f"{at}.input_layernorm.weight": np.ones(HIDDEN, np.float32),
            f"{at}.post_attention_layernorm.weight": np.ones(HIDDEN, np.float32),
        }
        if biased:
            wide = {"q": HIDDEN, "k": KV_HEADS * head, "v": KV_HEADS * head, "o": HIDDEN}
            weights |= {f"{at}.self_attn.{n}_proj.bias": matrix(wide[n]) for n in wide}
    return {**weights, "model.norm.weight": np.ones(HIDDEN, np.float32)}


def write_adapter(folder: Path, seed: int = 3, bias: str = "none") -> Path:
    """Write a LoRA adapter of rank 2 on the query projections, as peft does.

    With `bias` other than `none` it brings the biases of a base that has them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    weights = {}
    for layer in range(LAYERS):
        at = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        weights[f"{at}.lora_A.weight"] = random.normal(0, 0.5, (2, HIDDEN)).astype(np.float32)
        weights[f"{at}.lora_B.weight"] = random.normal(0, 0.5, (HIDDEN, 2)).astype(np.float32)
        if bias != "none":
            weights[f"{at}.base_layer.bias"] = random.normal(0, 0.5, HIDDEN).astype(np.float32)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    fields = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4}
    _json(
        folder / "adapter_config.json",
        {**fields, "target_modules": ["q_proj"], "lora_dropout": 0.0, "bias": bias},
    )
    return folder


def _json(path: Path, fields: dict[str, Any]) -> None:
    path.write_text(json.dumps(fields, indent=2), encoding="utf-8")


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    """Write JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path
