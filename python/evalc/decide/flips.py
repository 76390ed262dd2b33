"""How far answers differ when the same requests are asked again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc.decide.estimates import wilson
from evalc.store.records import decode_answer, decode_likelihood, said

Payload = bytes | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How a fresh payload differs from the cached one.

    `apart` is the absolute difference of two log-likelihoods in nats, 0 for texts; `failed` says
    that the request had no answer this time. A difference is a flip if it is more than bits: beyond
    the tolerance, another greedy flag, another text, or no answer.
    """

    bits: bool
    beyond: bool = False
    apart: float = 0.0
    greedy: bool = False
    text: bool = False
    failed: bool = False

    @property
    def flip(self) -> bool:
        """Whether a score could change."""
        return self.beyond or self.greedy or self.text or self.failed


def difference(cached: bytes, fresh: Payload, tolerance: float, generated: bool) -> Difference:
    """Compare two payloads of one request; None is a request that failed."""
    if fresh is None:
        return Difference(bits=True, failed=True)
    bits = said(cached) != said(fresh)
    if generated:
        return Difference(bits, text=decode_answer(cached).text != decode_answer(fresh).text)
    one, two = decode_likelihood(cached), decode_likelihood(fresh)
    apart = abs(one.total - two.total)
    return Difference(bits, apart > tolerance, apart, greedy=one.greedy != two.greedy)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with Wilson's 95 % interval; all None of nothing."""

    share: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, count: int, total: int) -> Rate:
        """`count` of `total`."""
        return cls(count / total, *wilson(count / total, total)) if total else cls(None, None, None)


@dataclass(slots=True)
class Flips:
    """Differences counted: of records, and of the choices that multiple-choice cases make."""

    records: int = 0
    flips: int = 0
    bits: int = 0
    beyond: int = 0
    greedy: int = 0
    texts: int = 0
    failed: int = 0
    furthest: float = 0.0
    cases: int = 0
    case_flips: int = 0
    chooses: bool = field(default=False)

    def add(self, found: Iterable[Difference]) -> None:
        """Count differences of records."""
        for each in found:
            self.records += 1
            self.flips += each.flip
            self.bits += each.bits
            self.beyond += each.beyond
            self.greedy += each.greedy
            self.texts += each.text
            self.failed += each.failed
            self.furthest = max(self.furthest, each.apart)

    def add_case(self, flipped: bool) -> None:
        """Count a case whose choices were all asked again."""
        self.cases += 1
        self.case_flips += flipped

    def as_json(self) -> dict[str, Any]:
        """For `--json`; `argmax` is null for tasks without choices."""
        argmax = None
        if self.chooses:
            rate = asdict(Rate.of(self.case_flips, self.cases))
            argmax = {"cases": self.cases, "flips": self.case_flips, "rate": rate}
        return {
            "records": self.records,
            "flips": self.flips,
            "rate": asdict(Rate.of(self.flips, self.records)),
            "beyond_tolerance": self.beyond,
            "greedy_flags": self.greedy,
            "texts": self.texts,
            "failed": self.failed,
            "bit_differences": self.bits,
            "bit_rate": asdict(Rate.of(self.bits, self.records)),
            "largest_difference": self.furthest,
            "argmax": argmax,
        }


def argmax_flipped(cached: npt.NDArray[np.float64], fresh: npt.NDArray[np.float64]) -> bool:
    """Whether the choice with the highest log-likelihood is another one; of equals the first.

    Both have shape (choices,). A NaN on either side is a flip.
    """
    if np.isnan(cached).any() or np.isnan(fresh).any():
        return True
    return bool(np.argmax(cached) != np.argmax(fresh))
