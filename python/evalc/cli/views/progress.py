"""The progress of a run, on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich import progress as bars
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn

from evalc.cli import output
from evalc.cli.output import Talker
from evalc.cli.terminal import Terminal
from evalc.cli.views.plan import SHOWN_TASKS, count, duration
from evalc.diagnostics.amounts import many
from evalc.diagnostics.visible import visible
from evalc.plan import Planned
from evalc.run.listener import Progress

PLAIN_SECONDS = 10.0
"""How often a line is written where stderr is not a terminal."""
FEW = 8
"""Answers that have to end before the others are expected to end as early."""


class RunMeter(Progress):
    """On a terminal, or line by line: requests, tokens per second, cache share, time left.

    The time left is the plan's estimate until reading and writing were both measured, then what
    remains of each at its speed. Answers that end early shorten what is expected of the others.
    """

    def __init__(self, console: Talker, planned: Planned, priced: dict[str, Any]) -> None:
        total = priced["total"]
        asked = total["to_run"] + total["cached"]
        self._console = console
        self._cached = total["cached"] / asked if asked else 0.0
        self._expected = float(total["estimate"]["seconds"])
        self._requests, self._done = total["to_run"], 0
        self._prefill = _Work(total["prefill_tokens"])
        self._decode = _Work(total["decode_tokens_bound"])
        self._cells = priced["cells"]
        self._generations = sum(c["to_run"] for c in self._cells if c["decode_tokens_bound"])
        self._ended, self._who = 0, "exec"
        self._loaded: set[str] = set()
        self._began, self._said = time.monotonic(), 0.0
        self._bar = bars.Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} requests"),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            redirect_stdout=False,
            redirect_stderr=False,
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
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._console.say(
                f"stopped after {self._done:,} of {many(self._requests, 'request')}; "
                "run the same command again to continue"
            )

    def asking(self, model: str) -> None:
        """The turn of a model has come: it is loaded, for which there is no progress to show."""
        tasks = [c["task"] for c in self._cells if c["model"] == model and c["to_run"]]
        more = [f"{len(tasks) - SHOWN_TASKS} more"] if len(tasks) > SHOWN_TASKS else []
        self._who = f"{model}: {', '.join([*tasks[:SHOWN_TASKS], *more])}"
        self._bar.update(self._task, description=visible(f"loading {model}"))
        if not self._console.is_terminal and model not in self._loaded:
            self._console.say(f"loading {model}")
        self._loaded.add(model)

    def started(self, total_requests: int, total_tokens: int) -> None:
        """A model is loaded, and begins."""
        self._bar.update(self._task, description=visible(self._who))
        self._show()

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        """Work was done."""
        self._done += requests
        (self._decode if kind == "decode" else self._prefill).add(tokens, seconds)
        if kind == "decode":
            self._ended += requests
        self._show()

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._console.say(text)

    def _show(self) -> None:
        elapsed = time.monotonic() - self._began
        tokens = self._prefill.done + self._decode.done
        rate = f"{count(tokens / elapsed if elapsed else 0)} tok/s"
        rate += f", {self._cached:.0%} from cache"
        if (left := self._left(elapsed)) is not None:
            rate += f", {duration(left)} left"
        self._bar.update(self._task, completed=self._done, rate=rate)
        if not self._console.is_terminal and elapsed - self._said >= PLAIN_SECONDS:
            self._said = elapsed
            self._console.say(
                f"{self._who}: {self._done:,}/{many(self._requests, 'request')}, {rate}"
            )

    def _left(self, elapsed: float) -> float | None:
        """Seconds; None where the plan's estimate is used up and nothing better is known."""
        if self._done >= self._requests:
            return 0.0
        parts = (self._prefill.seconds_left(), self._decode.seconds_left(self._to_write()))
        measured = sum(part for part in parts if part is not None)
        if None not in parts:
            return measured
        left = max(measured, self._expected - elapsed)
        return left if left > 0 else None

    def _to_write(self) -> float:
        """Tokens that are still to be written, if the others end as early as those that have."""
        bound = float(max(0, self._decode.total - self._decode.done))
        waiting = max(0, self._generations - self._ended)
        if self._ended < FEW:
            return bound
        return min(bound, float(waiting * self._decode.done / self._ended))


class Metered(Terminal):
    """The terminal, with a bar while models are asked."""

    def progress(self, planned: Planned, priced: dict[str, Any]) -> RunMeter:
        """A bar, or a line now and then where stderr is no terminal."""
        return RunMeter(output.talker(), planned, priced)


METERED = Metered()


class _Work:
    """Tokens of one kind: all, done, and the seconds that those took."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.seconds = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        self.done += tokens
        self.seconds += seconds

    def seconds_left(self, tokens: float | None = None) -> float | None:
        """Of so many tokens, or all that are not done; None before any was measured."""
        left = max(0, self.total - self.done) if tokens is None else tokens
        if not left:
            return 0.0
        return left * self.seconds / self.done if self.done else None
