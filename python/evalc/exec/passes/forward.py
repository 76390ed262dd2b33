"""One forward pass, with logits only where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evalc.exec.kernels.choice import runs_triton
from evalc.exec.layout.shapes import Shapes, narrowest
from evalc.exec.layout.transfer import moved
from evalc.exec.memory.budget import is_out_of_memory
from evalc.exec.model.load import LoadedModel
from evalc.exec.model.switches import dynamic_rotaries, refresh

FULL_FLOATS = 1 << 27


@dataclass(frozen=True, slots=True)
class Pass:
    """What a forward pass left: `picked` [K, width] for `Forward.logits`, and the cache."""

    picked: torch.Tensor
    cache: Any


class Forward:
    """Runs a model and keeps hidden states only at picked positions.

    A hook in front of the output head takes the picked states and lets no row through, so the
    head's full output never exists; the head then runs on picked states in pieces. Where a model
    does more to its logits than `_finished` knows, `full` is set and whole logits are picked from.
    `heads` are row counts below the head's usual one at which it is known to give the same bits.
    `tokens` counts computed tokens, padding included; `triton` tells whether the programs of
    `exec.kernels` run; `usual` is the attention that transformers takes for the model.
    """

    def __init__(self, loaded: LoadedModel, shapes: Shapes) -> None:
        self.loaded = loaded
        self.shapes = shapes
        self.device = loaded.device
        self.tokens = 0
        self.heads: tuple[int, ...] = ()
        self.head = loaded.model.get_output_embeddings()
        self.full = self.head is None
        self.triton = runs_triton(loaded.device)
        self.usual: str | None = loaded.model.config._attn_implementation
        self.rotaries = dynamic_rotaries(loaded.model)
        self._wanted: tuple[torch.Tensor, torch.Tensor] | None = None
        self._picked: torch.Tensor | None = None
        self.hook = None if self.full else self.head.register_forward_pre_hook(self._pick)

    def _pick(self, _head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._wanted is None:
            return None
        hidden = inputs[0]
        self._picked = hidden[self._wanted]
        return (hidden[:1, :0], *inputs[1:])

    def run(
        self,
        ids: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        cols: npt.NDArray[np.int64],
        **options: Any,
    ) -> Pass:
        """Run `ids` [B, S] and pick positions (rows[k], cols[k]).

        `options` reach the model's forward: cache, positions, mask.
        """
        return self.run_on(self._moved(ids), (self._moved(rows), self._moved(cols)), **options)

    def run_on(
        self, ids: torch.Tensor, picked_at: tuple[torch.Tensor, torch.Tensor], **options: Any
    ) -> Pass:
        """As `run`, for what is on the device already."""
        self.tokens += ids.numel()
        options.setdefault("use_cache", options.get("past_key_values") is not None)
        if options.get("past_key_values") is None:
            self._refresh()
        if self.full:
            out = self.loaded.model(input_ids=ids, **options)
            picked = out.logits[picked_at]
        else:
            self._wanted, self._picked = picked_at, None
            try:
                out = self.loaded.model(input_ids=ids, **options)
            finally:
                self._wanted = None
            if self._picked is None:
                raise RuntimeError("the model does not call its output head as a module")
            picked, self._picked = self._picked, None
        return Pass(picked, getattr(out, "past_key_values", None))

    def plain_logits(self, ids: npt.NDArray[np.int64]) -> torch.Tensor:
        """The model's own float32 logits [L, vocab] for one unpadded row, without any cache.

        Its attention is the one that transformers takes for it.
        """
        self.tokens += ids.size
        now = self.loaded.model.config._attn_implementation
        self.attend_by(self.usual)
        try:
            self._refresh()
            out = self.loaded.model(input_ids=self._moved(ids[None]), use_cache=False)
        finally:
            self.attend_by(now)
        logits: torch.Tensor = out.logits[0]
        return logits.float()

    def attend_by(self, name: str | None) -> None:
        """Let the model's attention be one of transformers' interface."""
        model = self.loaded.model
        if name is not None and model.config._attn_implementation != name:
            model.set_attn_implementation(name)

    def outgrown(self, ids: torch.Tensor, cache: Any) -> bool:
        """Whether transformers' `generate` lets go of `cache` before rows `ids` [B, S] go on."""
        model = self.loaded.model
        wanted = model.prepare_inputs_for_generation(ids, past_key_values=cache, use_cache=True)
        return wanted.get("past_key_values") is None

    def _refresh(self) -> None:
        for rotary in self.rotaries:
            refresh(rotary)

    def logits(self, picked: torch.Tensor, rows: int | None = None) -> torch.Tensor:
        """Float32 logits [K, vocab] of at most `rows` picked states; see `head_logits`."""
        return self.head_logits(picked, rows).float()

    def head_logits(self, picked: torch.Tensor, rows: int | None = None) -> torch.Tensor:
        """Logits [K, vocab] of at most `rows` picked states, by default `shapes.head`.

        They are of the model's dtype. Where shapes are padded the head runs on that many rows, or
        on fewer that give the same.
        """
        if self.full:
            return picked
        count = len(picked)
        if self.shapes.padded:
            usual = self.shapes.head if rows is None else rows
            same = rows is None or rows in self.heads
            width = narrowest(count, usual, self.heads) if same else usual
            picked = torch.nn.functional.pad(picked, (0, 0, 0, width - count))
        return self._finished(self.head(picked))[:count]

    def scores(
        self, picked: torch.Tensor, index: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]
    ) -> torch.Tensor:
        """Natural-log probability of tokens[t] at picked[index[t]], and whether it is the argmax.

        float64 [2, T] on the device, which may still be computing it. `index` ascends. The softmax
        is float32; a position with a NaN or infinite logit gives NaN.
        """
        found = []
        step = self.shapes.head
        for start in range(0, len(picked), step):
            logits = self.head_logits(picked[start : start + step])
            first, last = np.searchsorted(index, [start, start + len(logits)])
            at = self._moved(index[first:last] - start)
            wanted = self._moved(tokens[first:last])
            found.append(torch.stack(self._chances(logits, at, wanted)))
        return torch.cat(found, dim=1)

    def _chances(
        self, logits: torch.Tensor, at: torch.Tensor, wanted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float64 [T]: log-probability of `wanted` in rows `at`, and 1 where it is the largest."""
        if self.triton:
            from evalc.exec.kernels.launch import chances  # noqa: PLC0415  needs triton

            most, spread, best = chances(logits)
            chosen = logits[at, wanted].float() - most[at] - spread[at]
            return chosen.double(), (best[at] == wanted).double()
        logits = logits.float()
        sound = torch.isfinite(logits.amax(dim=-1))[at]
        chosen = torch.log_softmax(logits, dim=-1)[at, wanted]
        chosen = torch.where(sound, chosen, torch.nan)
        return chosen.double(), (logits.argmax(dim=-1)[at] == wanted).double()

    def heads_agree(self, ids: npt.NDArray[np.int64]) -> bool:
        """Whether picked states give the model's own logits; if not, switches to `full`."""
        if self.full:
            return False
        cols = np.arange(len(ids), dtype=np.int64)
        try:
            ours = self.logits(self.run(ids[None], np.zeros_like(cols), cols).picked)
        except (RuntimeError, IndexError, TypeError, AttributeError) as failure:
            if is_out_of_memory(failure):
                raise
            self.full = True
            return False
        plain = self.plain_logits(ids)
        scale = plain.abs().amax().clamp(min=1.0)
        exact = self.loaded.source.dtype == "float32"
        gap = (ours - plain).abs().amax() / scale
        self.full = not bool(gap <= (1e-5 if exact else 2e-2)) and bool(torch.isfinite(gap))
        return not self.full

    def token_limit(self) -> int | None:
        """The most tokens of a pass whose whole logits still fit, when they are needed."""
        return max(1, FULL_FLOATS // max(1, self.loaded.vocab)) if self.full else None

    def _finished(self, logits: torch.Tensor) -> torch.Tensor:
        """What known architectures do to the head's output: scales, then the soft cap."""
        decoder = self.loaded.decoder
        if (divisor := getattr(decoder, "logits_scaling", None)) is not None:
            logits = logits / divisor
        for name in ("logit_scale", "lm_head_multiplier"):
            if (factor := getattr(decoder, name, None)) is not None:
                logits = logits * factor
        if (cap := getattr(decoder, "final_logit_softcapping", None)) is not None:
            logits = torch.tanh(logits / cap) * cap
        return logits

    def _moved(self, array: npt.NDArray[np.int64]) -> torch.Tensor:
        return moved(array, self.device)


def padded(rows: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Rows of ids right-padded with 0 to [B, longest]. Causal rows never see what follows them."""
    block = np.zeros((len(rows), max(len(row) for row in rows)), dtype=np.int64)
    for place, row in enumerate(rows):
        block[place, : len(row)] = row
    return block
