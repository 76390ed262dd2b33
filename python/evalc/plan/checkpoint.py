"""What a model directory holds, read without torch: configuration, weight files, sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from evalc.diagnostics import Place
from evalc.plan import contents
from evalc.plan.addresses import hub_hint
from evalc.plan.elsewhere import require_own_kernels
from evalc.plan.modelfiles import COMPLETE, RESTORE, SPAN, fault, header, json_object, require_plain
from evalc.plan.neighbours import near_path

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
LAYERS = frozenset(
    [
        *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers"),
        *("decoder_layers", "encoder_layers", "num_encoder_layers", "num_nextn_predict_layers"),
        *("num_mtp_layers", "mtp_num_hidden_layers", "num_blocks"),
    ]
)
MOST_LAYERS, MOST_LABELS = 256, 100_000
"""More of them are taken as they are where the weights have as many tensors."""
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
    """A model directory: absolute path, parsed `config.json`, weight files in name order.

    Of all `weights` loading reads those that are `loaded`.
    """

    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    loaded: tuple[Path, ...]

    @property
    def language(self) -> Mapping[str, Any]:
        """The configuration of the part that writes text."""
        text = self.config.get("text_config")
        return text if isinstance(text, dict) and text else self.config

    @property
    def max_length(self) -> int | None:
        """Longest input in tokens that the configuration names."""
        for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
            if isinstance(value := self.language.get(key), int) and value > 0:
                return value
        return None

    @property
    def attention(self) -> str:
        """The attention family that computes it; capped logits are only right without fusion."""
        return "eager" if self.language.get("attn_logit_softcapping") else "sdpa"

    @property
    def adapted(self) -> bool:
        """Whether the folder is an adapter's too: transformers applies it without being asked."""
        return (self.path / contents.ADAPTER_CONFIG).is_file()

    @property
    def chosen(self) -> list[str]:
        """Names of the shards, where other weights lie beside them that the index could name."""
        others = {file.name for file in self.weights} - {file.name for file in self.loaded}
        doubtful = [
            name
            for name in others
            if not any(fnmatchcase(name, pattern) for pattern in contents.DOUBLES)
        ]
        single = [file.name for file in self.loaded] == [contents.SINGLE]
        return [file.name for file in self.loaded] if doubtful and not single else []

    @property
    def corrections(self) -> tuple[str, ...]:
        """What an engine before got wrong for such a configuration, and this one does not.

        Rows of a rotary scale that follows the length were answered with frequencies of another
        length; sinks were dropped where every layer attends fully; Falcon has other numbers where
        its attention's weights are asked for.
        """
        text = self.config.get("text_config") or self.config
        found = []
        if _rope_types(text) & {"longrope", "dynamic"}:
            found.append("rope-switch-1")
        kinds = text.get("layer_types")
        full = isinstance(kinds, list) and set(map(str, kinds)) == {"full_attention"}
        if text.get("model_type") in SINKS and full:
            found.append("sinks-1")
        if text.get("model_type") == "falcon" and text.get("output_attentions"):
            found.append("plain-outputs-1")
        return tuple(found)

    def shape(self) -> Shape:
        """Sizes for the cost model, from the weight files' headers."""
        parameters = 0
        for file in self.loaded:
            for name, tensor in header(file).items():
                if not any(part in name for part in EMBEDDINGS):
                    parameters += math.prod(tensor["shape"])
        return Shape(
            parameters=parameters,
            layers=_number(self.language, "num_hidden_layers", "n_layer", "num_layers"),
            width=_number(self.language, "hidden_size", "n_embd", "d_model"),
            vocabulary=_number(self.language, "vocab_size"),
        )


def read_checkpoint(path: Path, place: Place | None, name: str) -> Checkpoint:
    """Look into a model directory.

    Raises Faults when it is missing, has no configuration, no safetensors weights, or a git-LFS
    pointer in place of either.
    """
    config = read_config(path, place, name)
    weights = tuple(contents.files(path, contents.MODEL["weights"]))
    loaded = _loaded(path, config, weights, place)
    tensors = sum(len(header(file, place)) for file in weights)
    _require_layers(path, config, tensors, place)
    return Checkpoint(path, config, weights, loaded)


