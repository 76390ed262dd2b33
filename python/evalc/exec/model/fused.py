"""Norms and rotary positions of a model on a GPU, each as one program instead of five to ten."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from evalc.exec.kernels import programs as kernels
from evalc.exec.kernels.launch import padded_width
from evalc.exec.memory.budget import is_out_of_memory
from evalc.exec.model.linears import tried

ROTARY = "apply_rotary_pos_emb"
EPSILONS = ("variance_epsilon", "eps")
WIDEST = 16384
ROWS = 3
"""Of a trial."""
ALLOWED = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""The largest difference of a trial, relative to the largest number: two units in the last place
of half precision, the order of a sum in float32."""


LOGITS = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""The same for the logits of the whole model."""


def fuse(model: Any) -> tuple[int, int]:
    """Replace what a trial on random numbers shows to compute the same; returns how much.

    Norms have a forward of their own then. A rotary function belongs to the architecture's module:
    it is replaced for all its models, and does what it did for those on other devices. Nothing
    stays replaced where the model then gives other logits or fails; `unfuse` puts everything back.
    Raises torch's own error when memory runs out.
    """
    if model.dtype not in ALLOWED:
        return 0, 0
    unfuse(model)
    before = tried(model)
    try:
        with torch.inference_mode():
            _replace(model)
        if _alike(tried(model), before, LOGITS[model.dtype]):
            return fused(model)
    except Exception as failure:
        unfuse(model)
        if is_out_of_memory(failure):
            raise
        return 0, 0
    unfuse(model)
    return 0, 0


def _replace(model: Any) -> None:
    device, dtype = model.device, model.dtype
    for module, epsilon in list(_norms(model, dtype)):
        if _same_norm(module, epsilon, device, dtype):
            module.forward = partial(_normal, module, epsilon)
    for home, width in _rotaries(model):
        plain = getattr(home, ROTARY)
        if _same_rotary(plain, width, device, dtype):
            setattr(home, ROTARY, partial(_rotated, plain, device.type))


def unfuse(model: Any) -> None:
    """Put everything back that was replaced."""
    norms, homes = _fused(model)
    for module in norms:
        del module.forward
    for home in homes:
        setattr(home, ROTARY, getattr(home, ROTARY).args[0])


def fused(model: Any) -> tuple[int, int]:
    """How many norms and rotary functions of a model are replaced."""
    norms, homes = _fused(model)
    return len(norms), len(homes)


def _fused(model: Any) -> tuple[list[Any], list[Any]]:
    """The norms whose forward is ours, and the modules whose rotary function is."""

    def ours(found: Any, work: Any) -> bool:
        return isinstance(found, partial) and found.func is work

    norms = [module for module in model.modules() if ours(vars(module).get("forward"), _normal)]
    return norms, [home for home in _homes(model) if ours(getattr(home, ROTARY), _rotated)]


def _norms(model: Any, dtype: torch.dtype) -> Iterator[tuple[Any, float]]:
    """Modules that look like root-mean-square norms, with their epsilons."""
    for module in model.modules():
        if not type(module).__name__.endswith("RMSNorm") or "forward" in vars(module):
            continue
        weight = getattr(module, "weight", None)
        found = [vars(module)[name] for name in EPSILONS if name in vars(module)]
        if weight is None or weight.dtype != dtype or weight.dim() != 1:
            continue
        if len(weight) <= WIDEST and found and isinstance(found[0], float):
            yield module, found[0]


def _same_norm(module: Any, epsilon: float, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a norm is one of the program's formula, number by number, with any weight."""
    given = 3 * _drawn(ROWS, 1, len(module.weight)).to(device, dtype)
    weight = module.weight.data
    module.weight.data = _drawn(len(weight)).to(device, dtype)
    try:
        expected, found = module(given), _normal(module, epsilon, given)
    finally:
        module.weight.data = weight
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    allowed = ALLOWED[dtype]
    return torch.allclose(found.float(), expected.float(), rtol=allowed, atol=1e-6)


