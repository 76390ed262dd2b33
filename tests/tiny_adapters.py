"""Small adapters of every kind that peft saves, for the model of `tiny_models`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import AutoModelForCausalLM

CAUSAL = {"task_type": "CAUSAL_LM"}
LORA = {**CAUSAL, "r": 2, "lora_alpha": 4, "init_lora_weights": False}
QV = {"target_modules": ["q_proj", "v_proj"]}


def _writer(config: Callable[[], Any]) -> Callable[[Path, Path], Path]:
    def write(model: Path, folder: Path) -> Path:
        torch.manual_seed(3)
        base = AutoModelForCausalLM.from_pretrained(model)
        wrapped = peft.get_peft_model(base, config())
        with torch.no_grad():
            for name, parameter in wrapped.named_parameters():
                if "lora_" in name or "ia3_" in name:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        wrapped.save_pretrained(folder, save_embedding_layers=False)
        return folder

    return write


ADAPTERS: dict[str, Callable[[Path, Path], Path]] = {
    "lora": _writer(lambda: peft.LoraConfig(**LORA, **QV)),
    "dora": _writer(lambda: peft.LoraConfig(**LORA, **QV, use_dora=True)),
    "rslora": _writer(lambda: peft.LoraConfig(**LORA, **QV, use_rslora=True)),
    "patterns": _writer(
        lambda: peft.LoraConfig(
            **LORA, **QV, rank_pattern={"q_proj": 4}, alpha_pattern={"v_proj": 9}
        )
    ),
    "every linear": _writer(lambda: peft.LoraConfig(**LORA, target_modules="all-linear")),
    "with a saved norm": _writer(lambda: peft.LoraConfig(**LORA, **QV, modules_to_save=["norm"])),
    "with an embedding": _writer(lambda: peft.LoraConfig(**LORA, target_modules=["embed_tokens"])),
    "with tokens": _writer(
        lambda: peft.LoraConfig(**LORA, **QV, trainable_token_indices={"embed_tokens": [3, 5]})
    ),
    "ia3": _writer(
        lambda: peft.IA3Config(
            **CAUSAL,
            target_modules=["k_proj", "v_proj", "down_proj"],
            feedforward_modules=["down_proj"],
            init_ia3_weights=False,
        )
    ),
    "loha": _writer(lambda: peft.LoHaConfig(**CAUSAL, r=2, init_weights=False, **QV)),
    "lokr": _writer(lambda: peft.LoKrConfig(**CAUSAL, r=2, init_weights=False, **QV)),
    "vera": _writer(lambda: peft.VeraConfig(**CAUSAL, r=2, target_modules=["q_proj"])),
}
"""Writers by name: the base model's folder, the adapter's folder."""
