"""Drawing tokens: temperature, then top-k, then top-p, as transformers orders its warpers."""

from __future__ import annotations

import hashlib
import struct

import torch

from evalc.contract.settings import Setting


def generator_for(setting: Setting, key: bytes) -> torch.Generator:
    """The random stream of one request: a function of seed, slot and request key alone."""
    digest = hashlib.blake2b(
        struct.pack("<qI", setting.seed, setting.slot) + key, digest_size=8, person=b"evalc-sample"
    ).digest()
    generator = torch.Generator(device="cpu")
    generator.manual_seed(int.from_bytes(digest, "little") >> 1)
    return generator


def drawn(logits: torch.Tensor, setting: Setting, generator: torch.Generator) -> int:
    """One token id from float32 CPU logits [vocab], by inverting the cumulative distribution.

    One uniform number is drawn per token, so streams stay aligned whatever the vocabulary.
    """
    warped = _top_p(_top_k(logits / setting.temperature, setting.top_k), setting.top_p)
    cumulative = torch.softmax(warped, dim=-1).double().cumsum(dim=-1)
    point = torch.rand(1, generator=generator, dtype=torch.float64) * cumulative[-1]
    index = int(torch.searchsorted(cumulative, point, right=True))
    last = int(torch.searchsorted(cumulative, cumulative[-1:]))
    return min(index, last)


def _top_k(logits: torch.Tensor, count: int) -> torch.Tensor:
    """Keep the `count` largest logits, and what ties with the smallest of them."""
    if not 0 < count < len(logits):
        return logits
    floor = torch.topk(logits, count).values[-1]
    return logits.masked_fill(logits < floor, -torch.inf)


def _top_p(logits: torch.Tensor, mass: float) -> torch.Tensor:
    """Keep the smallest set of most likely tokens whose probability reaches `mass`."""
    if mass >= 1.0:
        return logits
    ascending, order = torch.sort(logits)
    dropped = torch.softmax(ascending, dim=-1).cumsum(dim=-1) <= 1.0 - mass
    dropped[-1] = False
    return logits.masked_fill(torch.zeros_like(dropped).scatter(0, order, dropped), -torch.inf)
