"""Loading a model: local files, safetensors only, with the settings that fix its numbers."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from evalc.diagnostics import Diagnostic, Faults
from evalc.exec.kernels.choice import runs_triton, triton_fault
from evalc.exec.model.adapters import with_adapter
from evalc.exec.model.linears import pack, unpack
from evalc.exec.model.state import settle_numerics
from evalc.exec.model.unloadable import unloadable
from evalc.exec.model.weights import require_adapter, require_model
from evalc.plan.elsewhere import require_own_code
from evalc.plan.sources import ModelSource

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
QUANTIZATIONS = ("8bit", "4bit")
NO_FOLDER = "evalc-applies-adapters-itself"
"""Where transformers is to look for an adapter that it would apply without being asked."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A causal language model in eval mode, with where and how it was loaded.

    `decoder` is the config of its language part; `vocab` the width of its logits.
    """

    source: ModelSource
    model: Any
    decoder: Any
    vocab: int
    device: torch.device


def load(source: ModelSource) -> LoadedModel:
    """Load what `source` names. Raises Faults with one diagnostic per thing in the way."""
    require(source)
    return adapted(base(source), source)


def require(source: ModelSource) -> None:
    """Raise Faults unless the files and the device that `source` names are there."""
    checkpoint = require_model(source.path)
    if source.trust_remote_code:
        require_own_code(source.path, checkpoint.config, None)
    if source.adapter is not None:
        require_adapter(source.adapter)
    _require_device(source)


def adapted(model: Any, source: ModelSource) -> LoadedModel:
    """The base `model` as `source` wants it: with its adapter put into it, if it names one.

    What `hasten` does to it, `restore` undoes.
    """
    if source.adapter is not None:
        model = with_adapter(model, source, source.adapter)
    model.eval()
    head = model.get_output_embeddings()
    decoder = model.config.get_text_config(decoder=True)
    vocab = int(head.weight.shape[0]) if hasattr(head, "weight") else int(decoder.vocab_size)
    if source.quantization is None:
        try:
            hasten(model)
        except RuntimeError as failure:
            raise unloadable(source, failure) from failure
    return LoadedModel(source, model, decoder, vocab, torch.device(source.device))


def hasten(model: Any) -> None:
    """Let a model compute the same faster: packed linear layers on a CPU, fused ones on a GPU."""
    if model.device.type == "cpu":
        pack(model)
    elif runs_triton(model.device):
        from evalc.exec.model.fused import fuse  # noqa: PLC0415  needs triton

        fuse(model)


def restore(model: Any, attention: str | None) -> None:
    """Undo what `hasten` did, and let the model's attention be what it was."""
    unpack(model)
    if model.config._attn_implementation != attention:
        model.set_attn_implementation(attention)
    if runs_triton(model.device):
        from evalc.exec.model.fused import unfuse  # noqa: PLC0415  needs triton

        unfuse(model)


def base(source: ModelSource) -> Any:
    """The model without its adapter, on its device. Raises Faults."""
    settle_numerics()
    options = _options(source)
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            source.path, output_loading_info=True, **options
        )
        if source.quantization is None:
            model = model.to(source.device)
    except Exception as failure:
        raise unloadable(source, failure) from failure
    _answer_plainly(model.config)
    # transformers only warns of absent tensors, and fills them with random numbers.
    absent = sorted(info["missing_keys"])
    if absent:
        raise Faults(
            [
                Diagnostic(
                    "bad-model",
                    f"the weights in `{source.path}` lack {len(absent)} tensors of the "
                    f"architecture (`{absent[0]}`)",
                    hint="check that config and weights belong together",
                )
            ]
        )
    return model


def _answer_plainly(config: Any) -> None:
    """Let a model return logits and nothing else, whatever its configuration asks for besides.

    Falcon's attention has other numbers where its weights are asked for (5.23).
    """
    for part in {id(one): one for one in (config, config.get_text_config(decoder=True))}.values():
        part.output_attentions = False
        part.output_hidden_states = False
        part.return_dict = True


def _options(source: ModelSource) -> dict[str, Any]:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options: dict[str, Any] = {
        "dtype": DTYPES[source.dtype],
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": source.trust_remote_code,
        "attn_implementation": _attention(source),
        # an adapter in the model's folder is put into it as any other is, not unseen
        "adapter_kwargs": {"subfolder": NO_FOLDER},
    }
    if source.quantization is not None:
        options["quantization_config"] = _quantization(source, source.quantization)
        options["device_map"] = {"": source.device}
    return options


def _attention(source: ModelSource) -> str | None:
    """Soft-capped attention scores (Gemma 2) exist only in the eager implementation."""
    try:
        config = AutoConfig.from_pretrained(
            source.path, local_files_only=True, trust_remote_code=source.trust_remote_code
        )
    except Exception as failure:
        raise unloadable(source, failure) from failure
    decoder = config.get_text_config(decoder=True)
    return "eager" if getattr(decoder, "attn_logit_softcapping", None) else None


def _quantization(source: ModelSource, wanted: str) -> Any:
    if wanted not in QUANTIZATIONS:
        raise Faults(
            [
                Diagnostic(
                    "wrong-value",
                    f"model `{source.name}` asks for the unknown quantization `{wanted}`",
                    hint="use `8bit` or `4bit`",
                )
            ]
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise Faults(
            [
                Diagnostic(
                    "missing-package",
                    f"quantization `{wanted}` of model `{source.name}` needs `bitsandbytes`",
                    hint="install it with `pip install bitsandbytes`",
                )
            ]
        )
    if wanted == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_compute_dtype=DTYPES[source.dtype]
    )


def _require_device(source: ModelSource) -> None:
    if source.dtype not in DTYPES:
        raise ValueError(f"unknown dtype `{source.dtype}`")
    if source.device == "cuda" and not torch.cuda.is_available():
        raise Faults(
            [
                Diagnostic(
                    "missing-device",
                    f"model `{source.name}` is to run on `cuda`, and torch sees no CUDA device",
                    hint='set `device = "cpu"`, or check the driver with `evalc doctor`',
                )
            ]
        )
    if source.device == "cuda" and source.numerics == "stable" and (fault := triton_fault()):
        raise Faults(
            [
                Diagnostic(
                    "missing-package",
                    f"stable numerics of model `{source.name}` on `cuda` need programs in Triton, "
                    f"which do not run: {fault}",
                    hint='install `triton` and a C compiler, or set `numerics = "fast"`',
                )
            ]
        )
