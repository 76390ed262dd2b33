"""Tiny random-weight models and a real tokenizer, made once per session; no network, no files.

EVALC_TEST_ENGINE says what the engines of the fixtures run on: `cpu`, the default; `cuda`, a GPU;
`interpreted`, the programs for GPUs on a CPU, by Triton's interpreter (with TRITON_INTERPRET=1).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MambaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from evalc.contract.progress import Meter, Silence, Tally
from evalc.exec.layout.shapes import UNCUT, Shapes
from evalc.exec.memory.budget import Budget
from evalc.exec.model.capability import Capability, capability
from evalc.exec.model.load import LoadedModel, load
from evalc.exec.passes.attention import NAME
from evalc.exec.passes.engine import Engine
from evalc.exec.passes.forward import Forward
from evalc.plan.sources import ModelSource

ENGINE = os.environ.get("EVALC_TEST_ENGINE", "cpu")
if ENGINE == "interpreted":
    from evalc.exec.kernels import launch
    from evalc.exec.model import fused
    from evalc.exec.passes import pages, replay
DEVICE = "cuda" if ENGINE == "cuda" else "cpu"
SPAN = 16
"""Keys that an interpreted decode step sums together: few, so that short rows have several."""
VOCAB = 320
CORPUS = [
    "Question: what is the sum of 12 and 30? Answer: the sum is 42.\n",
    "The naïve café serves 3 crêpes for $7.50 — 🙂 and 日本語 text.\n",
    "def add(a, b):\n    return a + b\n",
]
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.25,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SIZES, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**SIZES),
    "qwen3": lambda: Qwen3Config(**SIZES, head_dim=8),
    "gpt_neox": lambda: GPTNeoXConfig(
        **{**SIZES, "num_key_value_heads": 4}, use_parallel_residual=True
    ),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCAB,
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=256,
        initializer_range=0.25,
        bos_token_id=0,
        eos_token_id=1,
    ),
    "granite": lambda: GraniteConfig(**SIZES, logits_scaling=3.0),
    "gemma": lambda: GemmaConfig(**SIZES, head_dim=8, hidden_activation="gelu_pytorch_tanh"),
    "gemma2": lambda: Gemma2Config(
        **SIZES, head_dim=8, sliding_window=8, final_logit_softcapping=5.0
    ),
    "gemma3": lambda: Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=8),
    "mamba": lambda: MambaConfig(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, initializer_range=0.25
    ),
}
SHARING = ("llama", "qwen2", "qwen3", "gpt_neox", "gpt2", "granite", "gemma")
PADDED = ("gemma2", "gemma3")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of `VOCAB` ids that puts no special token in front."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<|start|>", "<|end|>", "<|other|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|start|>",
        eos_token="<|end|>",
        extra_special_tokens=["<|other|>"],
    )


@pytest.fixture(scope="session")
def model_dir(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Callable[[str], Path]:
    """The directory of a tiny model by architecture, written on first use."""
    made: dict[str, Path] = {}

    def directory(name: str) -> Path:
        if name not in made:
            torch.manual_seed(7)
            folder = tmp_path_factory.mktemp(name)
            AutoModelForCausalLM.from_config(CONFIGS[name]()).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[name] = folder
        return made[name]

    return directory


@pytest.fixture(scope="session")
def source(model_dir: Callable[[str], Path]) -> Callable[..., ModelSource]:
    """A float32 `ModelSource` of a tiny model; keywords replace its fields."""

    def make(name: str = "llama", **changes: Any) -> ModelSource:
        plain = ModelSource(
            name=name,
            path=changes.get("path") or model_dir(name),
            dtype="float32",
            device=DEVICE,
            adapter=None,
            quantization=None,
            trust_remote_code=False,
            max_length=256,
            numerics="fast",
        )
        return replace(plain, **changes)

    return make


@pytest.fixture(scope="session")
def loaded(source: Callable[..., ModelSource]) -> Callable[[str], LoadedModel]:
    """A loaded tiny model, shared by the tests that do not change it."""
    kept: dict[str, LoadedModel] = {}

    def get(name: str) -> LoadedModel:
        if name not in kept:
            kept[name] = load(source(name))
            if ENGINE == "interpreted":
                fused.fuse(kept[name].model)
        return kept[name]

    return get


def shapes(numerics: str) -> Shapes:
    """Those of the device; of interpreted programs smaller ones, of the same kind."""
    if ENGINE == "interpreted":
        return Shapes(32, 16, UNCUT, 16, 16, 8, (8, 16), numerics == "stable")
    return Shapes.of(DEVICE, numerics)


@pytest.fixture(autouse=True, scope="session")
def interpreted_programs() -> Iterator[None]:
    """Shorter spans, and work that would be recorded and replayed is run again and again."""
    if ENGINE != "interpreted":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "SPAN", SPAN)
        patch.setattr(pages, "SPAN", SPAN)
        patch.setattr(replay.Replayed, "__call__", lambda _work, compute: compute())
        yield


@pytest.fixture
def engine(loaded: Callable[[str], LoadedModel]) -> Iterator[Callable[..., Engine]]:
    """A fresh engine on a tiny model, with a cheap forward pass so that prefixes get shared."""
    hooks = []

    def make(
        name: str = "llama", path: str | None = None, numerics: str = "fast", **limits: int
    ) -> Engine:
        model = loaded(name)
        forward = Forward(model, shapes(numerics))
        forward.triton |= ENGINE == "interpreted"
        hooks.append(forward.hook)
        judged = capability(model.model, model.decoder)
        if judged.path == "tree":
            model.model.set_attn_implementation(NAME)
        if path is not None:
            judged = Capability(path, "the test says so")  # type: ignore[arg-type]
        budget = replace(Budget.of(DEVICE), **{"overhead": 2, **limits})
        made = Engine.of(forward, judged, budget, Meter(Tally(), Silence()))
        if ENGINE == "interpreted":
            made.passes.shared.possible = True
        return made

    with torch.inference_mode():
        yield make
    for hook in hooks:
        if hook is not None:
            hook.remove()


@pytest.fixture
def ids() -> Callable[[int, int], list[int]]:
    """Random ordinary ids by length and seed."""

    def make(length: int, seed: int) -> list[int]:
        return np.random.default_rng(seed).integers(3, VOCAB, length).tolist()

    return make
