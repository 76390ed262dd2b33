"""Triton programs of the engine. Whatever they sum, they sum in an order that position decides.

Every program takes keys (or a row's logits) in blocks that begin at a multiple of the block's size,
and stops at the end of its own chunk or row: what else is in a pass changes no bit of a result.
Strides are in elements. `*_W` are widths in memory, `*_P` the same rounded up to a power of two.
"""

# triton reads these functions as source, with its own names for types
# mypy: ignore-errors
# ruff: noqa: N803, PLR0917

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def summed(query, key, value, seen, most, total, out, scale, PRECISION: tl.constexpr):
    """One more block of keys: the highest score so far, the sum of shares, the weighted values.

    Scores are in units of log 2; what is not `seen` has no share.
    """
    score = tl.dot(query, tl.trans(key), input_precision=PRECISION) * (scale * LOG2E)
    score = tl.where(seen, score, float("-inf"))
    higher = tl.maximum(most, tl.max(score, 1))
    share = tl.exp2(score - higher[:, None])
    fade = tl.exp2(most - higher)
    total = total * fade + tl.sum(share, 1)
    out = tl.dot(share.to(value.dtype), value, out * fade[:, None], input_precision=PRECISION)
    return higher, total, out


@triton.jit
def tree_attention(
    Q, K, V, OUT, ROWS, SLOTS, OFFSETS, LENGTHS, scale,
    q_head, q_row, k_head, k_slot, v_head, v_slot, o_row, o_head, repeats,
    SIZE: tl.constexpr, GROUP: tl.constexpr, K_W: tl.constexpr, K_P: tl.constexpr,
    V_W: tl.constexpr, V_P: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Causal attention of chunks of `SIZE` positions of one path each, over that whole path.

    Program (c, k, g): chunk c, `GROUP` of the `repeats` query heads that share key head k. Row
    `ROWS[c * SIZE + i]` (-1: nobody) stands at the chunk's i-th position; `LENGTHS[c]` slots from
    `OFFSETS[c]` on name the states of positions 0 to the chunk's end; none: there is no chunk.
    """
    chunk, head = tl.program_id(0), tl.program_id(1)
    length = tl.load(LENGTHS + chunk)
    if length > 0:
        lane = tl.arange(0, SIZE * GROUP)
        place = lane // GROUP
        repeat = tl.program_id(2) * GROUP + lane % GROUP
        row = tl.load(ROWS + chunk * SIZE + place)
        live = (row >= 0) & (repeat < repeats)
        row = tl.where(live, row, 0).to(tl.int64)
        first = tl.load(OFFSETS + chunk)
        position = length - SIZE + place
        k_at, v_at = tl.arange(0, K_P), tl.arange(0, V_P)
        q_from = Q + (head * repeats + repeat).to(tl.int64) * q_head + row * q_row
        query = tl.load(
            q_from[:, None] + k_at[None, :], mask=live[:, None] & (k_at < K_W)[None, :], other=0.0
        )
        most = tl.full([SIZE * GROUP], float("-inf"), tl.float32)
        total = tl.zeros([SIZE * GROUP], tl.float32)
        out = tl.zeros([SIZE * GROUP, V_P], tl.float32)
        for start in range(0, length, BLOCK):
            at = start + tl.arange(0, BLOCK)
            slot = tl.load(SLOTS + first + at, mask=at < length, other=0).to(tl.int64)
            key = tl.load(
                K + head * k_head + slot[:, None] * k_slot + k_at[None, :],
                mask=(at < length)[:, None] & (k_at < K_W)[None, :], other=0.0,
            )  # fmt: skip
            value = tl.load(
                V + head * v_head + slot[:, None] * v_slot + v_at[None, :],
                mask=(at < length)[:, None] & (v_at < V_W)[None, :], other=0.0,
            )  # fmt: skip
            seen = at[None, :] <= position[:, None]
            most, total, out = summed(query, key, value, seen, most, total, out, scale, PRECISION)
        out = out / total[:, None]
        o_to = OUT + row * o_row + (head * repeats + repeat).to(tl.int64) * o_head
        tl.store(
            o_to[:, None] + v_at[None, :],
            out.to(OUT.dtype.element_ty),
            mask=live[:, None] & (v_at < V_W)[None, :],
        )


@triton.jit
def append_states(
    K, V, KEYS, VALUES, TABLE, LENGTHS, k_head, k_row, v_head, v_row, spans,
    SPAN: tl.constexpr, K_W: tl.constexpr, K_P: tl.constexpr, V_W: tl.constexpr,
    V_P: tl.constexpr,
):  # fmt: skip
    """Put each row's new key and value behind the `LENGTHS[row]` that its pages hold.

    Program (row, head). A row of length -1 is nobody's. `TABLE` [rows, spans] names the page of
    each span; pages are [heads, SPAN, width].
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    length = tl.load(LENGTHS + row)
    if length >= 0:
        page = tl.load(TABLE + row * spans + length // SPAN).to(tl.int64)
        slot = (page * tl.num_programs(1) + head) * SPAN + length % SPAN
        at = tl.arange(0, K_P)
        new = tl.load(K + head * k_head + row * k_row + at, mask=at < K_W)
        tl.store(KEYS + slot * K_W + at, new, mask=at < K_W)
        at = tl.arange(0, V_P)
        new = tl.load(V + head * v_head + row * v_row + at, mask=at < V_W)
        tl.store(VALUES + slot * V_W + at, new, mask=at < V_W)


@triton.jit
def decode_attention(
    Q, KEYS, VALUES, PARTS, SUMS, PAGES, SPANS, ROWS, LENGTHS, scale,
    q_head, q_row, repeats, spans,
    SIZE: tl.constexpr, GROUP: tl.constexpr, K_W: tl.constexpr, K_P: tl.constexpr,
    V_W: tl.constexpr, V_P: tl.constexpr, SPAN: tl.constexpr, BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """One new token of each of up to `SIZE` rows over the keys of one page that they share.

    Program (item, key head, g): page `PAGES[item]` (-1: no item), which is span `SPANS[item]` of
    rows `ROWS[item * SIZE ...]` (-1: nobody), for `GROUP` of the query heads. Only a page that a
    row has to itself may be filled in part. Writes each row's result to PARTS [rows, heads, spans,
    V_W] and its log2-sum-exp to SUMS [rows, heads, spans].
    """
    item, head = tl.program_id(0), tl.program_id(1)
    page = tl.load(PAGES + item).to(tl.int64)
    if page >= 0:
        lane = tl.arange(0, SIZE * GROUP)
        row = tl.load(ROWS + item * SIZE + lane // GROUP)
        repeat = tl.program_id(2) * GROUP + lane % GROUP
        live = (row >= 0) & (repeat < repeats)
        row = tl.where(live, row, 0).to(tl.int64)
        span = tl.load(SPANS + item)
        # of the first row: a page with others behind it is full
        length = tl.load(LENGTHS + tl.load(ROWS + item * SIZE)).to(tl.int32)
        end = tl.minimum(length + 1 - span * SPAN, SPAN)
        k_at, v_at = tl.arange(0, K_P), tl.arange(0, V_P)
        q_from = Q + (head * repeats + repeat).to(tl.int64) * q_head + row * q_row
        query = tl.load(
            q_from[:, None] + k_at[None, :], mask=live[:, None] & (k_at < K_W)[None, :], other=0.0
        )
        first = (page * tl.num_programs(1) + head) * SPAN
        most = tl.full([SIZE * GROUP], float("-inf"), tl.float32)
        total = tl.zeros([SIZE * GROUP], tl.float32)
        out = tl.zeros([SIZE * GROUP, V_P], tl.float32)
        for start in range(0, end, BLOCK):
            at = start + tl.arange(0, BLOCK)
            key = tl.load(
                KEYS + (first + at)[:, None] * K_W + k_at[None, :],
                mask=(at < end)[:, None] & (k_at < K_W)[None, :], other=0.0,
            )  # fmt: skip
            value = tl.load(
                VALUES + (first + at)[:, None] * V_W + v_at[None, :],
                mask=(at < end)[:, None] & (v_at < V_W)[None, :], other=0.0,
            )  # fmt: skip
            seen = (at < end)[None, :]
            most, total, out = summed(query, key, value, seen, most, total, out, scale, PRECISION)
        heads = tl.num_programs(1) * repeats
        to = (row * heads + head * repeats + repeat) * spans + span
        tl.store(SUMS + to, most + tl.log2(total), mask=live)
        tl.store(
            PARTS + to[:, None] * V_W + v_at[None, :],
            out / total[:, None],
            mask=live[:, None] & (v_at < V_W)[None, :],
        )


@triton.jit
def merge_spans(
    PARTS, SUMS, OUT, LENGTHS, o_row, o_head, spans,
    SPAN: tl.constexpr, V_W: tl.constexpr, V_P: tl.constexpr,
):  # fmt: skip
    """Merge a row's spans, from the first on; zeros for a row of length -1. Program (row, head)."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    length = tl.load(LENGTHS + row)
    at = tl.arange(0, V_P)
    most = tl.full([1], float("-inf"), tl.float32)
    total = tl.zeros([1], tl.float32)
    out = tl.zeros([V_P], tl.float32)
    base = (row * tl.num_programs(1) + head) * spans
    for span in range(0, tl.where(length >= 0, length // SPAN + 1, 0)):
        weight = tl.load(SUMS + base + span)
        part = tl.load(PARTS + (base + span) * V_W + at, mask=at < V_W, other=0.0)
        higher = tl.maximum(most, weight)
        fade, share = tl.exp2(most - higher), tl.exp2(weight - higher)
        out = out * fade + part * share
        total = total * fade + share
        most = higher
    out = tl.where(total > 0.0, out / total, tl.where(total == 0.0, 0.0, total))
    to = OUT + row * o_row + head * o_head + at
    tl.store(to, out.to(OUT.dtype.element_ty), mask=at < V_W)


@triton.jit
def move_states(
    STATES, PAGES, SLOTS, OFFSETS, LENGTHS, PLACES, s_head, s_slot,
    SPAN: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Copy spans of states to pages [heads, SPAN, WIDTH]. Program (span, head, block of it).

    `LENGTHS[span]` slots from `OFFSETS[span]` on go to the front of page `PLACES[span]`.
    """
    span, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    length, first = tl.load(LENGTHS + span), tl.load(OFFSETS + span)
    position = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    at = tl.arange(0, PADDED)
    mask = (position < length)[:, None] & (at < WIDTH)[None, :]
    slot = tl.load(SLOTS + first + position, mask=position < length, other=0).to(tl.int64)
    state = tl.load(STATES + head * s_head + slot[:, None] * s_slot + at[None, :], mask=mask)
    page = tl.load(PLACES + span).to(tl.int64)
    to = PAGES + (page * tl.num_programs(1) + head) * SPAN * WIDTH
    tl.store(to + position[:, None] * WIDTH + at[None, :], state, mask=mask)


@triton.jit
def row_chances(LOGITS, MOST, TOTAL, BEST, row_stride, vocab, BLOCK: tl.constexpr):
    """Of each row of logits: maximum, log(sum(exp(logit - maximum))), place of the first maximum.

    One NaN or +inf among the logits, or nothing but -inf, makes the second one NaN.
    """
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    most = tl.full([1], float("-inf"), tl.float32)
    total = tl.zeros([1], tl.float32)
    best = tl.zeros([1], tl.int32)
    for start in range(0, vocab, BLOCK):
        at = start + lane
        logit = tl.load(LOGITS + row * row_stride + at, mask=at < vocab, other=float("-inf"))
        logit = logit.to(tl.float32)
        peak = tl.max(logit, 0)
        place = tl.min(tl.where(logit == peak, at, vocab), 0)
        best = tl.where(peak > most, place, best)
        higher = tl.maximum(most, peak)
        # nothing but -inf so far: exp(-inf - -inf) would be NaN where a later block is finite
        floor = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp(most - floor) + tl.sum(tl.exp(logit - floor), 0)
        most = higher
    tl.store(MOST + row + tl.zeros([1], tl.int32), most)
    # a row of nothing but -inf sums to zero
    spread = tl.where(total > 0.0, tl.log(total), float("nan"))
    tl.store(TOTAL + row + tl.zeros([1], tl.int32), spread)
    tl.store(BEST + row + tl.zeros([1], tl.int32), best)


@triton.jit
def rms_norm(X, WEIGHT, OUT, width, eps, PADDED: tl.constexpr):
    """Each row over its root mean square, rounded to the model's dtype, times the weight."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, PADDED)
    x = tl.load(X + row * width + at, mask=at < width, other=0.0).to(tl.float32)
    weight = tl.load(WEIGHT + at, mask=at < width, other=0.0).to(tl.float32)
    scale = 1.0 / tl.sqrt(tl.sum(x * x, 0) / width + eps)
    normal = (x * scale).to(OUT.dtype.element_ty).to(tl.float32)
    tl.store(OUT + row * width + at, (normal * weight).to(OUT.dtype.element_ty), mask=at < width)


@triton.jit
def rotate(
    X, COS, SIN, OUT, x_head, x_row, o_head, o_row, heads,
    HEADS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr,
):  # fmt: skip
    """Rotary positions of all heads of one token, each product rounded to the model's dtype."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, HEADS)
    at = tl.arange(0, PADDED)
    half: tl.constexpr = WIDTH // 2
    other = tl.where(at < half, at + half, at - half)
    mask = (head < heads)[:, None] & (at < WIDTH)[None, :]
    x_from = X + row * x_row + head[:, None] * x_head
    x = tl.load(x_from + at[None, :], mask=mask, other=0.0).to(tl.float32)
    turned = tl.load(x_from + other[None, :], mask=mask, other=0.0).to(tl.float32)
    turned = tl.where((at < half)[None, :], -turned, turned)
    cos = tl.load(COS + row * WIDTH + at, mask=at < WIDTH, other=0.0).to(tl.float32)
    sin = tl.load(SIN + row * WIDTH + at, mask=at < WIDTH, other=0.0).to(tl.float32)
    along = (x * cos[None, :]).to(OUT.dtype.element_ty).to(tl.float32)
    across = (turned * sin[None, :]).to(OUT.dtype.element_ty).to(tl.float32)
    to = OUT + row * o_row + head[:, None] * o_head + at[None, :]
    tl.store(to, (along + across).to(OUT.dtype.element_ty), mask=mask)
