"""Launching the Triton programs on torch tensors."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from evalc.exec.kernels import programs as kernels

SPAN = 256
"""Keys of a decoding row are summed span by span, counted from position 0."""
TOGETHER = 16
"""Rows that one program of a decode step takes together, when they share a page."""
LEAST = 16
"""Rows or keys of the smallest product of a tensor core."""
GROUPED = 4
"""Query heads of one key head that a program takes together, at most."""
STAGES = 2
"""Blocks of keys and values that are in shared memory at once."""
SHARED = 101_376
"""Bytes of shared memory that a program may take where torch does not say how many."""
VOCABULARY = 4096
"""Logits that a program takes at once."""


class Chunks(NamedTuple):
    """What a pass attends, int32: rows [C * size], slots, each chunk's offset and length [C]."""

    rows: torch.Tensor
    slots: torch.Tensor
    offsets: torch.Tensor
    lengths: torch.Tensor


class Items(NamedTuple):
    """What a decode step attends, int32: pages [I], their spans [I], rows [I * TOGETHER].

    A page of -1 is no item, a row of -1 nobody.
    """

    pages: torch.Tensor
    spans: torch.Tensor
    rows: torch.Tensor


class Moves(NamedTuple):
    """Spans to be copied, int32: slots, each span's offset, length and page [S]."""

    slots: torch.Tensor
    offsets: torch.Tensor
    lengths: torch.Tensor
    pages: torch.Tensor


def padded_width(width: int) -> int:
    """The power of two that holds `width` elements, as Triton wants it, at least 16."""
    return max(16, 1 << (width - 1).bit_length())


@lru_cache(maxsize=8)
def shared_bytes(device: torch.device) -> int:
    """Shared memory that a program may take on a device; interpreted, as on a small one."""
    if device.type != "cuda":
        return SHARED
    properties = torch.cuda.get_device_properties(device)
    return int(getattr(properties, "shared_memory_per_block_optin", SHARED))


def fitting(size: int, repeats: int, states: torch.Tensor, wide: int) -> tuple[int, int]:
    """Query heads and keys that a program over `size` rows takes at once.

    As many as the device's shared memory holds: a function of the model and the device alone.
    """
    group, block = grouped(repeats), block_of(states)
    width, room = padded_width(states.shape[-1]), shared_bytes(states.device)

    def taken() -> int:
        blocks = STAGES * block * (width + padded_width(wide))
        return states.element_size() * (size * group * width + blocks)

    while taken() > room and group > 1:
        group //= 2
    while taken() > room and block > LEAST:
        block //= 2
    return group, block


def along(states: torch.Tensor) -> torch.Tensor:
    """`states` with elements of a row next to each other, as every program reads them."""
    return states if states.stride(-1) == 1 else states.contiguous()


def grouped(repeats: int) -> int:
    """How many of the query heads that share a key head a program takes."""
    return min(GROUPED, 1 << (repeats - 1).bit_length())


def block_of(states: torch.Tensor) -> int:
    """Keys that a program takes at once: fewer where a state is large."""
    return 64 if padded_width(states.shape[-1]) * states.element_size() <= 256 else 32


