"""Pinned plans: a file that says what was planned, and on what that rests.

Versioned JSON, sealed with a digest of itself:

    {"schema": "evalc.pinned/1", "evalc": version,
     "ask":  {"directory", "paths", "overrides", "suites", "models", "tasks", "tier", "no_hooks",
              "cache": null | directory},
     "pins": {"specs": {path: digest}, "tier": text, "cells": [[model, task]],
              "tasks": {name: {key: digest}},
              "datasets": {name: {"rows", "where", "id", "path", "content"}},
              "models": {name: {component: value}},
              "limits": {key of the tier: digest}, "gates": {name: {key: digest}},
              "keys": {"count", "digest"},
              "remaining": {"count", "digest", "bits"}},
     "plan": what `plan --json` printed, "digest": hex64 of all the rest}

`remaining.bits` has a bit per key, 1 where a record is missing: base64 of zlib.
A spec file's own digest only helps to say what changed: a comment makes no plan stale.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc import __version__, _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.diagnostics.visible import spelled
from evalc.plan.judged import judged
from evalc.plan.pinned_shape import misshapen
from evalc.plan.planned import Planned
from evalc.plan.provenance import MODEL_PARTS, Provenance, digest, task_parts
from evalc.spec.models import TierSpec
from evalc.store import Store
from evalc.store.replacing import asked_for

FAMILY = "evalc.pinned/"
SCHEMA = FAMILY + "1"
SUFFIXES = (".json", ".plan")
TAG = "evalc.pinned.v1"


def is_pinned(path: Path) -> bool:
    """Whether a path of the command line means a pinned plan: no TOML file starts with `{`."""
    if path.suffix == ".toml" or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(64).lstrip()
    except OSError:
        return False
    return path.suffix in SUFFIXES or head.startswith(b"{")


def pins(planned: Planned, store: Store) -> dict[str, Any]:
    """Digests of everything that a plan rests on."""
    provenance = Provenance(planned, store)
    ir = provenance.ir
    missing = np.frombuffer(planned.hits, dtype=np.uint8) == 0
    keys = np.frombuffer(planned.keys, dtype=np.uint8).reshape(-1, 32)
    return {
        "specs": {
            str(file.path.resolve()): digest(file.text)
            for file in planned.folder.files
            if not file.inline
        },
        "tier": json.dumps(ir["tier"], sort_keys=True),
        "cells": [list(cell) for cell in planned.selection.cells],
        "tasks": {
            task["name"]: {key: digest(value) for key, value in task_parts(ir, task).items()}
            for task in ir["tasks"]
        },
        "datasets": {
            dataset["name"]: {
                **{key: digest(dataset[key]) for key in ("rows", "where", "id")},
                **({"quote": digest(dataset["quote"])} if dataset["quote"] is not None else {}),
                "path": dataset["origin"],
                "content": provenance.file(dataset),
            }
            for dataset in ir["datasets"]
        },
        "models": {model["name"]: _model(planned, provenance, model) for model in ir["models"]},
        "limits": _limits(planned),
        "gates": judged(planned, store),
        "keys": {"count": len(keys), "digest": _core.digest_fields(TAG, [planned.keys])},
        "remaining": {
            "count": int(missing.sum()),
            "digest": _core.digest_fields(TAG, [keys[missing].tobytes()]),
            "bits": base64.b64encode(zlib.compress(np.packbits(missing).tobytes())).decode(),
        },
    }


def _limits(planned: Planned) -> dict[str, str]:
    tier = planned.folder.spec.tiers.get(planned.selection.tier or "", TierSpec())
    return {key: digest(value) for key, value in tier.model_dump().items()}


def _model(planned: Planned, provenance: Provenance, model: Mapping[str, Any]) -> dict[str, str]:
    identity = next(m.identity for m in planned.models if m.source.name == model["name"])
    facts = provenance.bundle(model["bundle"])
    chat = [facts["chat"], model["system"], model["date"]] if model["chat"] else None
    return {
        **{name: identity.components.get(part, "") for part, name in MODEL_PARTS.items()},
        "tokenizer": digest(facts["tokenizer"], facts["eos_ids"]),
        "chat": digest(chat),
        "length": str(model["max_length"]),
    }


def write_pinned(
    path: Path, ask: Mapping[str, Any], pinned: Mapping[str, Any], plan: Mapping[str, Any]
) -> None:
    """Write a pinned plan, atomically. Raises Faults when the file cannot be written."""
    content: dict[str, Any] = {"schema": SCHEMA, "evalc": __version__}
    content |= {"ask": ask, "pins": pinned, "plan": plan}
    content["digest"] = digest(content)
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    try:
        with asked_for(path) as stream:
            stream.write(spelled(text, "utf-8", json=True))
    except OSError as error:
        message = f"`{path}` cannot be written: {(error.strerror or str(error)).lower()}"
        hint = "give another file, in a folder that exists"
        raise Faults([Diagnostic("plan-unwritable", message, Place(path), hint=hint)]) from None


def read_pinned(path: Path) -> dict[str, Any]:
    """The content of a pinned plan. Raises Faults when the file is none, or was changed."""
    hint = "make it anew with `evalc plan --out FILE`"
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise _bad(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError):
        raise _bad(path, "is not a pinned plan: it is not JSON", hint) from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(schema, str) or not schema.startswith(FAMILY):
        raise _bad(path, "is not a pinned plan", hint)
    if schema != SCHEMA:
        raise _bad(path, f"is a pinned plan of another version, `{schema}`", hint)
    found = content.pop("digest", None)
    if found != _digest_of(content):
        raise _bad(path, "was changed after it was written", hint)
    if where := misshapen(content):
        raise _bad(path, f"is not a pinned plan: its `{where}` is malformed", hint)
    pinned: dict[str, Any] = content
    return pinned


def _digest_of(content: Mapping[str, Any]) -> str | None:
    try:
        return digest(content)
    except (ValueError, RecursionError):
        return None  # a lone surrogate


def _bad(path: Path, what: str, hint: str | None = None) -> Faults:
    return Faults([Diagnostic("bad-plan", f"`{path}` {what}", Place(path), hint=hint)])


def missing_bits(pinned: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Per key of the pinned plan, whether its record was missing."""
    count: int = pinned["keys"]["count"]
    try:
        packed = base64.b64decode(pinned["remaining"]["bits"])
        unpacked = zlib.decompressobj().decompress(packed, count // 8 + 1)
    except (ValueError, zlib.error):
        unpacked = b""
    # what is not said was not missing
    bits = np.unpackbits(np.frombuffer(unpacked, dtype=np.uint8))[:count]
    return np.pad(bits, (0, count - len(bits))).astype(np.bool_)
