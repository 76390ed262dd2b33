"""Work on a GPU that is captured once as a CUDA graph and then replayed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

from evalc.contract.progress import Observer
from evalc.exec.memory.budget import is_out_of_memory, release

OLDEST = (2, 11)
"""The oldest torch with which recording was tried; some before do not get over one that fails."""


class Replays:
    """What recorded work of one engine shares: memory, a stream, whether recording works at all.

    `recorded` counts it. One stream replays all of it in turn, and what a replay leaves is read
    before the next one, so all may use the same memory for what they compute on the way.
    """

    def __init__(self, device: torch.device, observer: Observer) -> None:
        self.device, self.observer = device, observer
        self.possible = device.type == "cuda" and _version() >= OLDEST
        self.recorded = 0

    @cached_property
    def pool(self) -> Any:
        """The memory pool of all captured work."""
        return torch.cuda.graph_pool_handle()

    @cached_property
    def stream(self) -> Any:
        """The stream that all of it is recorded on.

        cuBLAS keeps a workspace for each stream, in the pool of what is recorded there first: on a
        stream that others record on too, it would be theirs, and gone with them.
        """
        return torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    def give_up(self, failure: Exception) -> None:
        """Capture nothing from now on: a model of which one step waits for the host has others."""
        self.possible = False
        if is_out_of_memory(failure):
            release()
        first = (str(failure).splitlines() or [""])[0]
        self.observer.note(
            f"passes of this model are not captured as graphs ({type(failure).__name__}: {first})"
        )


class Replayed:
    """The same work, which reads and writes tensors that stay where they are, again and again.

    The first run makes whatever is made at first use, the second is recorded, the others replay
    the record: one launch for all its kernels. Where that is not possible each run is a plain one.
    """

    def __init__(self, shared: Replays) -> None:
        self.shared = shared
        self.graph: torch.cuda.CUDAGraph | None = None
        self._warm = False

    def __call__(self, compute: Callable[[], None]) -> None:
        """Run `compute`, always the same; it is not kept, so that nothing here keeps its memory."""
        if self.graph is None and self._warm and self.shared.possible:
            self._capture(compute)
        if self.graph is None:
            compute()
            self._warm = True
        else:
            self.graph.replay()

    def _capture(self, compute: Callable[[], None]) -> None:
        """Record the work; recording computes nothing."""
        shared = self.shared
        try:
            torch.cuda.synchronize(shared.device)
            before = torch.cuda.current_stream(shared.device)
        except Exception as failure:
            shared.give_up(failure)
            return
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(
                graph, pool=shared.pool, stream=shared.stream, capture_error_mode="thread_local"
            ):
                compute()
        except Exception as failure:
            # where a recording cannot be ended, its stream stays the current one
            torch.cuda.set_stream(before)
            shared.give_up(failure)
            return
        self.graph = graph
        shared.recorded += 1


def _version() -> tuple[int, int]:
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)
