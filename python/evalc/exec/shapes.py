"""The constant shapes at which a model's sums are taken, so that their bits do not vary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shapes:
    """Token counts of every operation whose sums depend on its shape.

    A pass computes `tile` tokens, the output head `head` rows. Keys are attended in two parts,
    cut at the last multiple of `segment` that is not above the query's position: those before it by
    groups of `group` queries, those from it on by chunks of `chunk` queries at positions that begin
    at a multiple of `chunk`. `decode` rows generate together. With `padded`, what does not fill
    these counts is padded to them; without, it is left short.
    """

    tile: int
    head: int
    segment: int
    chunk: int
    group: int
    decode: int
    padded: bool

    def __post_init__(self) -> None:
        if self.segment % self.chunk:
            raise ValueError("chunks do not fill a segment")

    @classmethod
    def of(cls, device: str, numerics: str) -> Shapes:
        """The shapes of `cpu` or `cuda`, `stable` or `fast`.

        Others give other bits, so `plan.identity.ENGINE_VERSION` covers them.
        """
        padded = numerics == "stable"
        if device == "cuda":
            return cls(2048, 512, 512, 64, 64, 128, padded)
        return cls(256, 128, 128, 16, 16, 32, padded)