def _normal(
    module: Any, epsilon: float, given: torch.Tensor, *rest: Any, **options: Any
) -> torch.Tensor:
    """given [..., width] -> the same shape; with other arguments, what the module does."""
    if rest or options or given.dtype != module.weight.dtype:
        plain: torch.Tensor = type(module).forward(module, given, *rest, **options)
        return plain
    given = given.contiguous()
    out = torch.empty_like(given)
    width = given.shape[-1]
    rows = given.numel() // width
    if rows:
        padded = padded_width(width)
        kernels.rms_norm[(rows,)](
            given, module.weight, out, width, epsilon,
            PADDED=padded, num_warps=max(1, min(8, padded // 256)),
        )  # fmt: skip
    return out


def _homes(model: Any) -> list[Any]:
    """Modules of architectures with a rotary function."""
    names = sorted({type(part).__module__ for part in model.modules()})
    return [sys.modules[name] for name in names if hasattr(sys.modules[name], ROTARY)]


def _rotaries(model: Any) -> list[tuple[Any, int]]:
    """Those whose rotary function is not replaced yet, with the width of a head."""
    decoder = model.config.get_text_config(decoder=True)
    heads = getattr(decoder, "num_attention_heads", 0)
    width = getattr(decoder, "head_dim", None) or (heads and decoder.hidden_size // heads)
    if not width or width % 2:
        return []
    return [
        (home, width) for home in _homes(model) if not isinstance(getattr(home, ROTARY), partial)
    ]


def _same_rotary(plain: Any, width: int, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a rotary function gives what the program gives; some take other arguments."""
    query, key = (
        _drawn(1, ROWS, heads, width).to(device, dtype).transpose(1, 2) for heads in (4, 2)
    )
    cos, sin = (_drawn(1, ROWS, width).to(device, dtype) for _ in range(2))
    try:
        expected = plain(query, key, cos, sin)
        found = _rotated(plain, device.type, query, key, cos, sin)
    except Exception:
        return False
    return all(_alike(one, other) for one, other in zip(expected, found, strict=True))


def _rotated(  # noqa: PLR0917  the function's own arguments, behind two of ours
    plain: Any,
    device: str,
    q: torch.Tensor,
    k: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    *rest: Any,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """q [1, H, T, D] and k [1, K, T, D] turned by cos and sin [1, T, D]; others by `plain`."""
    usual = not rest and not options and q.device.type == device and cos.shape == sin.shape
    if not usual or not _turns(q, cos) or not _turns(k, cos):
        both: tuple[torch.Tensor, torch.Tensor] = plain(q, k, cos, sin, *rest, **options)
        return both
    cos, sin = cos.contiguous(), sin.contiguous()
    return _turned(q, cos, sin), _turned(k, cos, sin)


def _turns(states: torch.Tensor, cos: torch.Tensor) -> bool:
    wanted = (1, states.shape[2], states.shape[3])
    same = states.shape[0] == 1 and cos.shape == wanted and cos.dtype == states.dtype
    return same and states.stride(-1) == 1


def _turned(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(states)
    _, heads, rows, width = states.shape
    if rows:
        kernels.rotate[(rows,)](
            states, cos, sin, out, states.stride(1), states.stride(2), out.stride(1),
            out.stride(2), heads,
            HEADS=1 << (heads - 1).bit_length(), WIDTH=width, PADDED=padded_width(width),
            num_warps=4,
        )  # fmt: skip
    return out


def _drawn(*shape: int) -> torch.Tensor:
    """Random numbers, drawn on the CPU: a GPU's generator is of no use after a failed capture."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def _alike(one: torch.Tensor, other: torch.Tensor, allowed: float | None = None) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    scale = float(one.float().abs().nan_to_num().amax().clamp(min=1e-6))
    most = scale * (ALLOWED[one.dtype] if allowed is None else allowed)
    return torch.allclose(one.float(), other.float(), rtol=0.0, atol=most, equal_nan=True)
