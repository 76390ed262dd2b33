"""What became of the requests of a pack: record payloads and failures."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.errors import ExitCode

NO_ROOM = "does not fit into memory"
"""How every reason ends that is a lack of memory."""
LIKELIHOOD = struct.Struct("<dBI")


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a record. `key` is its 32-byte request key."""

    key: bytes
    reason: str


@dataclass(slots=True)
class Outcomes:
    """`payloads` by request of the pack; `failures` names the others."""

    payloads: dict[int, bytes] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def lacked_memory(self) -> bool:
        """Whether a request failed for lack of memory."""
        return any(reason.endswith(NO_ROOM) for reason in self.failures.values())


class FailedRequests(Faults):
    """Requests that the model could not answer; everything else of their packs is committed."""

    exit_code = ExitCode.FAILURE

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        first = self.failures[0]
        notes = tuple(f"`{f.key.hex()[:16]}`: {f.reason}" for f in self.failures[:5])
        have = "has" if len(self.failures) == 1 else "have"
        super().__init__(
            [
                Diagnostic(
                    "failed-request",
                    f"{many(len(self.failures), 'request')} {have} no result, the first "
                    f"`{first.key.hex()[:16]}`: {first.reason}",
                    notes=notes,
                    hint="check the weights and try another `dtype`",
                )
            ],
            exit_code=ExitCode.FAILURE,
        )


def likelihood_payload(total: float, greedy: bool, count: int) -> bytes:
    """The record of a log-likelihood: float64 sum, 1 if all argmax, number of scored tokens."""
    return LIKELIHOOD.pack(total, int(greedy), count)
