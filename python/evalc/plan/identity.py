"""What a model is, by content: never by name, path or date.

    model_id   weights, the configuration that changes the function, adapter, quantisation, and
               remote code where it is run
    engine_id  engine semantics, dtype, attention family, numerics class, device kind

The tokenizer and the chat template are in neither: they act through the token ids of a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.plan.checkpoint import Checkpoint
from evalc.store import Store

ENGINE_VERSION = 1
"""Raise when the engine computes other numbers for the same request."""

INERT = frozenset(
    [
        *("_name_or_path", "_model_name_or_path", "transformers_version", "torch_dtype", "dtype"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "use_cache"),
        *("task_specific_params", "output_attentions", "output_hidden_states", "return_dict"),
        "torchscript",
    ]
)
"""Keys of `config.json` that do not change the function from token ids to logits."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Hex digests of 64 characters, and the components that they are made of."""

    model_id: str
    engine_id: str
    components: Mapping[str, str]


def identify(
    checkpoint: Checkpoint,
    *,
    adapter: Path | None,
    quantization: str | None,
    trust_remote_code: bool,
    dtype: str,
    device: str,
    numerics: str,
    store: Store | None,
    place: Place | None,
) -> Identity:
    """Identify a model and the engine that will run it.

    Files are hashed on all cores; a file whose path, size, times and inode are those of an
    earlier look is not read again (`store` remembers). Raises Faults for an unusable adapter.
    """
    weights = _digests(checkpoint.weights, store)
    components = {
        "weights": _joined("evalc.weights.v1", checkpoint.weights, weights),
        "config": _core.digest_fields("evalc.config.v1", [_canonical(checkpoint.config)]),
        "adapter": _adapter(adapter, store, place) if adapter else "",
        "quantization": quantization or "",
        "code": _code(checkpoint.path, store) if trust_remote_code else "",
    }
    engine = {
        "engine": str(ENGINE_VERSION),
        "dtype": dtype,
        "attention": checkpoint.attention,
        "numerics": numerics,
        "device": device,
    }
    return Identity(
        model_id=_core.digest_fields("evalc.model.v1", _pairs(components)),
        engine_id=_core.digest_fields("evalc.engine.v1", _pairs(engine)),
        components={**components, **engine},
    )


def _pairs(fields: Mapping[str, str]) -> list[bytes]:
    return [part.encode() for item in sorted(fields.items()) for part in item]


def _canonical(config: Mapping[str, Any]) -> bytes:
    kept = {key: value for key, value in config.items() if key not in INERT}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def _joined(tag: str, files: Sequence[Path], digests: Sequence[str]) -> str:
    """Digest of named contents; the order of shards is that of their names."""
    names = [file.name.encode() for file in files]
    pairs = zip(names, digests, strict=True)
    fields = [part for name, digest in pairs for part in (name, digest.encode())]
    return _core.digest_fields(tag, fields)


def _adapter(path: Path, store: Store | None, place: Place | None) -> str:
    config, weights = path / "adapter_config.json", sorted(path.glob("*.safetensors"))
    if not config.is_file() or not weights:
        message = f"`{path}` is not a LoRA adapter in safetensors form"
        hint = "point at a directory with `adapter_config.json` and `adapter_model.safetensors`"
        raise Faults([Diagnostic("bad-adapter", message, place, hint=hint)])
    files = [config, *weights]
    return _joined("evalc.adapter.v1", files, _digests(files, store))


def _code(path: Path, store: Store | None) -> str:
    files = sorted(path.glob("*.py"))
    return _joined("evalc.code.v1", files, _digests(files, store))


def _digests(files: Sequence[Path], store: Store | None) -> list[str]:
    """BLAKE3 of each file in hex, from memory where the file is as it was."""
    stamps = [_stamp(file) for file in files]
    known = [store.note(stamp) if store else None for stamp in stamps]
    missing = [str(file) for file, found in zip(files, known, strict=True) if found is None]
    fresh = iter(_core.hash_files(missing))
    digests = []
    for stamp, found in zip(stamps, known, strict=True):
        digest = found.decode() if found is not None else next(fresh)
        if found is None and store is not None:
            store.remember(stamp, digest.encode())
        digests.append(digest)
    return digests


def _stamp(file: Path) -> bytes:
    """A note's name: a digest of path, size, modification and change time, device and inode."""
    real = file.resolve()
    state = real.stat()
    numbers = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_dev, state.st_ino)
    fields = [str(real).encode(), *(str(number).encode() for number in numbers)]
    return b"file:" + _core.digest_fields("evalc.stamp.v1", fields).encode()
