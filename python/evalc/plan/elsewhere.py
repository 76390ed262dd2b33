"""What a model's files take from other places: refused, as no key holds what lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalc.diagnostics import Faults, Place
from evalc.plan import contents
from evalc.plan.modelfiles import fault, json_object

TOKENIZER_CONFIG = "tokenizer_config.json"
ATTENTION = ("_attn_implementation", "_experts_implementation")
OTHER = "--"
"""What stands between a repository and a module in a value of `auto_map` (transformers)."""


def require_own_kernels(path: Path, config: Mapping[str, Any], place: Place | None) -> None:
    """Raise Faults where the configuration has transformers fetch kernels, compiled code of a
    repository that it names, which transformers does without asking."""
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    for part in parts:
        for key in ATTENTION:
            for named in _texts(part.get(key)):
                if "/" in named:
                    message = (
                        f"`{path / contents.CONFIG}` takes the code of its attention from "
                        f"`{named}`, which no key holds"
                    )
                    raise fault("bad-model", message, place, f"remove `{key}`")


def require_own_code(path: Path, config: Mapping[str, Any], place: Place | None) -> None:
    """Raise Faults where a model that runs its own code takes it from another place.

    The code in the model's folder is part of what the model is; that of a repository which
    `auto_map` names is not, and may be another one tomorrow.
    """
    files = [(contents.CONFIG, config), (TOKENIZER_CONFIG, _tokenizer(path, place))]
    for name, content in files:
        for named in _texts(content.get("auto_map")):
            if OTHER in named:
                where, _, module = named.partition(OTHER)
                message = f"`{path / name}` takes code from `{where}`, which no key holds"
                hint = (
                    f"copy the Python files into the model's folder and write `{module}` in "
                    "`auto_map`"
                )
                raise fault("bad-model", message, place, hint)


def _tokenizer(path: Path, place: Place | None) -> Mapping[str, Any]:
    try:
        return json_object(path / TOKENIZER_CONFIG, place)
    except (FileNotFoundError, Faults):
        return {}  # what stands in the tokenizer's way is said by what reads it


def _texts(value: object) -> Iterator[str]:
    """Every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
