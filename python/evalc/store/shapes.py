"""Whether values that come from elsewhere have the shape that their bucket's readers count on.

A checksum says that a value is what was written, not that it was written by this program. A
segment, or another cache, may hold anything.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalc import _core
from evalc.store.environment import CITATIONS, RECORDED, RECORDS, RUNS, SCORES, Pair
from evalc.store.records import is_text, malformed

MARK_BYTES = 4
DIGEST_BYTES = 32
NAMED_BYTES = 17
"""A zero byte, a time and a digest behind the name of a recorded result."""
RECORDED_BYTES = 1 << 30
"""Bytes of a recorded result once it is unpacked."""
COUNTS = (
    *("asked", "planned", "prefill_tokens", "prefill_tokens_unshared", "prefill_tokens_distinct"),
    *("decode_tokens", "peak_memory"),
)
NUMBERS = (
    *("seconds", "setup_seconds", "prefill_seconds", "decode_seconds", "predicted_seconds"),
    *("whole_seconds", "usd"),
)
TEXTS = ("schema", "name", "evalc", "tier", "predicted_basis")
LARGEST = (1 << 63) - 1
MODEL_TEXTS = ("name", "model_id", "engine_id")


def misshapen(bucket: bytes, pairs: Sequence[Pair]) -> list[tuple[bytes, str]]:
    """Names of entries (name, unsealed value) that no reader of the bucket can use, and why."""
    judge = _JUDGES.get(bucket)
    if judge is None:
        return []
    found = ((name, judge(name, payload)) for name, payload in pairs)
    return [(name, why) for name, why in found if why is not None]


def unusable(bucket: bytes, pairs: Sequence[Pair]) -> list[bytes]:
    """Names of sealed entries that fail their checksum or have a shape that nobody can read."""
    payloads = _core.unseal_values([value for _, value in pairs])
    opened = zip((name for name, _ in pairs), payloads, strict=True)
    known = [(name, payload) for name, payload in opened if payload is not None]
    wrong = {name for name, _ in misshapen(bucket, known)}
    sound = {name for name, _ in known} - wrong
    return [name for name, _ in pairs if name not in sound]


def shown_name(bucket: bytes, name: bytes) -> str:
    """An entry as a person reads it: its bucket, and its name or the first digits of its key."""
    kind = bucket.decode().partition(".")[0].removesuffix("s")
    return f"{kind} {name.decode(errors='replace') if bucket == RUNS else name.hex()[:16]}"


def manifest_fault(manifest: Any) -> str | None:
    """What is wrong with a run's manifest, if anything. Members that it lacks are none."""
    if not isinstance(manifest, dict):
        return "it is no object"
    kinds: dict[Callable[[Any], bool], Sequence[str]] = {
        _is_count: COUNTS,
        _is_number: NUMBERS,
        is_text: TEXTS,
    }
    for sound, names in kinds.items():
        for name in names:
            if manifest.get(name) is not None and not sound(manifest[name]):
                return f"its `{name}` is malformed"
    for name, fits in (("models", _are_models), ("cells", _are_cells), ("cites", _are_cites)):
        if name in manifest and not fits(manifest[name]):
            return f"its `{name}` is malformed"
    return None


def unpacked_result(content: bytes) -> bytes | None:
    """A recorded result out of its compressed form; None where it is none, or too large."""
    try:
        opened = zlib.decompressobj()
        document = opened.decompress(content, RECORDED_BYTES)
    except zlib.error:
        return None
    return document if opened.eof and not opened.unused_data else None


def _record(_: bytes, payload: bytes) -> str | None:
    return malformed(payload)


def _run(name: bytes, payload: bytes) -> str | None:
    if not name.isascii():
        return "its name is no time"
    return manifest_fault(_loaded(payload))


def _score(_: bytes, payload: bytes) -> str | None:
    return "it is no JSON value" if isinstance(_loaded(payload), _NoJson) else None


def _citation(name: bytes, payload: bytes) -> str | None:
    sound = len(name) == DIGEST_BYTES and len(payload) % MARK_BYTES == 0
    return None if sound else "it is no set of keys"


def _recorded(name: bytes, payload: bytes) -> str | None:
    named = name[:-NAMED_BYTES]
    if not named or not named.isascii() or name[len(named)] != 0 or b"\0" in named:
        return "its name is malformed"
    document = unpacked_result(payload)
    if document is None or not isinstance(_loaded(document), dict):
        return "it is no result"
    return None


_JUDGES: Mapping[bytes, Callable[[bytes, bytes], str | None]] = {
    RECORDS: _record,
    RUNS: _run,
    SCORES: _score,
    CITATIONS: _citation,
    RECORDED: _recorded,
}


class _NoJson:
    """Stands for the value of a text that is no JSON."""


def _loaded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return _NoJson()


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < math.inf


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _are_models(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(model, dict) and all(is_text(model.get(name)) for name in MODEL_TEXTS)
        for model in value
    )


def _are_cells(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(cell, list) and len(cell) == 2 and all(map(is_text, cell)) for cell in value
    )


def _are_cites(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and all(is_text(entry.get(name)) for name in ("model", "task", "namespace", "keys"))
        and _is_hex(entry["namespace"], 8)
        and _is_hex(entry["keys"], DIGEST_BYTES)
        for entry in value
    )


def _is_hex(text: str, size: int) -> bool:
    try:
        return len(bytes.fromhex(text)) == size
    except ValueError:
        return False
