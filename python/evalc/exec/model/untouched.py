"""Putting a model back to what it was before something was attached to it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import torch

WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
PIECE = 1 << 22


class Untouched:
    """The modules of a model, what hangs on each, and a sum over the bits of its tensors.

    Putting back undoes what replaces or adds modules, hooks and attributes, as adapters do; the
    sum tells whether anything wrote into the tensors themselves, as some kinds of adapters do.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._modules = [(part, type(part), _shallow(vars(part))) for part in model.modules()]
        self._state = _state(model)

    def put_back(self) -> bool:
        """Whether the model is what it was, down to every tensor."""
        for part, kind, attributes in self._modules:
            part.__class__ = kind
            vars(part).clear()
            vars(part).update(_shallow(attributes))
        return _state(self._model) == self._state


def _shallow(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which containers are copies too, and what they hold is not."""
    return {
        name: copy(value) if isinstance(value, dict | list | set) else value
        for name, value in attributes.items()
    }


def _state(model: torch.nn.Module) -> tuple[dict[str, Any], dict[str, int]]:
    """The configuration, and a sum over the bits of each parameter and buffer."""
    config: Any = model.config
    named = [*model.named_parameters(), *model.named_buffers()]
    return config.to_dict(), {name: _bit_sum(tensor) for name, tensor in named}


def _bit_sum(tensor: torch.Tensor) -> int:
    """The sum of a tensor's bits taken as integers, modulo 2**64."""
    flat = tensor.detach().reshape(-1)
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    words = flat.view(WORDS[flat.element_size()])
    places = range(0, len(words), PIECE)
    sums = [words[place : place + PIECE].sum(dtype=torch.int64) for place in places]
    return int(torch.stack(sums).sum()) if sums else 0
