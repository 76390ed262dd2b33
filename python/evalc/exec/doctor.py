"""What `evalc doctor` finds out about devices, and about a model by loading and trying it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch
from safetensors import safe_open

from evalc.contract.packs import Ask, Ids, PackColumns, built_pack
from evalc.contract.progress import Meter, Silence, Tally
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.kernels.choice import triton_fault
from evalc.exec.loop import ready
from evalc.exec.memory.free import Memory
from evalc.exec.model.bases import Bases
from evalc.exec.model.load import DTYPES, require
from evalc.exec.model.probes import PROBES
from evalc.exec.model.tokenizer import load_tokenizer, plain_ids
from evalc.exec.model.weights import first_line, require_model
from evalc.exec.passes.engine import Engine
from evalc.exec.selfcheck import (
    DRAFTED,
    Checked,
    bits_of,
    generation_gap,
    scored,
    trial_rows,
)
from evalc.plan.sources import ModelSource

SAMPLES = 4
RECORDED = 3
"""The runs after which a pass has been recorded as a graph, if that is possible."""
JOINED = 6
"""Texts of the probes that make one sample, so that it is longer than a trial row."""


def devices() -> list[dict[str, Any]]:
    """The CPU and every CUDA device: name, free and total bytes, dtypes that compute on it."""
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [_device(torch.device(name)) for name in names]


def _device(device: torch.device) -> dict[str, Any]:
    memory, title, total = Memory.of(device), None, None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        title, total = properties.name, properties.total_memory
    return {
        "device": str(device),
        "name": title,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "free_bytes": memory and memory.free,
        "total_bytes": total,
        "said_by": memory and memory.said_by,
        "dtypes": [name for name in DTYPES if _computes(device, name)],
    }


def _computes(device: torch.device, dtype: str) -> bool:
    """Whether a matrix product of a dtype runs on a device."""
    with suppress(RuntimeError):
        one = torch.ones(16, 16, dtype=DTYPES[dtype], device=device)
        return bool(torch.isfinite(one @ one).all())
    return False


def examine(source: ModelSource, bases: Bases) -> dict[str, Any]:
    """Load a model, start its engine as a run does, and say what was found.

    Raises Faults when the model cannot be run, whatever the reason.
    """
    try:
        return _examined(source, bases)
    except Faults:
        raise
    except Exception as failure:
        message = (
            f"model `{source.name}` loads and does not run: {type(failure).__name__}: "
            f"{first_line(failure)}"
        )
        hint = "call it once with transformers to see what is wrong"
        found = Diagnostic("bad-model", message, hint=hint)
        raise Faults([found], exit_code=ExitCode.FAILURE) from failure


def _require_room(source: ModelSource) -> None:
    """Raise Faults where the weights alone are more than what is free."""
    require(source)
    memory = Memory.of(torch.device(source.device))
    size = _weight_bytes(source)
    if memory is None or size <= memory.free:
        return
    message = (
        f"the weights of model `{source.name}` take {size:,} bytes in {source.dtype}, and "
        f"{memory.free:,} are free on `{source.device}` ({memory.said_by})"
    )
    hint = 'use `dtype = "bfloat16"`, a quantization, or a device with more memory'
    raise Faults([Diagnostic("out-of-memory", message, hint=hint)], exit_code=ExitCode.FAILURE)


def _weight_bytes(source: ModelSource) -> int:
    """Bytes of the weights once loaded, from the files' headers."""
    size = 0
    for file in require_model(source.path).loaded:
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118  no mapping
                kept = tensors.get_slice(name)
                size += math.prod(kept.get_shape()) * DTYPES[source.dtype].itemsize
    bits = {"4bit": 4, "8bit": 8}.get(source.quantization or "")
    return size if bits is None else size * bits // (8 * DTYPES[source.dtype].itemsize)


