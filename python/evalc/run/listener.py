"""Who hears what a run says: nobody, unless a listener is passed.

A run prints nothing. What a person at a terminal would want to know while it works goes to the
listener of its caller, from the thread that works and between two steps, so a listener has to be
quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from evalc.diagnostics import Diagnostic, render

if TYPE_CHECKING:
    from evalc.plan import Planned


class Progress:
    """Told how the asking goes, and follows nothing; what shows it is made of it.

    Entered before the first model is loaded, left after the last.

    `started`, `advanced` and `note` are those of `evalc.contract.progress.Observer`.
    """

    def __enter__(self) -> Progress:
        """The asking begins."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """It has ended, or `error` ended it."""

    def asking(self, model: str) -> None:
        """The turn of a model has come: it is loaded."""

    def started(self, total_requests: int, total_tokens: int) -> None:
        """It is loaded; tokens are the distinct prompt tokens plus the bound of decoded ones."""

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        """Work since the last call; `kind` is prefill or decode, tokens are computed ones."""

    def note(self, text: str) -> None:
        """Something worth a line."""


class Listener:
    """Hears everything and tells nobody; what listens is made of it."""

    def note(self, text: str) -> None:
        """A sentence for a person, in one line."""

    def warn(self, found: Sequence[Diagnostic], *, annotate: bool = False) -> None:
        """What is doubtful and stops nothing; `annotate` where a reviewer should see it too."""

    def loading(self) -> None:
        """Libraries with native code are about to be loaded, which may write where they like."""

    def progress(self, planned: Planned, priced: dict[str, Any]) -> Progress:
        """Who is told how the asking of a plan goes."""
        return Progress()


SILENT = Listener()


class Lines(Listener):
    """Hands every sentence, and a line for every warning, to a function such as `print`."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def note(self, text: str) -> None:
        """As it is."""
        self._tell(text)

    def warn(self, found: Sequence[Diagnostic], *, annotate: bool = False) -> None:
        """One line each."""
        for line in render(found, "line", root=Path.cwd()).splitlines():
            self._tell(line)

    def progress(self, planned: Planned, priced: dict[str, Any]) -> Progress:
        """Notes are told, and nothing of the way."""
        return _Noted(self._tell)


class _Noted(Progress):
    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def note(self, text: str) -> None:
        self._tell(text)


_CURRENT: ContextVar[Listener] = ContextVar("listener", default=SILENT)


def current() -> Listener:
    """The listener that `listen` has set in this context; silent where it has not."""
    return _CURRENT.get()


@contextmanager
def listen(hears: Listener | Callable[[str], object]) -> Iterator[None]:
    """In the block, what runs of this thread or task say is heard.

    By a listener, or by a function of one line such as `print`.
    """
    token = _CURRENT.set(hears if isinstance(hears, Listener) else Lines(hears))
    try:
        yield
    finally:
        _CURRENT.reset(token)
