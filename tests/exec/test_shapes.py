"""Which token counts the passes over what is left of a pack have."""

from __future__ import annotations

import pytest

from evalc.exec.layout.shapes import Shapes, first_pass, narrowest

KNOWN = (128, 64, 32, 24, 16, 8)


def passes(left: int, known: tuple[int, ...] = KNOWN, overhead: int = 24) -> list[int]:
    found = []
    while left > 0:
        found.append(first_pass(left, 256, known, overhead))
        left -= found[-1]
    return found


@pytest.mark.parametrize(
    ("left", "widths"),
    [(1, [8]), (8, [8]), (9, [16]), (33, [64]), (70, [64, 8]), (129, [128, 8]), (240, [256]),
     (256, [256]), (600, [256, 256, 64, 24])],
)  # fmt: skip
def test_what_is_left_runs_in_the_passes_that_cost_the_least(left: int, widths: list[int]) -> None:
    assert passes(left) == widths


def test_without_smaller_counts_every_pass_is_a_usual_one() -> None:
    assert passes(300, ()) == [256, 256]


def test_a_pass_that_costs_much_by_itself_is_rather_padded_than_split() -> None:
    assert passes(70, overhead=100) == [128]


def test_rows_take_the_least_known_count_that_holds_them() -> None:
    assert [narrowest(rows, 32, KNOWN) for rows in (1, 8, 9, 20, 25, 32)] == [8, 8, 16, 24, 32, 32]
    assert narrowest(5, 32, ()) == 32


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_smaller_counts_rise_and_stay_below_a_tile(device: str) -> None:
    shapes = Shapes.of(device, "stable")
    assert list(shapes.steps) == sorted(shapes.steps)
    assert shapes.steps[-1] < shapes.tile
    assert shapes.decode in shapes.steps
