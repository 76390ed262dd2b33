"""A diagnostic is data: a stable code, a message, a place, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evalc.diagnostics.catalogue import CATALOGUE
from evalc.errors import EvalcError, ExitCode

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open byte range of a UTF-8 text file; lines and columns are derived by renderers."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a diagnostic points: a file, and a byte span or a 1-based line in it when known.

    `text` is given for what is no file (a command line): `path` is then only a label, and `span`
    counts bytes of `text`.
    """

    path: Path
    span: Span | None = None
    line: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    `code` is a key of `evalc.diagnostics.catalogue.CATALOGUE`; any other is a `ValueError`.
    `message` is one lower-case sentence with values in backticks; `hint` is imperative or a
    did-you-mean.
    """

    code: str
    message: str
    place: Place | None = None
    severity: Severity = "error"
    notes: tuple[str, ...] = ()
    hint: str | None = None
    related: tuple[tuple[Place, str], ...] = field(default=())

    def __post_init__(self) -> None:
        if self.code not in CATALOGUE:
            raise ValueError(f"`{self.code}` is not in evalc.diagnostics.catalogue.CATALOGUE")


class Faults(EvalcError):  # noqa: N818
    """One or more diagnostics that stop a command before anything is run or written."""

    exit_code = ExitCode.USAGE

    def __init__(
        self, diagnostics: Iterable[Diagnostic], exit_code: ExitCode | None = None
    ) -> None:
        self.diagnostics = tuple(diagnostics)
        if exit_code is not None:
            self.exit_code = exit_code
        super().__init__("; ".join(d.message for d in self.diagnostics))
