"""Record payloads: what a model answered, and what is known of how it did.

    loglikelihood  "<dBI" (sum in nats, 1 if every scored token was the argmax, scored tokens),
                   in version 2 followed by the facts, a JSON object
    generate       JSON {"text", "tokens", "finish", "stop"}, in version 2 with "facts"

Facts never score: two payloads that say the same are one answer, whatever their facts. A reader
takes either version, and a writer with no facts writes version 1.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

LIKELIHOOD = np.dtype([("sum", "<f8"), ("greedy", "u1"), ("tokens", "<u4")])
_LIKELIHOOD = struct.Struct("<dBI")
FINISHES = ("stop", "eos", "length")
LEAST_SUM = 1e-3
"""Nats that a log-likelihood may lie above 0, by rounding."""
LAST_ID = (1 << 32) - 1


class MalformedRecordError(ValueError):
    """A payload that no version of this format writes; `str()` of it says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that whoever answered has counted; `cached` are those of `input` that it had read."""

    input: int
    output: int
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an answer beside what it says; None where nobody measured it.

    `logprob` is the sum of the output tokens' log-probabilities in nats, `gap` the least
    difference between the two best logits at any of them, `fingerprint` 16 hex digits of the
    arithmetic that computed it, `served_model` the name that an endpoint gave its model, `refusal`
    its reason for not answering, `day` the day (UTC, `YYYY-MM-DD`) on which it was given.
    """

    logprob: float | None = None
    gap: float | None = None
    fingerprint: str | None = None
    usage: Usage | None = None
    served_model: str | None = None
    refusal: str | None = None
    day: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What is known, in the order of the fields."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.usage is not None:
            found["usage"] = {
                field.name: value
                for field in fields(self.usage)
                if (value := getattr(self.usage, field.name)) is not None
            }
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def of(cls, loaded: Any) -> Facts:
        """Facts out of JSON, without what a later version adds. Raises MalformedRecordError."""
        if not isinstance(loaded, dict):
            raise MalformedRecordError("its facts are no object")
        known = {name: value for name, value in loaded.items() if name in _FACTS}
        wrong = [name for name, value in known.items() if not _FACTS[name](value)]
        if wrong:
            raise MalformedRecordError(f"its fact `{wrong[0]}` is malformed")
        if "usage" in known:
            own = known["usage"]
            known["usage"] = Usage(own["input"], own["output"], own.get("cached"))
        return cls(**known)


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Log-likelihood of a continuation: natural log, summed; whether greedy decoding gives it."""

    total: float
    greedy: bool
    tokens: int
    facts: Facts = NO_FACTS

    def encode(self) -> bytes:
        """13 bytes, little-endian, and the facts if there are any."""
        plain = _LIKELIHOOD.pack(self.total, self.greedy, self.tokens)
        return plain if self.facts == NO_FACTS else plain + _json(self.facts.as_json())


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated text; `finish` is `stop`, `eos` or `length`."""

    text: str
    tokens: tuple[int, ...]
    finish: str
    stop: str | None
    facts: Facts = NO_FACTS

    def encode(self) -> bytes:
        """A JSON object in UTF-8."""
        record: dict[str, Any] = {
            "text": self.text,
            "tokens": list(self.tokens),
            "finish": self.finish,
            "stop": self.stop,
        }
        if self.facts != NO_FACTS:
            record["facts"] = self.facts.as_json()
        return _json(record)


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def decode_likelihood(payload: bytes) -> Likelihood:
    """A `loglikelihood` payload. Raises MalformedRecordError."""
    if len(payload) < _LIKELIHOOD.size:
        raise MalformedRecordError("it is shorter than a log-likelihood")
    total, greedy, tokens = _LIKELIHOOD.unpack_from(payload)
    if not (math.isfinite(total) and total <= LEAST_SUM):
        raise MalformedRecordError(f"its log-likelihood is {total!r}")
    if greedy > 1:
        raise MalformedRecordError(f"its greedy flag is {greedy}")
    rest = payload[_LIKELIHOOD.size :]
    return Likelihood(total, bool(greedy), tokens, Facts.of(_object(rest)) if rest else NO_FACTS)


