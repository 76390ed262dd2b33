"""A look at a model directory before a gigabyte of it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from evalc.diagnostics import Diagnostic, Faults, Place

POINTER = b"version https://git-lfs"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def first_line(failure: BaseException) -> str:
    """What an exception of another library says, in one line."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return lines[0] if lines else type(failure).__name__


def require_model(directory: Path) -> None:
    """Raise Faults unless `directory` holds a config and complete safetensors weights."""
    require_config(directory)
    found = [*_weight_faults(directory, "model"), *_pointers(directory)]
    if found:
        raise Faults(found)


def require_adapter(directory: Path) -> None:
    """Raise Faults unless `directory` holds a peft adapter in safetensors."""
    config = directory / "adapter_config.json"
    if not config.is_file():
        raise Faults(
            [
                Diagnostic(
                    "bad-adapter",
                    f"`{directory}` holds no `adapter_config.json`",
                    hint="name a directory written by peft's `save_pretrained`",
                )
            ]
        )
    found = [*_weight_faults(directory, "adapter_model"), *_pointers(directory)]
    if found:
        raise Faults(found)


def require_config(directory: Path) -> None:
    """Raise Faults unless `directory` exists and holds a readable `config.json`."""
    if not directory.is_dir():
        raise Faults(
            [
                Diagnostic(
                    "missing-model",
                    f"the model directory `{directory}` does not exist",
                    hint="correct `path`, or download the model there first",
                )
            ]
        )
    config = directory / "config.json"
    if not config.is_file():
        raise Faults(
            [
                Diagnostic(
                    "missing-model",
                    f"`{directory}` holds no `config.json`",
                    hint="name the directory that `save_pretrained` wrote",
                )
            ]
        )
    try:
        readable = isinstance(json.loads(config.read_bytes()), dict)
    except (OSError, ValueError):
        readable = False
    if not readable:
        pointers = list(_pointers(directory))
        raise Faults(
            pointers
            or [
                Diagnostic(
                    "bad-model",
                    f"`{config}` is not readable JSON",
                    place=Place(config),
                    hint="copy the model directory again",
                )
            ]
        )


def _weight_faults(directory: Path, stem: str) -> Iterator[Diagnostic]:
    single = directory / f"{stem}.safetensors"
    index = directory / f"{stem}.safetensors.index.json"
    if single.is_file():
        return
    if index.is_file():
        yield from _shard_faults(directory, index)
        return
    pickled = sorted(file.name for pattern in PICKLED for file in directory.glob(pattern))
    if pickled:
        yield Diagnostic(
            "missing-weights",
            f"`{directory}` holds its weights only as pickles (`{pickled[0]}`)",
            notes=("a pickle can run any code when it is loaded, so it is never loaded",),
            hint="convert the weights to safetensors and save them beside the config",
        )
    else:
        yield Diagnostic(
            "missing-weights",
            f"`{directory}` holds no `{single.name}`",
            hint="download the weights, or name the directory that holds them",
        )


def _shard_faults(directory: Path, index: Path) -> Iterator[Diagnostic]:
    try:
        shards = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError):
        shards = []
        yield Diagnostic(
            "missing-weights",
            f"`{index}` is not a readable index of shards",
            place=Place(index),
            hint="download the weights again",
        )
    absent = [shard for shard in shards if not (directory / shard).is_file()]
    if absent:
        yield Diagnostic(
            "missing-weights",
            f"`{directory}` lacks {len(absent)} of {len(shards)} shards (`{absent[0]}`)",
            hint="download the missing files",
        )


def _pointers(directory: Path) -> Iterator[Diagnostic]:
    for file in sorted(directory.iterdir()):
        if not file.is_file() or file.stat().st_size > 1024:
            continue
        if file.read_bytes().startswith(POINTER):
            yield Diagnostic(
                "weights-lfs-pointer",
                f"`{file}` is a git-LFS pointer, not the file itself",
                place=Place(file),
                hint="run `git lfs pull` in the model's repository",
            )
