"""Record payloads: what a model answered."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LIKELIHOOD = np.dtype([("sum", "<f8"), ("greedy", "u1"), ("tokens", "<u4")])
_LIKELIHOOD = struct.Struct("<dBI")


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-likelihood of a continuation: natural log, summed; whether greedy decoding gives it."""

    total: float
    greedy: bool
    tokens: int

    def encode(self) -> bytes:
        """13 bytes, little-endian."""
        return _LIKELIHOOD.pack(self.total, self.greedy, self.tokens)


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated text; `finish` is `stop`, `eos` or `length`."""

    text: str
    tokens: tuple[int, ...]
    finish: str
    stop: str | None


def decode_likelihoods(
    payloads: Sequence[bytes | None],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Sums (NaN where there is no record) and greedy flags of n payloads, both of shape (n,)."""
    missing = Likelihood(float("nan"), False, 0).encode()
    flat = b"".join(missing if payload is None else payload for payload in payloads)
    columns = np.frombuffer(flat, dtype=LIKELIHOOD)
    return columns["sum"].copy(), columns["greedy"].astype(np.bool_)


def shown(payload: bytes) -> str:
    """A payload as a person reads it: a log-likelihood, or the start of a generated text."""
    if len(payload) == _LIKELIHOOD.size:
        total, greedy, _ = _LIKELIHOOD.unpack(payload)
        return f"{total!r}, greedy" if greedy else repr(total)
    try:
        text = repr(decode_answer(payload).text)
    except (ValueError, KeyError, TypeError):
        return f"{len(payload)} bytes"
    return text if len(text) <= 60 else text[:57] + "..."


def decode_answer(payload: bytes) -> Answer:
    """The answer in a `generate` payload."""
    fields = json.loads(payload)
    return Answer(fields["text"], tuple(fields["tokens"]), fields["finish"], fields["stop"])