def decode_answer(payload: bytes) -> Answer:
    """The answer in a `generate` payload. Raises MalformedRecordError."""
    loaded = _object(payload)
    text, tokens = loaded.get("text"), loaded.get("tokens")
    finish, stop = loaded.get("finish"), loaded.get("stop")
    if not is_text(text):
        raise MalformedRecordError("its text is none")
    if not isinstance(tokens, list) or not all(_is_id(token) for token in tokens):
        raise MalformedRecordError("its tokens are no list of token ids")
    if finish not in FINISHES:
        raise MalformedRecordError(f"its `finish` is none of {', '.join(FINISHES)}")
    if not (stop is None or is_text(stop)):
        raise MalformedRecordError("its `stop` is no text")
    facts = Facts.of(loaded["facts"]) if "facts" in loaded else NO_FACTS
    return Answer(str(text), tuple(tokens), str(finish), stop, facts)


def decode_likelihoods(
    payloads: Sequence[bytes | None],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Sums (NaN where there is no record) and greedy flags of n payloads, both of shape (n,)."""
    missing = Likelihood(float("nan"), False, 0).encode()
    size = _LIKELIHOOD.size
    flat = b"".join(missing if payload is None else payload[:size] for payload in payloads)
    columns = np.frombuffer(flat, dtype=LIKELIHOOD)
    return columns["sum"].copy(), columns["greedy"].astype(np.bool_)


def is_likelihood(payload: bytes) -> bool:
    """Whether a payload is a log-likelihood's: a text's has the quote of its first member where
    the greedy flag would be, and that is 0 or 1."""
    try:
        decode_likelihood(payload)
    except MalformedRecordError:
        return False
    return True


def malformed(payload: bytes, generated: bool | None = None) -> str | None:
    """Why a payload is none of a kind (None: of either kind), or None where it is one."""
    if generated is None:
        generated = payload[:1] == b"{" and not is_likelihood(payload)
    try:
        _ = decode_answer(payload) if generated else decode_likelihood(payload)
    except MalformedRecordError as error:
        return str(error)
    return None


def said(payload: bytes) -> bytes:
    """What a sound payload says, without its facts: equal where two are one answer."""
    if is_likelihood(payload):
        return payload[: _LIKELIHOOD.size]
    answer = decode_answer(payload)
    return Answer(answer.text, answer.tokens, answer.finish, answer.stop).encode()


def shown(payload: bytes) -> str:
    """A payload as a person reads it: a log-likelihood, or the start of a generated text."""
    try:
        if is_likelihood(payload):
            one = decode_likelihood(payload)
            return f"{one.total!r}, greedy" if one.greedy else repr(one.total)
        text = repr(decode_answer(payload).text)
    except MalformedRecordError:
        return f"{len(payload)} bytes"
    return text if len(text) <= 60 else text[:57] + "..."


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError):
        raise MalformedRecordError("it is no JSON") from None
    if not isinstance(loaded, dict):
        raise MalformedRecordError("it is no JSON object")
    return loaded


def is_text(value: Any) -> bool:
    """Whether a value is a text that UTF-8 can hold; JSON can spell halves of a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_id(value: Any) -> bool:
    return _is_count(value) and value <= LAST_ID


def _is_number(value: Any) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and abs(value) < math.inf


def _is_usage(value: Any) -> bool:
    if not isinstance(value, dict) or not {"input", "output"} <= set(value):
        return False
    return all(_is_count(value[name]) for name in ("input", "output", "cached") if name in value)


_FACTS = {
    "logprob": _is_number,
    "gap": _is_number,
    "fingerprint": is_text,
    "usage": _is_usage,
    "served_model": is_text,
    "refusal": is_text,
    "day": is_text,
}
"""What each fact has to be."""
