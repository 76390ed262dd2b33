"""Where a model comes from and how it is to be loaded, settled before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One model of a spec, resolved.

    `path` is a local model directory. `dtype` is float32, bfloat16 or float16; `device` is cpu or
    cuda; `numerics` is stable or fast. `max_length` bounds the tokens of prompt and output
    together.
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
