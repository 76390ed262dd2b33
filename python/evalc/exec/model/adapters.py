"""Putting an adapter into its base model, whole or not at all."""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults
from evalc.exec.model.unloadable import unloadable
from evalc.plan.adapters import read_adapter
from evalc.plan.sources import ModelSource

NAME = "default"
MISFIT = re.compile(
    r"size mismatch for (?P<name>\S+): copying a param with shape "
    r"(?P<adapter>.*?) from checkpoint, the shape in current model is (?P<model>.*?)\.?$",
    re.MULTILINE,
)
"""How torch says that a tensor has another shape."""


def with_adapter(model: Any, source: ModelSource, adapter: Path) -> Any:
    """The base model with the adapter's layers inside.

    Raises Faults for an adapter that lacks a tensor, or has one that the model has no place for.
    """
    if importlib.util.find_spec("peft") is None:
        message = f"the adapter of model `{source.name}` needs `peft`"
        hint = "install it with `pip install peft`"
        raise Faults([Diagnostic("missing-package", message, hint=hint)])
    kind = read_adapter(adapter, None).get("peft_type")
    try:
        wrapped, loaded = _wrapped(model, adapter)
    except Exception as failure:
        if misfit := MISFIT.search(str(failure)):
            raise _of_another(source, adapter, misfit) from failure
        raise unloadable(source, failure, adapter) from failure
    if wrapped.active_peft_config.is_prompt_learning:
        message = f"the adapter `{adapter}` is of the prompt-learning kind `{kind}`"
        hint = "use an adapter that changes weights, such as LoRA"
        raise Faults([Diagnostic("bad-adapter", message, hint=hint)])
    _require_whole(adapter, loaded.missing_keys, loaded.unexpected_keys)
    # LoRA layers sit inside the base model, whose own forward keeps its full signature.
    return wrapped.get_base_model()


def _wrapped(model: Any, adapter: Path) -> tuple[Any, Any]:
    """What `PeftModel.from_pretrained` makes, and the names of tensors that it passes over."""
    from peft import PeftConfig, get_peft_model  # noqa: PLC0415  peft costs seconds, rarely wanted

    config = PeftConfig.from_pretrained(str(adapter), local_files_only=True)
    config.inference_mode = True
    mapping = getattr(model, "_checkpoint_conversion_mapping", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = get_peft_model(model, config, NAME)
        loaded = wrapped.load_adapter(
            str(adapter),
            NAME,
            torch_device=str(model.device),
            key_mapping=mapping,
            local_files_only=True,
        )
    return wrapped, loaded


def _require_whole(adapter: Path, absent: Sequence[str], homeless: Sequence[str]) -> None:
    """Raise Faults unless every tensor of the adapter has its place, and every place its tensor."""
    found = []
    if absent := [name for name in absent if not _shared(name)]:
        found.append(
            f"the adapter `{adapter}` lacks {len(absent)} tensors of its configuration "
            f"(`{absent[0]}`)"
        )
    if homeless:
        found.append(
            f"the adapter `{adapter}` has {len(homeless)} tensors that this model has no place for "
            f"(`{homeless[0]}`)"
        )
    if found:
        hint = "check that the adapter was made for this model, and saved whole"
        raise Faults([Diagnostic("bad-adapter", message, hint=hint) for message in found])


def _shared(name: str) -> bool:
    """Whether a tensor stands for one that all layers share, as peft tells them apart."""
    return "vblora_vector_bank" in name or "unilora_theta_d" in name or ".tinylora_v." in name


def _of_another(source: ModelSource, adapter: Path, misfit: re.Match[str]) -> Faults:
    one, other = (_shape(misfit[part]) for part in ("adapter", "model"))
    message = (
        f"the adapter `{adapter}` is for another model than `{source.name}`: `{misfit['name']}` is "
        f"{one} in the adapter and {other} in the model"
    )
    hint = "name the base model that the adapter was made for as `path`"
    return Faults([Diagnostic("bad-adapter", message, hint=hint)])


def _shape(said: str) -> str:
    return said.removeprefix("torch.Size(").removesuffix(")")