def read_config(path: Path, place: Place | None, name: str) -> dict[str, Any]:
    """The configuration of the model in a directory. Raises Faults."""
    _require_directory(path, place, name)
    require_plain(path, place)
    try:
        config = json_object(path / contents.CONFIG, place)
    except FileNotFoundError:
        raise _configless(path, place) from None
    if "configuration_files" in config:
        message = (
            f"`{path / contents.CONFIG}` leaves it to the version of transformers which file is "
            "the configuration (`configuration_files`)"
        )
        raise fault("bad-model", message, place, "name one: copy it over `config.json`")
    _require_kinds(path, config, place)
    require_own_kernels(path, config, place)
    if config.get("is_encoder_decoder") is True:
        kind = str(config.get("model_type", "unknown"))
        message = f"model `{name}` is an encoder-decoder (`{kind}`), which evalc cannot ask"
        raise fault("bad-model", message, place, "name a model that is a decoder alone")
    return config


def _require_kinds(path: Path, config: Mapping[str, Any], place: Place | None) -> None:
    """Raise Faults unless the fields that are read as a table or as a name are one."""
    text = config.get("text_config")
    wrong = None if text is None or isinstance(text, dict) else ("text_config", "a table")
    for part in (config, text):
        kind = part.get("model_type") if isinstance(part, dict) else None
        if kind is not None and not isinstance(kind, str):
            wrong = ("model_type", "a name")
    if wrong is not None:
        field, what = wrong
        message = f"`{path / contents.CONFIG}` has a `{field}` that is not {what}"
        raise fault("bad-model", message, place, RESTORE)


def _require_directory(path: Path, place: Place | None, name: str) -> None:
    try:
        there, file = path.is_dir(), path.is_file()
    except OSError as error:
        message = f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}"
        raise fault("bad-model", message, place, "check its permissions") from None
    if file and path.suffix.lower() == ".gguf":
        message = f"the path of model `{name}` is a GGUF file, which is not read: `{path}`"
        hint = "convert it with transformers (`from_pretrained(..., gguf_file=...)`) and save that"
        raise fault("missing-model", message, place, hint)
    if file:
        message = f"the path of model `{name}` is a file, not a directory: `{path}`"
        raise fault("missing-model", message, place, "name the directory that it lies in")
    if not there:
        message = f"the directory of model `{name}` does not exist: `{path}`"
        hint = "give the path of a model directory, relative to the spec file"
        raise fault(
            "missing-model",
            message,
            place,
            near_path(path, place) or hub_hint(place, "model") or hint,
        )


def _configless(path: Path, place: Place | None) -> Exception:
    """What to raise for a directory without `config.json`, by what it is instead."""
    if (path / contents.ADAPTER_CONFIG).is_file():
        message = f"`{path}` is an adapter, not a model: it has no `config.json`"
        hint = "name its base model as `path`, and this directory as `adapter`"
        return fault("missing-model", message, place, hint)
    if found := sorted(path.glob("*.gguf")):
        message = f"`{path}` holds a GGUF file (`{found[0].name}`), which is not read"
        hint = "convert it with transformers (`from_pretrained(..., gguf_file=...)`) and save that"
        return fault("missing-model", message, place, hint)
    message = f"`{path}` has no `config.json`"
    hint = "point at the directory that `save_pretrained` wrote"
    return fault("missing-model", message, place, hint)


