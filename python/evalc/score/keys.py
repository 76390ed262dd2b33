"""Score keys: what a value was made of, written field by field.

    scorer  "evalc.scorer.v1" layer name source python (name value)*
    score   8 bytes of the scorer + 24 bytes of blake3("evalc.score.v1" scorer records reference)

Digests are BLAKE3-256; the tag and every field are preceded by their length (u64, little-endian).
`scorer` is the 32 bytes of the first digest. `records` is what a model said, as the scorer sees it,
and `reference` all else that it sees. Neither holds a name of a task, a model or an extract: a
value is known by its inputs alone, and an edit which leaves these as they are costs nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any, Literal

from evalc import _core
from evalc.store.marks import NAMESPACE_BYTES

DIGEST_BYTES = 24
Layer = Literal["extract", "metric", "program"]


@dataclass(frozen=True)
class Scorer:
    """What makes a value of one layer out of what it sees.

    `source` is a hex digest of the code that takes part, `python` the interpreter that runs it,
    `parameters` are pairs of a name and a value.
    """

    layer: Layer
    name: str
    source: str
    python: str
    parameters: tuple[tuple[str, str], ...] = ()

    @cached_property
    def digest(self) -> bytes:
        """32 bytes; the first eight of every key of this scorer are its first eight."""
        plain = [self.layer, self.name, self.source, self.python]
        fields = [*plain, *(part for pair in self.parameters for part in pair)]
        encoded = [field.encode("utf-8", "surrogatepass") for field in fields]
        return bytes.fromhex(_core.digest_fields("evalc.scorer.v1", encoded))

    def key(self, records: bytes, reference: bytes = b"") -> bytes:
        """The key (32 bytes) of one value."""
        found = _core.digest_fields("evalc.score.v1", [self.digest, records, reference])
        return self.digest[:NAMESPACE_BYTES] + bytes.fromhex(found)[:DIGEST_BYTES]


def canonical(value: Any) -> bytes:
    """A JSON value as ASCII text. Members of objects keep their order, since a hook sees it."""
    if type(value) is float and isfinite(value):
        return float.__repr__(value).encode()  # as the encoder writes it, in a fifth of the time
    return _encode(value).encode()


_encode = json.JSONEncoder(separators=(",", ":")).encode
"""Made once: `json.dumps` makes another encoder at every call that names separators."""
