"""Tokenizers of several families, trained on a few lines, and bundles of them for the planner."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

SPECIAL = ("<|start|>", "<|end|>")
LINES = [
    "Question: what is the sum of 12 and 345? Answer: the sum is 357.\n",
    "The naïve café serves 3 crêpes for $7.50 — 🙂 and 日本語 text.\n",
    "def add(a, b):\n    return a + b\n",
    "don't they're  it's   we'll \t the end of the the theory\n\n",
] * 3
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def _digits() -> Tokenizer:
    """As SmolLM2: digits on their own."""
    made = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, level])
    return made


def _split() -> Tokenizer:
    """As Llama 3 and Qwen 2: a regular expression, and text brought to NFC first."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(GPT4), behavior="isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    return made


def _prepended() -> Tokenizer:
    """As Llama 2: spaces written as a letter, one put first, bytes for what has no token."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    spaces = [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    made.normalizer = normalizers.Sequence(spaces)
    return made


def _metaspace() -> Tokenizer:
    """As Mistral: words that begin with the letter for a space, the first one too."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    return made


FAMILIES: dict[str, Callable[[], Tokenizer]] = {
    "byte_level": _byte_level,
    "digits": _digits,
    "split": _split,
    "prepended": _prepended,
    "metaspace": _metaspace,
}


def trained(family: str) -> Tokenizer:
    """A tokenizer of a family, with some 300 merges."""
    made = FAMILIES[family]()
    bytes_as_letters = family in ("byte_level", "digits", "split")
    trainer = trainers.BpeTrainer(
        vocab_size=560 if bytes_as_letters else 360,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if bytes_as_letters else [],
        show_progress=False,
    )
    made.train_from_iterator(LINES, trainer)
    if bytes_as_letters:
        made.decoder = decoders.ByteLevel()
        return made
    made.decoder = stripping()
    return _with_bytes(made)


def stripping() -> decoders.Decoder:
    """The decoder of Llama 2, Mistral and their kin: it takes the space that was put first."""
    spaces = decoders.Replace("\u2581", " ")
    steps = [spaces, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return decoders.Sequence(steps)


def _with_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with a token for an unknown letter and one for each byte."""
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    for token in ("<unk>", *(f"<0x{byte:02X}>" for byte in range(256))):
        vocabulary[token] = len(vocabulary)
    return Tokenizer.from_str(json.dumps(content))


def write_bundle(tokenizer: Tokenizer, path: Path, prefix: Sequence[int] = ()) -> Path:
    """A bundle as the child process writes it; `prefix` is what stands before every text."""
    texts = ["", "the theory", " 12 é日🙂", "a\n\n b"]
    content = {
        "bundle": 3,
        "digest": path.stem.ljust(64, "0"),
        "tokenizer_json": tokenizer.to_str(),
        "prefix_ids": list(prefix),
        "empty_context_ids": [0],
        "eos_ids": [1],
        "plain_eos_ids": [],
        "control_ids": [0, 1],
        "loses_first_space": False,
        "decoding": "",
        "chat_template": None,
        "special_tokens": {},
        "model_max_length": None,
        "probes": [{"text": text, "ids": encoded(tokenizer, text)} for text in texts],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a text by itself, from the Python library."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids
