"""What tokens and rows of a model take in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

LIVE_WIDTHS = 12
"""Tensors of a layer's width that are taken to be alive at once in a pass."""
LIVE_LOGITS = 4
"""Float32 rows of the vocabulary's width that are alive at once: logits, softmax, their copies."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes: `state` that a kept token's keys and values take in all layers, `token` that one more
    token of a pass takes, `row` that a row of the output head takes, the last two estimated high.
    """

    state: int
    token: int
    row: int

    @classmethod
    def of(cls, decoder: Any, dtype: torch.dtype, vocab: int) -> Needs:
        """From the sizes that the configuration of a decoder names."""
        size = dtype.itemsize
        hidden = _number(decoder, "hidden_size", "n_embd", "d_model")
        inner = _number(decoder, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden
        layers = _number(decoder, "num_hidden_layers", "n_layer", "num_layers") or 1
        states = sum(_state_widths(decoder, hidden))
        return cls(
            state=max(1, size * layers * states),
            token=max(1, size * (LIVE_WIDTHS * hidden + 4 * inner + states)),
            row=4 * LIVE_LOGITS * vocab,
        )


def _state_widths(decoder: Any, hidden: int) -> tuple[int, int]:
    """Widths of a token's keys and values in one layer."""
    heads = _number(decoder, "num_attention_heads", "n_head") or 1
    if (value := _number(decoder, "v_head_dim")) and _number(decoder, "qk_rope_head_dim"):
        # latent attention (DeepSeek), unfolded as transformers keeps it
        nope, rope = (_number(decoder, f"qk_{part}_head_dim") for part in ("nope", "rope"))
        return heads * (nope + rope), heads * value
    groups = _number(decoder, "num_key_value_heads") or heads
    width = groups * (_number(decoder, "head_dim") or hidden // heads)
    return width, width


def _number(decoder: Any, *names: str) -> int:
    """The first of some sizes that a configuration has; 0 when it has none."""
    found = (getattr(decoder, name, None) for name in names)
    return next((int(value) for value in found if isinstance(value, int) and value > 0), 0)
