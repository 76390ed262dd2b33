"""Linear layers of a CPU model in the layout that oneDNN's matrix products read fastest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from evalc.exec.memory.budget import attempted, is_out_of_memory

TRIED = 8
"""Tokens of the call that is compared before and after packing."""
LONGEST = 640
"""Inputs of one product: oneDNN sums them in one chain, whose error grows with its length."""
ALLOWED = 1e-3
"""The largest difference of a logit that is allowed between them, over the largest logit."""


class PackedLinear(torch.nn.Linear):
    """A linear layer whose weight was reordered once instead of in every product.

    `packed` are pieces of at most `LONGEST` columns of the weight, in an opaque layout. Where no
    other module uses the weight, `weight` is a piece too and the plain one is given back; who reads
    such a weight other than through this layer is refused by torch.
    """

    packed: list[torch.Tensor]
    plain: torch.nn.Parameter

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """input [..., K] -> [..., N]."""
        first, *others = self.packed
        if not others:
            return product(input, first, self.bias)
        parts = torch.split(input, [piece.shape[1] for piece in self.packed], dim=-1)
        found = product(parts[0].contiguous(), first, self.bias)
        for part, piece in zip(parts[1:], others, strict=True):
            found += product(part.contiguous(), piece, None)
        return found


def product(given: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """given [..., K] times a packed weight [N, K], plus bias [N]: [..., N]."""
    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(given, packed, bias, "none", [], "")
    return found


def reordered(weight: torch.Tensor) -> torch.Tensor:
    """A float32 weight [N, K] in oneDNN's own layout."""
    found: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
    return found


def pack(model: Any) -> bool:
    """Whether the float32 linear layers of a CPU `model` could be packed, and now are.

    They cannot where torch has no oneDNN, or where the model's own call then fails or gives
    something else: some architectures read a layer's weight themselves. Raises torch's own error
    when memory runs out.
    """
    backend: Any = torch.backends.mkldnn
    layers = list(_layers(model)) if backend.is_available() else []
    if not layers:
        return False
    uses = Counter(id(own) for part in model.modules() for own in part._parameters.values())
    try:
        before = tried(model)
        for layer in layers:
            _pack(layer, uses[id(layer.weight)] == 1)
        after = tried(model)
    except Exception as failure:
        unpack(model)
        if is_out_of_memory(failure):
            raise
        return False
    scale = float(before.abs().nan_to_num().amax().clamp(min=1.0))
    agree = torch.allclose(after, before, rtol=0.0, atol=ALLOWED * scale, equal_nan=True)
    if not agree:
        unpack(model)
    return agree


def unpack(model: Any) -> None:
    """Give every packed layer of `model` its plain weight back, the same bits as before."""
    packed: list[Any] = [part for part in model.modules() if isinstance(part, PackedLinear)]
    for layer in packed:
        if not layer.plain.numel():
            layer.plain.data = torch.cat([piece.to_dense() for piece in layer.packed], dim=1)
        layer._parameters["weight"] = layer.plain
        for name in ("plain", "packed"):
            del vars(layer)[name]
        layer.__class__ = torch.nn.Linear


def _layers(model: Any) -> Iterator[torch.nn.Linear]:
    """Layers that do nothing but torch's own linear forward, in float32 on a CPU."""
    for part in model.modules():
        if type(part) is torch.nn.Linear and "forward" not in vars(part):
            weight = part.weight
            if weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.numel():
                yield part


def _pack(layer: torch.nn.Linear, alone: bool) -> None:
    plain = layer.weight
    packed = [
        reordered(piece.contiguous()) for piece in torch.split(plain.detach(), LONGEST, dim=1)
    ]
    if alone:
        layer._parameters["weight"] = torch.nn.Parameter(packed[0], requires_grad=False)
        plain.data = plain.new_empty(0)
    # a plain attribute: set as others are, it would be a second parameter of the layer
    vars(layer)["plain"] = plain
    vars(layer)["packed"] = packed
    layer.__class__ = PackedLinear


def tried(model: Any) -> torch.Tensor:
    """The model's own float32 logits for a few ids. Raises torch's error when memory runs out."""
    ids = torch.arange(TRIED)[None] % int(model.get_input_embeddings().weight.shape[0])
    ids = ids.to(model.device)

    def work() -> torch.Tensor:
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        return logits.float()

    with torch.inference_mode():
        found = attempted(work)
    if found is None:
        raise torch.OutOfMemoryError("out of memory")
    return found
