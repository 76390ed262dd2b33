"""Do elementwise operations give a token the same bits wherever it stands in a pass?

Torch cuts a large operation among threads by its elements. What is left of a part beyond the last
whole vector is computed one by one, for some functions with other bits, so where a cut falls inside
a vector, rows differ. How wide vectors are, and which functions differ, depends on the processor:
both are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional

APPLIED: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    *(functional.silu, torch.sigmoid, torch.tanh, functional.gelu, torch.exp),
    *(functional.softplus, functional.mish, functional.elu),
)
"""What models do to the numbers of a token, one by one."""
CANDIDATES = 4096
"""Numbers among which one is looked for that shows the difference: less than torch cuts."""


def widths_of(model: Any) -> tuple[int, ...]:
    """How many numbers a token has between layers: what linear layers take and give."""
    head = model.get_output_embeddings()
    found: set[int] = set()
    for part in model.modules():
        if isinstance(part, torch.nn.Linear) and part is not head:
            found |= {part.in_features, part.out_features}
    return tuple(sorted(found))


def same_everywhere(tokens: int, widths: Sequence[int], dtype: torch.dtype) -> bool:
    """Whether rows of equal numbers stay equal, [tokens, width] on a CPU, with torch's threads."""
    for width in widths:
        for apply, number in telling(dtype):
            wide = torch.full((tokens, 2 * width), number, dtype=dtype)
            for given in (wide[:, :width].contiguous(), wide[:, :width]):
                found = apply(given)
                if bool((found != found[:1]).any()):
                    return False
    return True


@lru_cache
def telling(dtype: torch.dtype) -> tuple[tuple[Callable[[torch.Tensor], torch.Tensor], float], ...]:
    """Operations that give a number other bits alone than in a vector, each with such a number."""
    numbers = torch.linspace(0.1, 6.0, CANDIDATES).to(dtype)
    found = []
    for apply in APPLIED:
        alone = torch.cat([apply(number[None]) for number in numbers])
        others = (apply(numbers) != alone).nonzero()
        if len(others):
            found.append((apply, float(numbers[others[0, 0]])))
    return tuple(found)
