"""What an architecture allows: which path its requests take, and why."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal

from transformers.cache_utils import DynamicCache, DynamicLayer

from evalc.exec.model.switches import SHIFTING, rope_types

Path = Literal["tree", "padded", "uniform"]


@dataclass(frozen=True, slots=True)
class Capability:
    """How requests of a model run.

    tree: every distinct token is computed once, on a prefix tree. padded: each row is computed
    whole, batched with right padding. uniform: only rows of one length share a batch. `reason` says
    what rules the better paths out. `tiles` are smaller token counts of a pass, in falling order,
    that gave the same bits in the self-check.
    """

    path: Path
    reason: str
    tiles: tuple[int, ...] = ()


def capability(model: Any, decoder: Any) -> Capability:
    """Judge a model by its config and signature; the self-check has the last word."""
    reason = _uneven(decoder)
    if reason is not None:
        return Capability("uniform", reason)
    reason = _unshareable(model, decoder)
    if reason is not None:
        return Capability("padded", reason)
    return Capability("tree", "every layer attends fully")


def _uneven(decoder: Any) -> str | None:
    """Why rows of different lengths cannot share a batch, if they cannot."""
    rope = rope_types(decoder)
    shifting = [name for name in SHIFTING if name in rope]
    if shifting:
        return f"its `{shifting[0]}` rotary scale depends on the length"
    try:
        layers = DynamicCache(config=decoder).layers
    except Exception as failure:
        return f"its cache layout is unknown ({type(failure).__name__})"
    if any("Linear" in type(layer).__name__ for layer in layers):
        return "it has recurrent layers, whose states cannot be padded"
    return None


def _unshareable(model: Any, decoder: Any) -> str | None:
    """Why one prefix cannot serve several rows, if it cannot."""
    layers = DynamicCache(config=decoder).layers
    kinds = {type(layer).__name__ for layer in layers if type(layer) is not DynamicLayer}
    if kinds:
        return f"its cache has {', '.join(sorted(kinds))} layers"
    if getattr(decoder, "attn_logit_softcapping", None):
        return "its attention scores have a soft cap"
    if getattr(decoder, "alibi", False):
        return "it uses ALiBi, whose bias follows the padded length"
    accepted = inspect.signature(model.forward).parameters
    if not {"position_ids", "past_key_values"} <= set(accepted):
        return "its forward pass takes no explicit positions"
    if not model._can_set_attn_implementation():
        return "its attention cannot be replaced through transformers' AttentionInterface"
    return None
