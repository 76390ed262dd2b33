"""What an adapter's folder holds, read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalc.diagnostics import Place
from evalc.plan import contents
from evalc.plan.modelfiles import fault, header, json_object, require_plain

PROMPTS = (
    *("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT"),
    "CARTRIDGE",
)
"""Kinds that put something before the prompt; some read a tokenizer or weights elsewhere."""
ELSEWHERE = ("XLORA", "SHADOW")
"""Kinds whose weights lie in other folders."""
CODE = "bad-adapter"


def read_adapter(path: Path, place: Place | None) -> dict[str, Any]:
    """The configuration of the adapter in a directory.

    Raises Faults unless it is one in safetensors, complete and without files elsewhere.
    """
    hint = f"point at a directory with `{contents.ADAPTER_CONFIG}` and `{contents.ADAPTER_WEIGHTS}`"
    try:
        require_plain(path, place, CODE)
        config = json_object(path / contents.ADAPTER_CONFIG, place, CODE)
    except FileNotFoundError:
        message = f"`{path}` is not a LoRA adapter: it holds no `{contents.ADAPTER_CONFIG}`"
        raise fault(CODE, message, place, hint) from None
    weights = path / contents.ADAPTER_WEIGHTS
    if not weights.is_file():
        message = f"`{path}` is not a LoRA adapter in safetensors form"
        if (path / "adapter_model.bin").is_file():
            hint = "save it with `save_pretrained` (safetensors); a pickle is never loaded"
        raise fault(CODE, message, place, hint)
    header(weights, place, CODE)
    kind = config.get("peft_type")
    if not isinstance(kind, str):
        message = f"`{path / contents.ADAPTER_CONFIG}` does not say what kind it is (`peft_type`)"
        raise fault(CODE, message, place, hint)
    if kind in PROMPTS or kind in ELSEWHERE:
        why = "of the prompt-learning" if kind in PROMPTS else "made of other folders, of the"
        message = f"the adapter `{path}` is {why} kind `{kind}`"
        raise fault(CODE, message, place, "use an adapter that changes weights, such as LoRA")
    if config.get("megatron_config"):
        message = f"`{path / contents.ADAPTER_CONFIG}` names a module to import (`megatron_core`)"
        raise fault(CODE, message, place, "remove `megatron_config`; no model here is Megatron's")
    return config
