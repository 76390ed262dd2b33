"""The progress of a run, on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from evalc.cli.output import Talker
from evalc.cli.plan_table import count, duration
from evalc.plan import Planned

PLAIN_SECONDS = 10.0
"""How often a line is written where stderr is not a terminal."""


class RunMeter:
    """An `evalc.exec.progress.Observer`: requests, tokens per second, cache share, time left.

    The time left starts from the plan's estimate and follows the share of tokens that is done.
    """

    def __init__(self, console: Talker, planned: Planned, priced: dict[str, Any]) -> None:
        total = priced["total"]
        asked = total["to_run"] + total["cached"]
        self._console = console
        self._cached = total["cached"] / asked if asked else 0.0
        self._expected = float(total["estimate"]["seconds"])
        self._requests, self._done = total["to_run"], 0
        self._work = total["prefill_tokens"] + total["decode_tokens_bound"]
        self._tokens, self._began, self._said = 0, time.monotonic(), 0.0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} requests"),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("exec", total=self._requests, rate="")

    def __enter__(self) -> RunMeter:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            self._console.say(
                f"stopped after {self._done:,} of {self._requests:,} requests; "
                "run the same command again to continue"
            )

    def started(self, total_requests: int, total_tokens: int) -> None:
        """A model begins."""
        self._show()

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        """Work was done."""
        self._done += requests
        self._tokens += tokens
        self._show()

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._console.say(text)

    def _show(self) -> None:
        elapsed = time.monotonic() - self._began
        rate = f"{count(self._tokens / elapsed if elapsed else 0)} tok/s"
        rate += f", {self._cached:.0%} from cache, {duration(self._left(elapsed))} left"
        self._bar.update(self._task, completed=self._done, rate=rate)
        if not self._console.is_terminal and elapsed - self._said >= PLAIN_SECONDS:
            self._said = elapsed
            self._console.say(f"{self._done:,}/{self._requests:,} requests, {rate}")

    def _left(self, elapsed: float) -> float:
        share = self._done / self._requests if self._requests else 1.0
        measured = elapsed * (1 - share) / share if share else self._expected
        planned = max(self._expected - elapsed, 0.0)
        return share * measured + (1 - share) * planned
