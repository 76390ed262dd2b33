"""Work on a GPU that is captured once as a CUDA graph and then replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from evalc.exec.budget import is_out_of_memory, release
from evalc.exec.progress import Observer


class Replays:
    """What the captured work of one engine shares: memory, and whether capturing works at all.

    One stream replays all of it in turn, and what a replay leaves is read before the next one, so
    all may use the same memory for what they compute on the way.
    """

    def __init__(self, device: torch.device, observer: Observer) -> None:
        self.device, self.observer = device, observer
        self.possible = device.type == "cuda"
        self._pool: Any = None

    def pool(self) -> Any:
        """The memory pool of all captured work."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        return self._pool

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
    """`compute`, which reads and writes tensors that stay where they are, run again and again.

    The first run makes whatever is made at first use, the second is recorded, the others replay
    the record: one launch for all its kernels. Where that is not possible each run is a plain one.
    """

    def __init__(self, compute: Callable[[], None], shared: Replays) -> None:
        self.compute, self.shared = compute, shared
        self.graph: torch.cuda.CUDAGraph | None = None
        self._warm = False

    def __call__(self) -> None:
        """Run it."""
        if self.graph is None and self._warm and self.shared.possible:
            self._capture()
        if self.graph is None:
            self.compute()
            self._warm = True
        else:
            self.graph.replay()

    def _capture(self) -> None:
        """Record the work; recording computes nothing."""
        try:
            torch.cuda.synchronize(self.shared.device)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, pool=self.shared.pool(), capture_error_mode="thread_local"
            ):
                self.compute()
        except Exception as failure:
            self.shared.give_up(failure)
            return
        self.graph = graph
