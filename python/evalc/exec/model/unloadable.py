"""What to say of a model or an adapter that does not load."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.exec.memory.budget import is_out_of_memory
from evalc.exec.model.weights import first_line
from evalc.plan.checkpoint import read_checkpoint
from evalc.plan.contents import CONFIG
from evalc.plan.modelfiles import header
from evalc.plan.sources import ModelSource


def unloadable(source: ModelSource, failure: Exception, adapter: Path | None = None) -> Faults:
    """What to raise for an exception while loading a model, or its `adapter`.

    Memory can run out, else the files are bad.
    """
    if is_out_of_memory(failure):
        message = f"model `{source.name}` does not fit into the memory of `{source.device}`"
        hint = 'use `dtype = "bfloat16"`, a quantization, or a device with more memory'
        notes = (first_line(failure),)
        found = Diagnostic("out-of-memory", message, notes=notes, hint=hint)
        return Faults([found], exit_code=ExitCode.FAILURE)
    if adapter is not None:
        said = first_line(failure)
        message = f"the adapter `{adapter}` of model `{source.name}` does not load: {said}"
        hint = "check that it was made for this model, and for this version of peft"
        return Faults([Diagnostic("bad-adapter", message, hint=hint)])
    if misfit := _misfit(source):
        hint = "check that config and weights belong together"
        return Faults([Diagnostic("bad-model", misfit, hint=hint)])
    remote = "trust_remote_code" in str(failure) and not source.trust_remote_code
    hint = "load it once with transformers to see what is wrong"
    if remote:
        hint = "set `trust_remote_code = true` after reading the model's code"
    message = f"model `{source.name}` does not load from `{source.path}`: {first_line(failure)}"
    return Faults([Diagnostic("bad-model", message, hint=hint)])


def _misfit(source: ModelSource) -> str | None:
    """The first tensor whose shape is not what the configuration asks for, in words.

    The architecture is made without memory. None where it cannot be, or names its tensors
    otherwise than the files.
    """
    if source.trust_remote_code:
        return None
    with suppress(Exception), torch.device("meta"):
        config = AutoConfig.from_pretrained(source.path, local_files_only=True)
        wanted = AutoModelForCausalLM.from_config(config).state_dict()
        for file in read_checkpoint(source.path, None, source.name).loaded:
            for name, tensor in header(file).items():
                if name in wanted and tensor["shape"] != list(wanted[name].shape):
                    return (
                        f"`{name}` is {tensor['shape']} in `{file}` and "
                        f"{list(wanted[name].shape)} by `{source.path / CONFIG}`"
                    )
    return None
