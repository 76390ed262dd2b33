"""Which files loading a model opens, against what `evalc.plan.contents` says holds each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evalc.exec.model.bases import Bases
from evalc.plan import contents
from evalc.plan.sources import ModelSource
from opened import opened

DECOYS = (
    *("pytorch_model.bin", "optimizer.pt", "training_args.bin", "README.md", "LICENSE"),
    *("params.json", "trainer_state.json", "preprocessor_config.json", "recipe.yaml"),
    *("original/consolidated.00.pth", "onnx/model.onnx", "quantize_config.json", "modeling.py"),
    *("generation_config.json", "tf_model.h5", "flax_model.msgpack", "model.gguf"),
    *("checkpoint-1/config.json", "checkpoint-1/adapter_config.json", "processor_config.json"),
    *("video_preprocessor_config.json", "image_processor_config.json", "quant_config.json"),
    *("hf_quant_config.json", "adapter_model.bin", "dummy/adapter_config.json", "scheduler.bin"),
)
"""What lies in published folders, and loading has no business with."""


def source(path: Path, **changes: Any) -> ModelSource:
    """A model as `plan` resolves it."""
    inside = path if (path / contents.ADAPTER_CONFIG).is_file() else None
    fields: dict[str, Any] = {
        "name": "m",
        "path": path,
        "dtype": "float32",
        "device": "cpu",
        "adapter": inside,
        "quantization": None,
        "trust_remote_code": False,
        "max_length": 64,
        "numerics": "stable",
    }
    return ModelSource(**{**fields, **changes})


def unheld(asked: ModelSource) -> tuple[set[str], set[str]]:
    """Names of the files that loading opens, and those of them that nothing holds."""
    folders = {asked.path, asked.adapter or asked.path}
    with opened(*folders) as files, Bases([asked]).lent(asked):
        pass
    found = set()
    for file in files:
        folder = next(folder for folder in folders if file.is_relative_to(folder))
        name = file.relative_to(folder).as_posix()
        held = contents.holder(
            name,
            model=folder == asked.path,
            adapter=folder == asked.adapter,
            code=asked.trust_remote_code,
        )
        if held is None:
            found.add(name)
    return {file.name for file in files}, found


def decoyed(folder: Path, others: Mapping[str, str] | Iterable[str] = ()) -> Path:
    """The folder with all of `DECOYS` in it, and `others`; what is there stays."""
    texts = others if isinstance(others, Mapping) else dict.fromkeys(others, "{}")
    for name, text in {**dict.fromkeys(DECOYS, "{}"), **texts}.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            file.write_text(text)
    return folder
