"""Pages of decoding rows: shared exactly where ids are, given back, never two things at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pages = pytest.importorskip("evalc.exec.passes.pages", reason="torch is here without Triton")
from evalc.exec.layout.paths import PathStore  # noqa: E402

SPAN, CAPACITY, LONGEST = 4, 5, 20
INPUTS = st.lists(st.integers(0, 1), min_size=1, max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.lists(INPUTS, min_size=1, max_size=CAPACITY)),
        st.tuples(st.just("drop"), st.integers(0, CAPACITY - 1)),
        st.tuples(st.just("grow"), st.integers(0, CAPACITY - 1)),
    ),
    max_size=30,
)


@pytest.fixture(autouse=True, scope="module")
def short_spans() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "SPAN", SPAN)
        yield


class Model:
    """The same rows, as lists of ids with what was generated behind them (-1: nobody shares it)."""

    def __init__(self) -> None:
        self.held = pages.Pages(CAPACITY, LONGEST, torch.device("cpu"))
        self.rows: list[tuple[list[int], int]] = []

    def join(self, inputs: list[list[int]]) -> None:
        inputs = inputs[: CAPACITY - len(self.rows)]
        if inputs:
            ids = [np.asarray(one, dtype=np.int64) for one in inputs]
            self.held.join(PathStore(8), [np.arange(len(one)) for one in inputs], ids)
            self.rows += [(one, len(one)) for one in inputs]

    def drop(self, number: int) -> None:
        if number < len(self.rows):
            self.held.drop(number)
            self.rows[number] = self.rows[-1]
            self.rows.pop()

    def grow(self, number: int) -> None:
        """One more token for a row."""
        if number < len(self.rows) and self.rows[number][1] < LONGEST:
            ids, length = self.rows[number]
            needed = length % SPAN == 0
            assert self.held.grow(self.held.rows[number], length) == needed
            self.rows[number] = (ids, length + 1)

    def check(self) -> None:
        held = self.held
        assert len(held.rows) == len(self.rows)
        assert len({row.place for row in held.rows}) == len(self.rows)
        owners: dict[int, set[tuple[object, ...]]] = {}
        for number, (row, (ids, length)) in enumerate(zip(held.rows, self.rows, strict=True)):
            assert len(row.pages) == -(-length // SPAN)
            for span, page in enumerate(row.pages):
                end = (span + 1) * SPAN
                content = ("shared", *ids[:end]) if end <= len(ids) else ("own", number, span)
                owners.setdefault(page, set()).add(content)
        assert all(len(contents) == 1 for contents in owners.values())
        contents = [content for found in owners.values() for content in found]
        assert len(contents) == len(set(contents)), "what is the same has one page"
        used = Counter(page for row in held.rows for page in row.pages)
        assert held.users == used
        assert sorted([*held._unused, *used]) == list(range(CAPACITY * held.spans))

    def check_items(self) -> None:
        expected = Counter(
            (page, span, row.place) for row in self.held.rows for span, page in enumerate(row.pages)
        )
        found = Counter(
            (page, span, place) for page, span, places in self.held.items() for place in places
        )
        assert found == expected
        assert all(len(places) <= pages.TOGETHER for _, _, places in self.held.items())


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_pages_are_shared_where_ids_are_and_nowhere_else(steps: list[tuple[str, object]]) -> None:
    model = Model()
    for name, argument in steps:
        getattr(model, name)(argument)
        model.check()
        model.check_items()


def test_a_span_is_named_by_everything_up_to_its_end() -> None:
    one = pages.names_of(np.array([1, 2, 3, 4, 5, 6, 7, 8, 9]))
    other = pages.names_of(np.array([0, 2, 3, 4, 5, 6, 7, 8, 9]))
    assert one[2] == other[2] == b"", "the last span is not full"
    assert one[0] != other[0] and one[1] != other[1] and one[0] != one[1]
    assert pages.names_of(np.array([1, 2, 3, 4]))[0] == one[0]
