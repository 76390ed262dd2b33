"""Model directories with random weights: Llama shapes of any size, with a tokenizer of bytes."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

SPECIAL = ("<|end|>", "<|start|>")
SIZES = {
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
    },
    "1b": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
    },
    "8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
}
"""The last two have the shapes of Llama 3.2 1B and Llama 3.1 8B."""


def config(size: str, positions: int = 4096) -> LlamaConfig:
    """The configuration of a size; id 0 ends a text."""
    return LlamaConfig(
        **SIZES[size],
        max_position_embeddings=positions,
        tie_word_embeddings=size == "1b",
        bos_token_id=1,
        eos_token_id=0,
        pad_token_id=0,
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """A token for every byte, and the two special ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: place for place, text in enumerate([*SPECIAL, *letters])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=SPECIAL[0], bos_token=SPECIAL[1]
    )


def write(folder: Path, size: str, seed: int = 7) -> Path:
    """Write a model directory as `save_pretrained` does."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config(size))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
