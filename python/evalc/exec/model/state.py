"""Torch's settings of the process, which belong to whoever calls evalc.

A training loop may have reduced precision, another default dtype or an autocast around it. An
answer that was computed so would be kept under a key that says otherwise; and what evalc sets for
itself is not for the loop to train with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from transformers.utils import logging

from evalc import env

AUTOCASTS = ("cpu", "cuda")


def settle_numerics() -> None:
    """Turn off what makes sums less exact or dependent on the day: TF32, reduced split-K sums.

    Sums may still be split: cuBLAS refuses a product for which that is forbidden, and at one shape
    the split is always the same.
    """
    env.prepare_accelerator()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    matmul: Any = torch.backends.cuda.matmul
    matmul.allow_bf16_reduced_precision_reduction = False
    matmul.allow_fp16_reduced_precision_reduction = False


@contextmanager
def own_state() -> Iterator[None]:
    """In the block torch is as evalc wants it; afterwards as it was."""
    with ExitStack() as stack:
        _remember(stack)
        settle_numerics()
        torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in AUTOCASTS:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def _remember(stack: ExitStack) -> None:
    """Put back, at the end of the stack, what the block may change."""
    matmul: Any = torch.backends.cuda.matmul
    for owner, name in (
        (torch.backends.cudnn, "allow_tf32"),
        (matmul, "allow_bf16_reduced_precision_reduction"),
        (matmul, "allow_fp16_reduced_precision_reduction"),
    ):
        stack.callback(setattr, owner, name, getattr(owner, name))
    stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    stack.callback(torch.set_default_dtype, torch.get_default_dtype())
    stack.callback(torch.set_num_threads, torch.get_num_threads())
    stack.callback(logging.set_verbosity, logging.get_verbosity())
    if logging.is_progress_bar_enabled():
        stack.callback(logging.enable_progress_bar)