def _loaded(
    path: Path, config: Mapping[str, Any], weights: Sequence[Path], place: Place | None
) -> tuple[Path, ...]:
    """The weight files that loading reads. Raises Faults unless they are there and in `weights`."""
    explicit = config.get("transformers_weights")
    if explicit is not None and explicit not in (contents.SINGLE, contents.INDEX):
        message = f"`{path / contents.CONFIG}` takes the weights from `{explicit}`"
        hint = f"rename them to `{contents.SINGLE}`, and remove `transformers_weights`"
        raise fault("bad-model", message, place, hint)
    shards = _shards(path, place)
    if path / contents.SINGLE in weights and explicit != contents.INDEX:
        return (path / contents.SINGLE,)
    if shards is not None:
        return shards
    models = [file.name for file in weights if file.name != contents.ADAPTER_WEIGHTS]
    if models:
        message = f"`{path}` has shards (`{models[0]}`) and no `{contents.INDEX}`"
        if len(models) == 1:
            message = f"`{path}` has `{models[0]}` where `{contents.SINGLE}` is read"
        hint = "complete the download, or save the model again with `save_pretrained`"
        raise fault("missing-weights", message, place, hint)
    pickled = sorted(file for pattern in PICKLED for file in path.glob(pattern))
    if pickled:
        message = f"`{path}` holds its weights only as pickles (`{pickled[0].name}`)"
        hint = "save the model with `save_pretrained` (safetensors); a pickle may run any code"
        raise fault("missing-weights", message, place, hint)
    raise fault("missing-weights", f"`{path}` has no `*.safetensors` weights", place, COMPLETE)


def _shards(path: Path, place: Place | None) -> tuple[Path, ...] | None:
    """Every shard that the index names, in order; None without one. Raises Faults."""
    index = path / contents.INDEX
    try:
        content = json_object(index, place, what="a readable index of shards")
    except FileNotFoundError:
        return None
    named = content.get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(file, str) for file in named.values()):
        message = f"`{index}` is not a readable index of shards"
        raise fault("bad-model", message, place, RESTORE)
    files = sorted(set(named.values()))
    for name in files:
        if not fnmatchcase(name, "*.safetensors") or Path(name).name != name:
            message = f"`{index}` names `{name}`, which is no safetensors file beside it"
            hint = "put all shards beside their index"
            raise fault("bad-model", message, place, hint)
    absent = [name for name in files if not (path / name).is_file()]
    if absent:
        message = f"`{path}` lacks {len(absent)} of {len(files)} shards (`{absent[0]}`)"
        raise fault("missing-weights", message, place, COMPLETE)
    if not isinstance(content.get("metadata"), dict):
        message = f"`{index}` has no table `metadata`, without which transformers does not read it"
        raise fault("bad-model", message, place, RESTORE)
    return tuple(path / name for name in files)


def _require_layers(
    path: Path, config: Mapping[str, Any], tensors: int, place: Place | None
) -> None:
    """Raise Faults for more layers than there are tensors: they would be made before one is read.

    Labels, which the language model has none of, are listed one by one as well.
    """
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    for part in parts:
        for key, value in part.items():
            most = max(MOST_LAYERS, tensors) if key in LAYERS else MOST_LABELS
            if (key in LAYERS or key == "num_labels") and _exceeds(value, most):
                message = f"`{path / contents.CONFIG}` asks for {value} in `{key}`"
                if key in LAYERS:
                    message += f", and its weights are {tensors:,} tensors"
                raise fault("bad-model", message, place, "correct the field")


def _exceeds(value: object, most: int) -> bool:
    return isinstance(value, int | float) and not value <= most


def _number(config: Mapping[str, Any], *keys: str) -> int:
    found = next((int(config[key]) for key in keys if isinstance(config.get(key), int)), 0)
    # a size that no model has is none: the cost model would overflow
    return found if 0 <= found < SPAN else 0


def _rope_types(config: Mapping[str, Any]) -> set[str]:
    """The rotary scaling types of a configuration, in the old and the new spelling."""
    entries = [config.get(name) for name in ("rope_parameters", "rope_scaling")]
    named = [entry for entry in entries if isinstance(entry, dict)]
    parts = [part for entry in named for part in (entry, *entry.values()) if isinstance(part, dict)]
    return {str(part.get(name)) for part in parts for name in ("rope_type", "type")}
