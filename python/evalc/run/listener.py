"""Who hears what a run says: nobody, unless a listener is passed.

A run prints nothing. What a person at a terminal would want to know while it works goes to the
listener of its caller, from the thread that works and between two steps, so a listener has to be
quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from evalc.diagnostics import Diagnostic

if TYPE_CHECKING:
    from evalc.plan import Planned


class Progress(Protocol):
    """Told how the asking goes; entered before the first model is loaded, left after the last.

    `started`, `advanced` and `note` are those of `evalc.contract.progress.Observer`.
    """

    def __enter__(self) -> Progress:
        """The asking begins."""

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
        return Unheard()


class Unheard:
    """Progress that nobody follows."""

    def __enter__(self) -> Progress:
        """Nothing to begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to end."""

    def asking(self, model: str) -> None:
        """Ignore it."""

    def started(self, total_requests: int, total_tokens: int) -> None:
        """Ignore it."""

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


SILENT = Listener()
