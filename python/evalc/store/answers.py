"""Records as answers: read by key, and trusted only in the form that the request asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalc.store.environment import RECORDS, Store
from evalc.store.records import LEAST_SUM, LIKELIHOOD, malformed


def read_answers(store: Store, keys: Sequence[bytes], generated: bool) -> list[bytes | None]:
    """The payload of each key, or None where there is no record of this kind.

    A record that is intact and of no use, as another cache may hold one, goes into quarantine
    like a damaged one, and counts as never asked.
    """
    payloads = store.read(keys)
    wrong = set(_generated(payloads) if generated else _likelihoods(payloads))
    if not wrong:
        return payloads
    store.distrust(RECORDS, dict.fromkeys(keys[at] for at in wrong))
    return [None if at in wrong else payload for at, payload in enumerate(payloads)]


def _generated(payloads: Sequence[bytes | None]) -> list[int]:
    return [at for at, p in enumerate(payloads) if p is not None and malformed(p, generated=True)]


def _likelihoods(payloads: Sequence[bytes | None]) -> list[int]:
    """As columns, since there are millions; those with facts, or of another length, one by one."""
    plain = [at for at, p in enumerate(payloads) if p is not None and len(p) == LIKELIHOOD.itemsize]
    columns = np.frombuffer(b"".join(payloads[at] or b"" for at in plain), LIKELIHOOD)
    sound = np.isfinite(columns["sum"]) & (columns["sum"] <= LEAST_SUM) & (columns["greedy"] <= 1)
    usual = set(plain)
    others = [at for at, p in enumerate(payloads) if p is not None and at not in usual]
    wrong = [at for at in others if malformed(payloads[at] or b"", generated=False)]
    return wrong + [at for at, fits in zip(plain, sound.tolist(), strict=True) if not fits]
