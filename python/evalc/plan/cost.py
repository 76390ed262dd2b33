"""What the remaining work will cost: seconds and money, from recorded speeds or a guess."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from evalc.plan.checkpoint import Shape
from evalc.plan.identity import Identity
from evalc.store import Store

Basis = Literal["measured", "guess"]
GUESSED_FLOPS = {"cpu": 6.0e10, "cuda": 5.0e13}
"""Operations per second assumed of hardware that has never been measured."""
GUESSED_DECODE_TOKENS = {"cpu": 100.0, "cuda": 2000.0}
"""Generated tokens per second assumed of hardware that has never been measured."""
MEMORY = 0.5
"""Weight that older measurements keep when a new one arrives."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Recorded work of one model, engine and machine: operations or tokens, and their seconds.

    `setup_seconds` are those before the first request, loading and self-check, of `setups` runs.
    """

    prefill_flops: float = 0.0
    prefill_seconds: float = 0.0
    decode_tokens: float = 0.0
    decode_seconds: float = 0.0
    setup_seconds: float = 0.0
    setups: float = 0.0

    @property
    def setup(self) -> float:
        """Seconds before the first request of a run; 0 where none was measured."""
        return self.setup_seconds / self.setups if self.setups else 0.0

    def plus(self, other: Speed) -> Speed:
        """This speed with an older one faded in."""
        return Speed(
            *(
                new + MEMORY * old
                for new, old in zip(asdict(self).values(), asdict(other).values(), strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """Predicted cost. `seconds` counts generated tokens at their upper bound."""

    flops: float
    seconds: float
    usd: float | None
    basis: Basis

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def speed_note(identity: Identity, hardware: str) -> bytes:
    """The name of the note that keeps a recorded speed."""
    return f"speed:{identity.model_id[:16]}:{identity.engine_id[:16]}:{hardware}".encode()


def recall(store: Store, identity: Identity, hardware: str) -> Speed | None:
    """The recorded speed, if this model has run on this hardware and what is noted is a speed."""
    found = store.note(speed_note(identity, hardware))
    try:
        speed = Speed(**json.loads(found)) if found else None
        sound = (
            all(0 <= float(value) < math.inf for value in asdict(speed).values())
            if speed
            else False
        )
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None
    return speed if sound else None


def record(store: Store, identity: Identity, hardware: str, speed: Speed) -> None:
    """Remember what a run measured."""
    before = recall(store, identity, hardware)
    after = speed.plus(before) if before else speed
    store.remember(speed_note(identity, hardware), json.dumps(asdict(after)).encode())


def prefill_flops(shape: Shape, counts: Mapping[str, int]) -> float:
    """Operations of reading prompts and scoring continuations."""
    return shape.flops(counts["prefill_tokens"], counts["attention_pairs"], counts["scored_tokens"])


def decode_flops(shape: Shape, counts: Mapping[str, int]) -> float:
    """Upper bound of the operations of generating."""
    bound = counts["decode_tokens_bound"]
    return shape.flops(bound, counts["decode_pairs_bound"], bound)


def estimate(
    shape: Shape,
    counts: Mapping[str, int],
    speed: Speed | None,
    device: str,
    usd_per_hour: float | None,
) -> Estimate:
    """Predict the cost of `counts` (a cell of the planner's summary)."""
    prefill, decode = prefill_flops(shape, counts), decode_flops(shape, counts)
    measured = True
    seconds = 0.0
    if prefill:
        known = speed is not None and speed.prefill_seconds > 0
        rate = (
            speed.prefill_flops / speed.prefill_seconds
            if speed is not None and known
            else GUESSED_FLOPS[device]
        )
        seconds += prefill / rate
        measured &= known
    if decode:
        known = speed is not None and speed.decode_seconds > 0
        rate = (
            speed.decode_tokens / speed.decode_seconds
            if speed is not None and known
            else GUESSED_DECODE_TOKENS[device]
        )
        seconds += counts["decode_tokens_bound"] / rate
        measured &= known
    usd = None if usd_per_hour is None else seconds / 3600 * usd_per_hour
    return Estimate(prefill + decode, seconds, usd, "measured" if measured else "guess")