def attend_tree(
    query: torch.Tensor,
    states: tuple[torch.Tensor, torch.Tensor],
    chunks: Chunks,
    size: int,
    scaling: float,
) -> torch.Tensor:
    """query [H, T, D] on states [K, S, D] and [K, S, E]: [T, H, E]; see `tree_attention`.

    Rows that no chunk names are zero.
    """
    query = along(query)
    keys, values = states
    heads, tokens, width = query.shape
    groups, wide = keys.shape[0], values.shape[-1]
    repeats = heads // groups
    group, block = fitting(size, repeats, keys, wide)
    out = query.new_zeros(tokens, heads, wide)
    kernels.tree_attention[(len(chunks.offsets), groups, -(-repeats // group))](
        query, keys, values, out, *chunks, scaling,
        query.stride(0), query.stride(1), *keys.stride()[:2], *values.stride()[:2],
        *out.stride()[:2], repeats,
        SIZE=size, GROUP=group, K_W=width, K_P=padded_width(width),
        V_W=wide, V_P=padded_width(wide), BLOCK=block, PRECISION="ieee",
        num_warps=4 if size * group <= 64 else 8, num_stages=STAGES,
    )  # fmt: skip
    return out


def append(
    new: tuple[torch.Tensor, torch.Tensor],
    pages: tuple[torch.Tensor, torch.Tensor],
    table: torch.Tensor,
    lengths: torch.Tensor,
) -> None:
    """New keys [K, W, D] and values [K, W, E] go behind the `lengths` [W] that pages hold.

    Pages are [P, K, SPAN, D or E]; `table` int32[W, spans] names those of each row.
    """
    key, value = (along(side) for side in new)
    heads, rows, width = key.shape
    wide = value.shape[-1]
    kernels.append_states[(rows, heads)](
        key, value, *pages, table, lengths, *key.stride()[:2], *value.stride()[:2],
        table.shape[1], SPAN=SPAN, K_W=width, K_P=padded_width(width),
        V_W=wide, V_P=padded_width(wide), num_warps=1,
    )  # fmt: skip


def attend_pages(
    query: torch.Tensor,
    pages: tuple[torch.Tensor, torch.Tensor],
    items: Items,
    lengths: torch.Tensor,
    scratch: tuple[torch.Tensor, torch.Tensor],
    *,
    scaling: float,
) -> torch.Tensor:
    """query [H, W, D] on the pages of each row, [P, K, SPAN, D] and [P, K, SPAN, E]: [W, H, E].

    A row attends to its `lengths` [W] keys and the one behind them; a row of length -1 is zero.
    `scratch` is float32 [W, H, spans, E] and [W, H, spans].
    """
    query = along(query)
    keys, values = pages
    heads, rows, width = query.shape
    groups, wide = keys.shape[1], values.shape[-1]
    parts, sums = scratch
    spans = sums.shape[-1]
    repeats = heads // groups
    group, block = fitting(TOGETHER, repeats, keys, wide)
    kernels.decode_attention[(len(items.pages), groups, -(-repeats // group))](
        query, keys, values, parts, sums, *items, lengths, scaling,
        query.stride(0), query.stride(1), repeats, spans,
        SIZE=TOGETHER, GROUP=group, K_W=width, K_P=padded_width(width),
        V_W=wide, V_P=padded_width(wide), SPAN=SPAN, BLOCK=block, PRECISION="ieee",
        num_warps=4, num_stages=STAGES,
    )  # fmt: skip
    out = torch.empty(rows, heads, wide, dtype=query.dtype, device=query.device)
    kernels.merge_spans[(rows, heads)](
        parts, sums, out, lengths, *out.stride()[:2], spans,
        SPAN=SPAN, V_W=wide, V_P=padded_width(wide), num_warps=1,
    )  # fmt: skip
    return out


def move(states: torch.Tensor, pages: torch.Tensor, moves: Moves) -> None:
    """States [K, S, D] of spans go to the front of pages [P, K, SPAN, D]."""
    width, block = states.shape[-1], 64
    kernels.move_states[(len(moves.pages), states.shape[0], -(-SPAN // block))](
        states, pages, *moves, *states.stride()[:2],
        SPAN=SPAN, WIDTH=width, PADDED=padded_width(width), BLOCK=block, num_warps=4,
    )  # fmt: skip


def chances(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of logits [R, vocab]: float32 maxima [R], log-sum-exps above them [R], int32 argmaxes [R].

    The second is NaN where a row has a NaN or +inf, or is -inf throughout.
    """
    count, vocab = logits.shape
    most = torch.empty(count, dtype=torch.float32, device=logits.device)
    spread, best = torch.empty_like(most), torch.empty_like(most, dtype=torch.int32)
    if count:
        kernels.row_chances[(count,)](
            logits, most, spread, best, logits.stride(0), vocab, BLOCK=VOCABULARY, num_warps=8
        )
    return most, spread, best
