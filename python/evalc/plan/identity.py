"""What a model is, by content: never by name, path or date.

    model_id   weights, the configuration that changes the function, adapter, quantisation, and
               remote code where it is run
    engine_id  engine semantics, dtype, attention family, numerics class, device kind, and what was
               corrected for such a configuration, if anything was

The tokenizer and the chat template are in neither: they act through the token ids of a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.diagnostics import Place
from evalc.plan import contents
from evalc.plan.adapters import read_adapter
from evalc.plan.checkpoint import Checkpoint
from evalc.plan.digests import Digests

ENGINE_VERSION = 4
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
PADDED = frozenset(
    [
        *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod", "camembert"),
        *("data2vec-text", "xglm", "xlm", "youtu"),
    ]
)
"""Model types for which `pad_token_id` is not inert: they count positions from it and over it, have
no position vector for it (XGLM), take its tokens off the length (XLM), or zero its embedding
(Youtu). `tests/immune/test_inert_keys.py` looks at every other."""
TOKENS = frozenset(["bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"])
"""Not inert where a model runs its own code, which may read them (ChatGLM finds its prompt so)."""

BASE_PARTS = ("weights", "config", "quantization", "code")
"""Components that adapters of one base have in common."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Hex digests of 64 characters, and the components that they are made of."""

    model_id: str
    engine_id: str
    components: Mapping[str, str]

    @property
    def base(self) -> str:
        """Hex digest of the model without its adapter."""
        parts = {name: self.components[name] for name in BASE_PARTS}
        return _core.digest_fields("evalc.base.v1", _pairs(parts))


def identify(
    checkpoint: Checkpoint,
    *,
    adapter: Path | None,
    quantization: str | None,
    trust_remote_code: bool,
    dtype: str,
    device: str,
    numerics: str,
    digests: Digests,
    place: Place | None,
) -> Identity:
    """Identify a model and the engine that will run it.

    Files are known by their content, wherever they lie. Raises Faults for an unusable adapter.
    """
    components = {
        "weights": _weights(checkpoint, digests.of(checkpoint.weights)),
        "config": _core.digest_fields(
            "evalc.config.v1", [_canonical(checkpoint.config, trust_remote_code)]
        ),
        "adapter": _adapter(adapter, digests, place) if adapter else "",
        "quantization": quantization or "",
        "code": _code(checkpoint.path, digests) if trust_remote_code else "",
    }
    engine = {
        "engine": str(ENGINE_VERSION),
        "dtype": dtype,
        "attention": checkpoint.attention,
        "numerics": numerics,
        "device": device,
    }
    if checkpoint.corrections:
        engine["corrections"] = " ".join(checkpoint.corrections)
    return Identity(
        model_id=_core.digest_fields("evalc.model.v1", _pairs(components)),
        engine_id=_core.digest_fields("evalc.engine.v1", _pairs(engine)),
        components={**components, **engine},
    )


def inert(config: Mapping[str, Any], own_code: bool) -> frozenset[str]:
    """Those of `INERT` that are inert in such a configuration, where code in the folder may run."""
    if own_code and config.get("auto_map"):
        return INERT - TOKENS
    return INERT - {"pad_token_id"} if config.get("model_type") in PADDED else INERT


def _pairs(fields: Mapping[str, str]) -> list[bytes]:
    return [part.encode() for item in sorted(fields.items()) for part in item]


def _canonical(config: Mapping[str, Any], own_code: bool) -> bytes:
    kept = {key: value for key, value in config.items() if key not in inert(config, own_code)}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def _weights(checkpoint: Checkpoint, digests: Sequence[str]) -> str:
    """Digest of all weights, and of which are read where the files alone do not tell."""
    every = _joined("evalc.weights.v1", checkpoint.path, checkpoint.weights, digests)
    if not checkpoint.chosen:
        return every
    named = [name.encode() for name in (every, *checkpoint.chosen)]
    return _core.digest_fields("evalc.chosen.v1", named)


def _joined(tag: str, folder: Path, files: Sequence[Path], digests: Sequence[str]) -> str:
    """Digest of named contents; the order of shards is that of their names."""
    names = [file.relative_to(folder).as_posix().encode() for file in files]
    pairs = zip(names, digests, strict=True)
    fields = [part for name, digest in pairs for part in (name, digest.encode())]
    return _core.digest_fields(tag, fields)


def _adapter(path: Path, digests: Digests, place: Place | None) -> str:
    read_adapter(path, place)
    (patterns,) = contents.ADAPTER.values()
    files = sorted(contents.files(path, patterns), key=lambda file: file.suffix != ".json")
    return _joined("evalc.adapter.v1", path, files, digests.of(files))


def _code(path: Path, digests: Digests) -> str:
    (patterns,) = contents.CODE.values()
    files = contents.files(path, patterns)
    return _joined("evalc.code.v1", path, files, digests.of(files))
