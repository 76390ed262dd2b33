"""Lengths at which a model changes what it computes, and how short rows are tried beyond them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

WINDOWS = (
    *("sliding_window", "attention_chunk_size", "window_size", "sliding_window_size"),
    *("attention_window_size", "local_attention", "local_attn_chunk_length"),
)
"""What configs call the number of tokens that a query looks back over."""
ORIGINAL = "original_max_position_embeddings"
"""Up to so many tokens a `longrope` model turns by its short factors, beyond them by its long."""
SHIFTING = ("dynamic", "longrope")
NARROW = 16
CROSSED = 40
"""What a window and a rotary switch are set to, so that trial rows lie on both sides of them."""


@dataclass(frozen=True, slots=True)
class Switch:
    """An attribute of a config and the length that it names."""

    name: str
    at: int

    @property
    def small(self) -> int:
        """The length that a trial sets instead."""
        return CROSSED if self.name == ORIGINAL else NARROW


def switches(decoder: Any) -> list[Switch]:
    """The switches that a config names, but for those that short rows cross anyway."""
    found = []
    for name in WINDOWS:
        at = getattr(decoder, name, None)
        if isinstance(at, int) and not isinstance(at, bool) and at > CROSSED:
            found.append(Switch(name, at))
    if "longrope" in rope_types(decoder):
        lengths = [getattr(decoder, ORIGINAL, None)]
        lengths += [part.get(ORIGINAL) for part in _ropes(decoder)]
        named = [at for at in lengths if isinstance(at, int)]
        if named and min(named) > CROSSED:
            found.append(Switch(ORIGINAL, min(named)))
    return found


def rope_types(decoder: Any) -> set[str]:
    """The rotary scaling types a config names, in the old and the new spelling."""
    return {str(part.get(name)) for part in _ropes(decoder) for name in ("rope_type", "type")}


@contextmanager
def narrowed(model: Any, switch: Switch) -> Iterator[None]:
    """Until the block ends, `switch` is at its small length wherever the model says its own."""
    with ExitStack() as stack:
        for holder in _holders(model):
            if isinstance(holder, dict):
                if holder.get(switch.name) == switch.at:
                    stack.callback(holder.__setitem__, switch.name, switch.at)
                    holder[switch.name] = switch.small
            elif vars(holder).get(switch.name) == switch.at:
                stack.callback(setattr, holder, switch.name, switch.at)
                setattr(holder, switch.name, switch.small)
        yield


def _holders(model: Any) -> list[Any]:
    """Modules, configs and rotary parameters, each once."""
    found: dict[int, Any] = {}
    for part in model.modules():
        config = getattr(part, "config", None)
        decoder = None if config is None else config.get_text_config(decoder=True)
        for holder in (part, config, decoder):
            if holder is not None:
                found[id(holder)] = holder
        for holder in (config, decoder):
            found |= {id(rope): rope for rope in _ropes(holder)}
    return list(found.values())


def _ropes(config: Any) -> list[dict[str, Any]]:
    """A config's rotary parameters: one dictionary, or one for each kind of layer."""
    found = []
    for name in ("rope_parameters", "rope_scaling"):
        entry = getattr(config, name, None)
        if isinstance(entry, Mapping):
            found += [part for part in (entry, *entry.values()) if isinstance(part, dict)]
    return found


def dynamic_rotaries(model: Any) -> list[Any]:
    """The modules that `refresh` is for."""
    return [
        part
        for part in model.modules()
        if hasattr(part, "max_seq_len_cached") and "dynamic" in str(getattr(part, "rope_type", ""))
    ]


def refresh(rotary: Any) -> None:
    """Let a `dynamic` rotary embedding forget the longest row that it has seen.

    It keeps its frequencies for shorter rows, so that what was asked before would act on a row.
    """
    for name in list(vars(rotary)) + list(rotary._buffers):
        if name.endswith("original_inv_freq"):
            prefix = name.removesuffix("original_inv_freq")
            kept = getattr(rotary, name).to(getattr(rotary, f"{prefix}inv_freq").device)
            rotary.register_buffer(f"{prefix}inv_freq", kept.clone(), persistent=False)
            setattr(rotary, f"{prefix}max_seq_len_cached", rotary.original_max_seq_len)
