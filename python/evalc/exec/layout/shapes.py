"""The constant shapes at which a model's sums are taken, so that their bits do not vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

UNCUT = 1 << 30
"""A segment that no position reaches: the programs for GPUs take keys in blocks from 0 on."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """Token counts of every operation whose sums depend on its shape.

    A pass computes `tile` tokens, the output head `head` rows. Keys are attended in two parts,
    cut at the last multiple of `segment` that is not above the query's position: those before it by
    groups of `group` queries, those from it on by chunks of `chunk` queries at positions that begin
    at a multiple of `chunk`. `decode` rows generate together. With `padded`, what does not fill
    these counts is padded to them, or to one of the smaller counts `steps` if that is found to give
    the same bits; without, it is left short.
    """

    tile: int
    head: int
    segment: int
    chunk: int
    group: int
    decode: int
    steps: tuple[int, ...]
    padded: bool

    def __post_init__(self) -> None:
        if self.segment % self.chunk:
            raise ValueError("chunks do not fill a segment")

    @classmethod
    def of(cls, device: str, numerics: str, triton: bool = True) -> Shapes:
        """The shapes of `cpu` or `cuda`, `stable` or `fast`; on `cuda` with or without `triton`.

        Others give other bits, so `plan.identity.ENGINE_VERSION` covers them.
        """
        padded = numerics == "stable"
        if device == "cuda":
            segment, chunk = (UNCUT, 32) if triton else (512, 64)
            steps = (32, 64, 128, 256, 512, 1024)
            return cls(2048, 512, segment, chunk, chunk, 128, steps, padded)
        return cls(256, 64, 128, 16, 16, 32, (8, 16, 24, 32, 64, 128), padded)


def narrowest(count: int, usual: int, known: Sequence[int]) -> int:
    """The least of `known` that holds `count` rows and is below `usual`, otherwise `usual`."""
    return min((width for width in known if count <= width < usual), default=usual)


def first_pass(left: int, usual: int, known: tuple[int, ...], overhead: int) -> int:
    """Tokens of the first of the passes over `left` tokens that together cost the least.

    A pass of one of `known` or `usual` tokens costs those, filled or not, plus `overhead`.
    """
    return usual if left >= usual else _cheapest(left, usual, known, overhead)[1]


@lru_cache(maxsize=4096)
def _cheapest(left: int, usual: int, known: tuple[int, ...], overhead: int) -> tuple[int, int]:
    """What the passes over `left` tokens cost, and the tokens of the first: the most, on a tie."""
    if left <= 0:
        return 0, 0
    widths = {usual, *(width for width in known if width < usual)}
    costs = {
        width: width + overhead + _cheapest(left - width, usual, known, overhead)[0]
        for width in sorted(widths, reverse=True)
    }
    first = min(costs, key=costs.__getitem__)
    return costs[first], first