def _examined(source: ModelSource, bases: Bases) -> dict[str, Any]:
    _require_room(source)
    began = time.perf_counter()
    with bases.lent(source) as loaded, torch.inference_mode():
        tokenizer = load_tokenizer(source.path, source.trust_remote_code)
        loading = time.perf_counter() - began
        samples = _samples(tokenizer, loaded.vocab)
        decoder = Decoder.of(tokenizer)
        memory = Memory.of(loaded.device)
        engine, checked = ready(loaded, samples, decoder, Meter(Tally(), Silence()))
        checking = time.perf_counter() - began - loading
        rows = trial_rows(samples, source.max_length - DRAFTED)
        return {
            "architecture": type(loaded.model).__name__,
            "path": checked.capability.path,
            "reason": checked.capability.reason,
            "generation": "slots" if checked.capability.path == "tree" else "lockstep",
            "check": _check(checked),
            "bits": _bits(engine, checked, rows),
            "programs": _programs(engine, rows, decoder),
            "shapes": _shapes(engine),
            "memory": memory and asdict(memory),
            "budget": _budget(engine),
            "seconds": {"load": round(loading, 3), "check": round(checking, 3)},
        }


def _samples(tokenizer: Any, vocab: int) -> list[Ids]:
    """Inputs of texts that every tokenizer takes, with ids that the model has."""
    texts = ["\n".join(PROBES[at : at + JOINED]) for at in range(SAMPLES)]
    columns = [[i for i in plain_ids(tokenizer, text) if i < vocab] for text in texts]
    pack = built_pack("loglikelihood", [Ask(ids) for ids in columns if ids])
    decoded = PackColumns.of(pack)
    return [decoded.ids(request) for request in range(len(decoded))]


def _check(checked: Checked) -> dict[str, Any]:
    """The differences from the plain model call; `rows` 0 means that there was no comparing."""
    return {
        "rows": checked.rows,
        "allowed": checked.allowed,
        "plain_head": checked.plain_head,
        "switched": list(checked.switched),
        "trials": [asdict(trial) for trial in checked.trials],
    }


def _bits(engine: Engine, checked: Checked, rows: Sequence[Ids]) -> dict[str, Any] | None:
    """Whether scores have the same bits alone as together, and on top of what is held.

    A run finds that out as well where numerics are to be stable.
    """
    if not checked.rows:
        return None
    found = checked.bits or bits_of(engine.forward, engine.capability, rows)
    return {**asdict(found), "tiles": list(engine.capability.tiles)}


def _programs(engine: Engine, rows: Sequence[Ids], decoder: Decoder) -> dict[str, Any] | None:
    """On a GPU: why Triton does not run, if so, else what runs by it; None on a CPU."""
    forward = engine.forward
    if forward.device.type != "cuda":
        return None
    if engine.passes is None:
        return {"fault": triton_fault()}
    from evalc.exec.model.fused import fused  # noqa: PLC0415  needs triton

    for _ in range(RECORDED):
        engine.store.truncate(0)
        scored(engine, rows)
        generation_gap(engine, rows, decoder)
    norms, rotaries = fused(forward.loaded.model)
    return {
        "fault": None,
        "graphs": engine.passes.shared.recorded,
        "fused_norms": norms,
        "fused_rotaries": rotaries,
    }


def _shapes(engine: Engine) -> dict[str, Any]:
    shapes = engine.shapes
    return {
        "tile": shapes.tile,
        "head": shapes.head,
        "decode": shapes.decode,
        "constant": shapes.padded,
    }


def _budget(engine: Engine) -> dict[str, int]:
    """Tokens of a pass, rows that decode together at the model's full length, tokens they keep."""
    tree, budget, length = engine.capability.path == "tree", engine.budget, engine.max_length
    alone = engine.shapes.padded and not tree
    slots = min(engine.shapes.decode, budget.rows_for(length)) if tree else budget.rows_for(length)
    return {
        "pass_tokens": engine.tile_tokens() if tree else engine.pass_tokens(length),
        "slots": 1 if alone else slots,
        "kept_tokens": budget.kept,
        "longest": length,
    }
