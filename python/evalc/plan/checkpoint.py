"""What a model directory holds, read without torch: configuration, weight files, sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults, Place

LFS_HEAD = b"version https://git-lfs.github.com/spec/"
EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "wpe", "embed_in", "embed_out", "word_embeddings")


SINKS = frozenset(["gpt_oss", "granite_swa", "granitemoe_swa", "mimo_v2_flash", "flint", "hy_v4"])
"""Model types whose softmax has a share that no token gets."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the cost of a token depends on. `parameters` leaves embeddings and output head out."""

    parameters: int
    layers: int
    width: int
    vocabulary: int

    def flops(self, tokens: int, pairs: int, logits: int) -> float:
        """Floating-point operations of `tokens` computed, `pairs` attended and `logits` rows.

        Two per weight and token; two products of `width` per layer, query and key, two operations
        each; two per entry of the output matrix (Kaplan et al. 2020, section 2.1).
        """
        return (
            2.0 * self.parameters * tokens
            + 4.0 * self.layers * self.width * pairs
            + 2.0 * self.width * self.vocabulary * logits
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model directory: absolute path, parsed `config.json`, weight files in name order."""

    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]

    @property
    def max_length(self) -> int | None:
        """Longest input in tokens that the configuration names."""
        text = self.config.get("text_config") or self.config
        for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
            if isinstance(value := text.get(key), int) and value > 0:
                return value
        return None

    @property
    def attention(self) -> str:
        """The attention family that computes it; capped logits are only right without fusion."""
        text = self.config.get("text_config") or self.config
        return "eager" if text.get("attn_logit_softcapping") else "sdpa"

    @property
    def corrections(self) -> tuple[str, ...]:
        """What an engine before got wrong for such a configuration, and this one does not.

        Rows of a rotary scale that follows the length were answered with frequencies of another
        length; sinks were dropped where every layer attends fully.
        """
        text = self.config.get("text_config") or self.config
        found = []
        if _rope_types(text) & {"longrope", "dynamic"}:
            found.append("rope-switch-1")
        kinds = text.get("layer_types")
        full = isinstance(kinds, list) and set(map(str, kinds)) == {"full_attention"}
        if text.get("model_type") in SINKS and full:
            found.append("sinks-1")
        return tuple(found)

    def shape(self) -> Shape:
        """Sizes for the cost model, from the weight files' headers."""
        text = self.config.get("text_config") or self.config
        parameters = 0
        for file in self.weights:
            for name, tensor in _header(file).items():
                if name != "__metadata__" and not any(part in name for part in EMBEDDINGS):
                    parameters += _product(tensor["shape"])
        return Shape(
            parameters=parameters,
            layers=_number(text, "num_hidden_layers", "n_layer", "num_layers"),
            width=_number(text, "hidden_size", "n_embd", "d_model"),
            vocabulary=_number(text, "vocab_size"),
        )


def read_checkpoint(path: Path, place: Place | None, name: str) -> Checkpoint:
    """Look into a model directory.

    Raises Faults when it is missing, has no configuration, no safetensors weights, or a git-LFS
    pointer in place of either.
    """
    try:
        there = path.is_dir()
    except OSError as error:
        message = f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}"
        raise _fault("bad-model", message, place, "check its permissions") from None
    if not there:
        raise _fault(
            "missing-model",
            f"the directory of model `{name}` does not exist: `{path}`",
            place,
            "give the path of a model directory, relative to the spec file",
        )
    config = _config(path, place)
    weights = tuple(sorted(path.glob("*.safetensors")))
    if not weights:
        pickled = sorted(path.glob("*.bin")) + sorted(path.glob("*.pt"))
        raise _fault(
            "missing-weights",
            f"`{path}` has no `*.safetensors` weights",
            place,
            "save the model with `save_pretrained` (safetensors); pickled weights such as "
            f"`{pickled[0].name}` are never loaded"
            if pickled
            else "complete the download of the model",
        )
    for file in weights:
        _header(file, place)
    _require_shards(path, place)
    return Checkpoint(path, config, weights)


def _config(path: Path, place: Place | None) -> dict[str, Any]:
    file = path / "config.json"
    hint = "restore the file from where the model came from"
    try:
        content = file.read_bytes()
        if content.startswith(LFS_HEAD):
            raise _pointer(file, place)
        config = json.loads(content)
    except FileNotFoundError:
        raise _fault(
            "missing-model",
            f"`{path}` has no `config.json`",
            place,
            "point at the directory that `save_pretrained` wrote",
        ) from None
    except (OSError, ValueError) as error:
        raise _fault("bad-model", f"`{file}` cannot be read: {error}", place, hint) from None
    if not isinstance(config, dict):
        raise _fault("bad-model", f"`{file}` is not a JSON object", place, hint)
    return config


def _require_shards(path: Path, place: Place | None) -> None:
    """Raise Faults unless every shard that an index names is there."""
    for index in sorted(path.glob("*.safetensors.index.json")):
        try:
            named = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            message = f"`{index}` is not a readable index of shards"
            hint = "restore the file from where the model came from"
            raise _fault("bad-model", message, place, hint) from None
        absent = [name for name in named if not (path / name).is_file()]
        if absent:
            message = f"`{path}` lacks {len(absent)} of {len(named)} shards (`{absent[0]}`)"
            hint = "complete the download of the model"
            raise _fault("missing-weights", message, place, hint)


def _header(file: Path, place: Place | None = None) -> dict[str, Any]:
    """The JSON header of a safetensors file: 8 bytes of length, then the text.

    Raises Faults when the file is not as long as its header says.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            if stream.read(len(LFS_HEAD)) == LFS_HEAD:
                raise _pointer(file, place)
            stream.seek(0)
            length = int.from_bytes(stream.read(8), "little")
            if length > size:
                raise ValueError("the header is longer than the file")
            header: dict[str, Any] = json.loads(stream.read(length))
        tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
        ends = [int(tensor["data_offsets"][1]) for tensor in tensors if tensor["shape"] is not None]
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _fault(
            "bad-model",
            f"`{file}` is not a safetensors file: {error}",
            place,
            "complete the download of the model",
        ) from None
    whole = 8 + length + max(ends, default=0)
    if size != whole:
        message = f"`{file}` has {size:,} bytes where its header says {whole:,}"
        raise _fault("bad-model", message, place, "complete the download of the model")
    return header


def _pointer(file: Path, place: Place | None) -> Faults:
    return _fault(
        "weights-lfs-pointer",
        f"`{file}` is a git-LFS pointer, not the file itself",
        place,
        "run `git lfs pull` in the model directory",
    )


def _number(config: Mapping[str, Any], *keys: str) -> int:
    return next((int(config[key]) for key in keys if isinstance(config.get(key), int)), 0)


def _rope_types(config: Mapping[str, Any]) -> set[str]:
    """The rotary scaling types of a configuration, in the old and the new spelling."""
    entries = [config.get(name) for name in ("rope_parameters", "rope_scaling")]
    named = [entry for entry in entries if isinstance(entry, dict)]
    parts = [part for entry in named for part in (entry, *entry.values()) if isinstance(part, dict)]
    return {str(part.get(name)) for part in parts for name in ("rope_type", "type")}


def _product(shape: list[int]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def _fault(code: str, message: str, place: Place | None, hint: str) -> Faults:
    return Faults([Diagnostic(code, message, place, hint=hint)])
