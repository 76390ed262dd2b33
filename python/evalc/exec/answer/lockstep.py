"""Generation for models whose caches cannot be shared: rows of one length step together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from evalc.contract.outcomes import Outcomes
from evalc.contract.progress import Phase
from evalc.diagnostics.amounts import many
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.answer.writers import Prompt, Writer, written
from evalc.exec.memory.budget import attempted
from evalc.exec.passes.engine import Engine, OutOfRoomError


def generate_in_lockstep(
    engine: Engine, decoder: Decoder, outcomes: Outcomes, prompts: Sequence[Prompt]
) -> None:
    """Generate for prompts of one manner, batching those of equal length without any padding.

    Where shapes are constant every prompt is alone.
    """
    by_length: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        by_length.setdefault(len(prompt.ids), []).append(prompt)
    for length in sorted(by_length):
        _generate_all(engine, decoder, outcomes, by_length[length])


def _generate_all(
    engine: Engine, decoder: Decoder, outcomes: Outcomes, prompts: Sequence[Prompt]
) -> None:
    """Generate for prompts of one length, as many at once as memory allows."""
    waiting = deque(prompts)
    longest = max(len(prompt.ids) + prompt.limit for prompt in prompts)
    while waiting:
        length = len(waiting[0].ids)
        width = 1 if engine.shapes.padded else engine.budget.rows_for(longest)
        count = max(1, min(width, engine.pass_tokens(length) // length, len(waiting)))
        group = [waiting.popleft() for _ in range(count)]
        if _ran(engine, decoder, outcomes, group):
            continue
        unfinished = [prompt for prompt in group if not _settled(outcomes, prompt)]
        if count == 1:
            outcomes.failures[group[0].request] = str(OutOfRoomError(length))
            continue
        engine.budget.slots = width = count // 2
        waiting.extendleft(reversed(unfinished))
        engine.meter.observer.note(
            f"out of memory while generating: at most {many(width, 'row')} now decode together"
        )


def _settled(outcomes: Outcomes, prompt: Prompt) -> bool:
    return prompt.request in outcomes.payloads or prompt.request in outcomes.failures


def _ran(engine: Engine, decoder: Decoder, outcomes: Outcomes, group: Sequence[Prompt]) -> bool:
    """Generate for one group; False when memory ran out."""

    def work() -> bool:
        _generate(engine, decoder, outcomes, group)
        return True

    return attempted(work) is not None


def _generate(
    engine: Engine, decoder: Decoder, outcomes: Outcomes, group: Sequence[Prompt]
) -> None:
    writers = [Writer.of(prompt, decoder) for prompt in group]
    cache: Any = None
    phase: Phase = "prefill"
    while writers:
        began = time.perf_counter()
        ids = _inputs(writers, cache)
        count = len(writers)
        passed = engine.forward.run(
            ids,
            np.arange(count),
            np.full(count, ids.shape[1] - 1),
            use_cache=True,
            **({} if cache is None else {"past_key_values": cache}),
        )
        ended = set(written(engine.forward.logits(passed.picked, 1), writers, outcomes))
        kept = [row for row in range(count) if row not in ended]
        writers = [writers[row] for row in kept]
        cache = passed.cache if hasattr(passed.cache, "reorder_cache") else None
        if cache is not None and ended and kept:
            cache.reorder_cache(torch.as_tensor(kept, device=engine.forward.device))
        if cache is not None and kept and engine.shifting:
            whole = torch.from_numpy(_inputs(writers, None)).to(engine.forward.device)
            cache = None if engine.forward.outgrown(whole, cache) else cache
        engine.meter.count(phase, len(ended), ids.size, time.perf_counter() - began)
        phase = "decode"


def _inputs(writers: Sequence[Writer], cache: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The newest id of each row, or all of them for a model that hands no cache back."""
    if cache is not None:
        return np.asarray([[writer.last] for writer in writers], dtype=np.int64)
    rows = [np.append(writer.prompt.ids, writer.transcript.tokens) for writer in writers]
    return np.stack(rows).astype(np.int64)
