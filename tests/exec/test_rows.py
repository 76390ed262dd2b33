"""Packs, rows and the cost model: what runs is decided here, without a model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.contract.packs import Ask, BuiltPack, PackColumns, built_pack
from evalc.exec.layout.batches import cut
from evalc.exec.layout.rows import scored_rows

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=8), min_size=1, max_size=20)


def rows_of(sequences: list[list[int]], conts: list[int]):
    asks = [
        Ask(ids, cont, key) for key, (ids, cont) in enumerate(zip(sequences, conts, strict=True))
    ]
    columns = PackColumns.of(built_pack("loglikelihood", asks))
    slots = np.concatenate([[0], np.cumsum(columns.req_cont)])
    return scored_rows(columns, range(len(columns)), slots, alone=False)


@given(SEQUENCES)
def test_a_built_pack_gives_every_request_its_ids_back(sequences: list[list[int]]) -> None:
    columns = PackColumns.of(built_pack("generate", [Ask(ids) for ids in sequences]))
    assert [columns.ids(r).tolist() for r in range(len(columns))] == sequences


@given(SEQUENCES)
def test_a_built_pack_stores_no_shared_prefix_twice(sequences: list[list[int]]) -> None:
    pack = built_pack("generate", [Ask(ids) for ids in sequences])
    prefixes = {tuple(ids[: n + 1]) for ids in sequences for n in range(len(ids))}
    assert len(pack.tokens) // 4 == len(prefixes)


@given(SEQUENCES, st.data())
def test_every_scored_token_has_one_target_on_one_row(sequences: list[list[int]], data) -> None:
    conts = [data.draw(st.integers(1, len(ids) - 1)) for ids in sequences]
    rows = rows_of(sequences, conts)
    offsets = np.concatenate([[0], np.cumsum(conts)])
    seen = []
    for row in rows:
        for at, token, slot in zip(row.at, row.tokens, row.slots, strict=True):
            request = int(np.searchsorted(offsets, slot, side="right")) - 1
            place = len(sequences[request]) - conts[request] + int(slot - offsets[request])
            assert sequences[request][place] == token
            assert sequences[request][:place] == row.ids[: at + 1].tolist()
            seen.append(int(slot))
    assert sorted(seen) == list(range(sum(conts)))


@given(SEQUENCES)
def test_no_row_is_the_beginning_of_another(sequences: list[list[int]]) -> None:
    rows = [tuple(row.ids.tolist()) for row in rows_of(sequences, [1] * len(sequences))]
    assert not [a for a in rows for b in rows if a != b and b[: len(a)] == a]
    assert len(set(rows)) == len(rows)
    assert rows == sorted(rows)


def test_single_token_choices_after_one_context_share_one_row() -> None:
    rows = rows_of([[5, 6, 7, choice] for choice in (1, 2, 3, 4)], [1] * 4)
    assert len(rows) == 1
    assert rows[0].ids.tolist() == [5, 6, 7]
    assert sorted(rows[0].tokens.tolist()) == [1, 2, 3, 4]


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=40).map(sorted),
    st.integers(1, 8),
    st.integers(1, 120),
)
def test_batches_cover_all_rows_within_their_limits(
    lengths: list[int], most: int, tokens: int
) -> None:
    ranges = cut(lengths, most, tokens, overhead=5)
    assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges)][:-1]
    assert ranges[-1][1] == len(lengths)
    for start, stop in ranges:
        count = stop - start
        assert count <= most
        assert count == 1 or count * lengths[stop - 1] <= tokens


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"node_offsets": np.asarray([0, 0, 2], "<u4").tobytes()}, "empty"),
        ({"node_parent": np.asarray([-1, 1], "<i4").tobytes()}, "parent"),
        ({"node_start": np.asarray([0, 5], "<u4").tobytes()}, "depth"),
        ({"req_node": np.asarray([7], "<u4").tobytes()}, "no node"),
        ({"kind": "guess"}, "kind"),
    ],
)
def test_a_malformed_pack_is_refused(change: dict[str, object], fault: str) -> None:
    sound = {
        "kind": "loglikelihood",
        "tokens": np.asarray([1, 2], "<u4").tobytes(),
        "node_offsets": np.asarray([0, 1, 2], "<u4").tobytes(),
        "node_parent": np.asarray([-1, 0], "<i4").tobytes(),
        "node_start": np.asarray([0, 1], "<u4").tobytes(),
        "req_node": np.asarray([1], "<u4").tobytes(),
        "req_cont": np.asarray([1], "<u4").tobytes(),
        "req_key": np.asarray([0], "<u4").tobytes(),
        "req_setting": b"",
    }
    assert len(PackColumns.of(BuiltPack(**sound))) == 1
    with pytest.raises(ValueError, match=fault):
        PackColumns.of(BuiltPack(**{**sound, **change}))
