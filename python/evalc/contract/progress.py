"""What a run reports while it runs, and what it has counted when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Phase = Literal["prefill", "decode"]


class Observer(Protocol):
    """Told how a run goes; called between forward passes, so it has to be quick."""

    def started(self, total_requests: int, total_tokens: int) -> None:
        """The totals to come; tokens are the distinct prompt tokens plus the decode bound."""

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        """Work since the last call; `kind` is prefill or decode, tokens are computed ones."""

    def note(self, text: str) -> None:
        """Something worth a line, such as a smaller batch after running out of memory."""


class Silence:
    """An observer that keeps everything to itself."""

    def started(self, total_requests: int, total_tokens: int) -> None:
        """Ignore it."""

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


@dataclass(slots=True)
class Tally:
    """Counts of a run so far. Seconds are wall time inside forward passes; memory is in bytes.

    `padding_tokens` were computed only to keep shapes constant, beside those counted as prefill
    and decode tokens. `setup_seconds` passed before the first pack: loading and self-check.
    """

    requests: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    padding_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    setup_seconds: float = 0.0
    peak_memory: int = 0
    packs: int = 0


@dataclass(frozen=True, slots=True)
class Meter:
    """Feeds one tally and one observer."""

    tally: Tally
    observer: Observer

    def count(
        self, phase: Phase, requests: int, tokens: int, seconds: float, padding: int = 0
    ) -> None:
        """Add computed tokens, the seconds they took and the requests they finished."""
        self.tally.padding_tokens += padding
        if phase == "prefill":
            self.tally.prefill_tokens += tokens
            self.tally.prefill_seconds += seconds
        else:
            self.tally.decode_tokens += tokens
            self.tally.decode_seconds += seconds
        self.observer.advanced(requests, tokens, seconds, phase)
