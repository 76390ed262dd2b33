"""Attention that also returns its log-sum-exps, with results that no batch element shares."""

from __future__ import annotations

from functools import lru_cache

import torch


def runs_triton(device: torch.device) -> bool:
    """Whether the engine's own programs for GPUs run on `device`."""
    return device.type == "cuda" and triton_fault() is None


@lru_cache(maxsize=1)
def triton_fault() -> str | None:
    """Why the programs of `exec.kernels` do not run on this machine's GPU; None when one did."""
    try:
        from evalc.exec.kernels.launch import chances  # noqa: PLC0415  needs triton

        most, _, _ = chances(torch.ones(1, 16, device="cuda"))
        return None if float(most) == 1.0 else "its results are wrong"
    except Exception as failure:  # there are as many as compilers and drivers
        return (str(failure).splitlines() or [type(failure).__name__])[0]


class Kernel:
    """Softmax attention of a batch of query blocks, each on keys of its own.

    On CPUs it is torch's flash kernel, which computes each (element, head) by itself and takes the
    keys in blocks from the first one on. Where the widths of keys and values differ, and on GPUs
    without Triton (see `exec.kernels`), it is plain matrix products.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._masks: dict[tuple[int, int, int], torch.Tensor] = {}

    def causal(self, queries: int, keys: int, repeats: int) -> torch.Tensor:
        """Float mask [repeats * queries, keys]: the last query sees every key."""
        known = (queries, keys, repeats)
        if known not in self._masks:
            row = torch.arange(queries, device=self.device)[:, None] + (keys - queries)
            seen = torch.arange(keys, device=self.device)[None] <= row
            mask = torch.zeros(queries, keys, device=self.device).masked_fill(~seen, -torch.inf)
            self._masks[known] = mask.repeat(repeats, 1)
        return self._masks[known]

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """query [n, K, Q, D], key and value [n, K, L, D] -> [n, K, Q, D] and float32 [n, K, Q].

        `mask` is float and broadcasts to [n, K, Q, L] from [Q, L] or [n, 1, Q, L].
        """
        if self.device.type == "cpu" and key.shape[-1] == value.shape[-1]:
            bias = mask
            if mask is not None:
                bias = mask.to(query.dtype).expand(*(1, 1, *mask.shape)[-4:])
            out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, attn_mask=bias, scale=scaling
            )
            return out, lse
        scores = torch.matmul(query, key.transpose(-1, -2)).float() * scaling
        if mask is not None:
            scores = scores + mask
        lse = torch.logsumexp(scores, dim=-1)
        shares = torch.exp(scores - lse[..., None]).to(value.dtype)
        return torch.matmul(shares, value), lse
