"""Where a model comes from and how it is to be loaded, settled before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One model of a spec, resolved.

    `path` is a local model directory. `dtype` is float32, bfloat16 or float16; `device` is cpu or
    cuda; `numerics` is stable or fast. `max_length` bounds the tokens of prompt and output
    together. `base` is a digest of what the base model is, whatever its path; empty where nobody
    has worked it out, and the path stands for it. `adapter` may be `path` itself, where the model's
    folder is an adapter's too.
    """

    name: str
    path: Path
    dtype: str
    device: str
    adapter: Path | None
    quantization: str | None
    trust_remote_code: bool
    max_length: int
    numerics: str
    base: str = ""

    @property
    def adapted(self) -> str | None:
        """Where the adapter comes from, for people; None without one."""
        if self.adapter is None:
            return None
        return "the adapter in its folder" if self.adapter == self.path else str(self.adapter)

    @property
    def load(self) -> tuple[str, ...]:
        """Equal for models that one load of a base model serves."""
        flags = (self.quantization or "", str(self.trust_remote_code))
        return (self.base or str(self.path), self.dtype, self.device, *flags)


def in_turn(sources: Sequence[ModelSource]) -> list[int]:
    """Places of `sources` in the order that loads least.

    Those of one load follow each other, without an adapter first; otherwise the order stays.
    """
    first: dict[tuple[str, ...], int] = {}
    for place, source in enumerate(sources):
        first.setdefault(source.load, place)

    def turn(place: int) -> tuple[int, bool, int]:
        source = sources[place]
        return first[source.load], source.adapter is not None, place

    return sorted(range(len(sources)), key=turn)
