"""Attention over a prefix tree, registered with transformers under the name `evalc`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from evalc.exec.kernels.choice import Kernel
from evalc.exec.layout.paths import PathStore
from evalc.exec.layout.shapes import Shapes
from evalc.exec.layout.tiles import Prefix, Tile
from evalc.exec.layout.transfer import moved

NAME = "evalc"
TILE = "evalc_tile"
MASKED = torch.ones(1, 1, 1, 1, dtype=torch.bool)
"""A mask of four dimensions, which models hand on as it is instead of making a causal one."""


INERT = frozenset(
    [
        *("position_ids", "use_cache", "cache_position", "output_attentions"),
        *("output_hidden_states", "output_router_logits", "return_dict"),
    ]
)
"""Options of attention functions that change nothing, whatever they are."""


class UnknownOptionError(Exception):
    """A layer asks for attention of a kind that a prefix tree does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"its attention takes `{name}`, which is not known on shared prefixes")


class Running(Protocol):
    """A pass whose layers ask it, one after the other, for their attention."""

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D]."""


class TileAttention:
    """One pass of a tile through the layers of a model.

    The order in which a query sums over its keys is a function of its position alone. The whole
    segments before it are one sum, which the kernel takes from position 0 on; the keys of its own
    segment are another, in a chunk where it stands at its position modulo the chunk's size; the
    two are merged by their log-sum-exps. Neighbours, the way the tree is cut and what was held
    before decide only which batch element a query is in, and elements do not mix.
    """

    def __init__(self, store: PathStore, tile: Tile, shapes: Shapes, kernel: Kernel) -> None:
        device = kernel.device

        self.store, self.tile, self.shapes, self.kernel = store, tile, shapes, kernel
        self.layer = 0
        self.chunk_rows = moved(tile.chunk_rows, device)
        self.chunk_keys = moved(tile.chunk_keys, device)
        self.group_rows, self.own_at = moved(tile.group_rows, device), moved(tile.own_at, device)
        self.prefix_at = moved(tile.prefix_at, device)
        self.prefix_keys = [
            None if prefix.keys is None else moved(prefix.keys, device) for prefix in tile.prefixes
        ]

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """The next layer: query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D]."""
        layer, self.layer = self.layer, self.layer + 1
        self.store.write(layer, key[0], value[0])
        keys, values = self.store.keys[layer], self.store.values[layer]
        rows = query[0].transpose(0, 1)
        rows = rows.reshape(rows.shape[0], keys.shape[0], -1, rows.shape[-1])
        out, lse = self._own(rows, keys, values, scaling)
        if self.tile.prefixes:
            before, weight = self._prefixes(rows, keys, values, scaling)
            share = torch.sigmoid(weight - lse)[..., None]
            out = torch.lerp(out.float(), before.float(), share)
        return out[None, : query.shape[2]].to(query.dtype)

    def _own(
        self, rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention within each query's segment: [A, H, D] and log-sum-exps [A, H]."""
        size = self.shapes.chunk
        queries = _together(rows.index_select(0, self.chunk_rows), size)
        near, these = (part.index_select(1, self.chunk_keys) for part in (keys, values))
        outs, sums = [], []
        for c in self.tile.chunks:
            part = slice(c.offset, c.offset + c.count * c.length)
            mine, theirs = (
                side[:, part].view(len(side), c.count, c.length, -1).transpose(0, 1)
                for side in (near, these)
            )
            mask = self.kernel.causal(size, c.length, rows.shape[2])
            found = self.kernel(queries[c.first : c.first + c.count], mine, theirs, scaling, mask)
            outs.append(_apart(found[0], size))
            sums.append(_apart(found[1][..., None], size))
        lse = torch.cat(sums).index_select(0, self.own_at)
        return torch.cat(outs).index_select(0, self.own_at), lse[..., 0]

    def _prefixes(
        self, rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention to the whole segments before each query; the sum of nothing is -inf."""
        picked = rows.index_select(0, self.group_rows)
        outs, sums = [], []
        for prefix, slots in zip(self.tile.prefixes, self.prefix_keys, strict=True):
            last = prefix.first + prefix.count * prefix.size
            queries = _together(picked[prefix.first : last], prefix.size)
            mine, theirs = (self._before(side, prefix, slots) for side in (keys, values))
            out, lse = self.kernel(queries, mine, theirs, scaling, None)
            outs.append(_apart(out, prefix.size))
            sums.append(_apart(lse[..., None], prefix.size))
        outs.append(torch.zeros_like(outs[0][:1]))
        sums.append(torch.full_like(sums[0][:1], -torch.inf))
        out = torch.cat(outs).index_select(0, self.prefix_at)
        return out, torch.cat(sums).index_select(0, self.prefix_at)[..., 0]

    def _before(
        self, states: torch.Tensor, prefix: Prefix, slots: torch.Tensor | None
    ) -> torch.Tensor:
        """The states of a prefix for each of its groups, [count, K, length, D], none copied."""
        if slots is None:
            tile = self.store.tile
            own = states[:, tile : tile + prefix.length]
        else:
            own = states.index_select(1, slots)
        return own[None].expand(prefix.count, -1, -1, -1)


def handed(running: Running) -> dict[str, Any]:
    """The options of a forward pass whose layers are to ask `running` for their attention."""
    return {TILE: running, "attention_mask": MASKED}


def _together(rows: torch.Tensor, size: int) -> torch.Tensor:
    """[n * size, K, G, D] -> [n, K, G * size, D]: the queries that share a head's keys."""
    _, heads, repeats, width = rows.shape
    grouped = rows.view(-1, size, heads, repeats, width).permute(0, 2, 3, 1, 4)
    return grouped.reshape(-1, heads, repeats * size, width)


def _apart(results: torch.Tensor, size: int) -> torch.Tensor:
    """[n, K, G * size, D] -> [n * size, K * G, D]."""
    count, heads, rows, width = results.shape
    split = results.reshape(count, heads, rows // size, size, width).permute(0, 3, 1, 2, 4)
    return split.reshape(count * size, -1, width)


def attend(  # noqa: PLR0917  transformers' signature
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention function: a tile's when the pass names one, otherwise SDPA."""
    running: Running | None = options.pop(TILE, None)
    if running is None:
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        return plain
    _require_plain(module, attention_mask, options)
    scale = float(np.sqrt(1.0 / query.shape[-1])) if scaling is None else scaling
    return running.attend(query, key, value, scale), None


def _require_plain(
    module: torch.nn.Module, mask: torch.Tensor | None, options: dict[str, Any]
) -> None:
    """Raise UnknownOptionError unless nothing but causal softmax attention is wanted."""
    for name, value in options.items():
        off = value is None or (name == "dropout" and value == 0.0)
        causal = name == "is_causal" and value is True
        if not (off or causal or name in INERT):
            raise UnknownOptionError(name)
    if getattr(module, "is_causal", True) is False:
        raise UnknownOptionError("is_causal")
    if mask is not None and (mask.numel() != 1 or mask.dtype != torch.bool):
        raise UnknownOptionError("attention_mask")


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
