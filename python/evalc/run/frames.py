"""Rows for pandas and polars, which are the user's and imported only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.diagnostics.visible import visible
from evalc.errors import ExitCode

MOST_ROWS = 100
"""Rows that a notebook shows of a table."""
LONGEST = 200
"""Characters that it shows of a cell."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the same keys, in order: iterate them, or take them as a frame."""

    rows: Sequence[dict[str, Any]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first rows, with every text visible and none of it mark-up."""
        names = list(self.rows[0]) if self.rows else []
        lines = [_row("th", names), *(_row("td", row.values()) for row in self.rows[:MOST_ROWS])]
        more = len(self.rows) - MOST_ROWS
        note = f"<p>{many(more, 'more row')}</p>" if more > 0 else ""
        return f"<table>{''.join(lines)}</table>{note}"

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`. Raises Faults (`missing-package`)."""
        return _library("pandas").DataFrame(list(self.rows))

    def to_polars(self) -> Any:
        """A `polars.DataFrame`. Raises Faults (`missing-package`)."""
        return _library("polars").DataFrame(list(self.rows), infer_schema_length=None, strict=False)


def _row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_cell(cell)}</{tag}>' for cell in cells)}</tr>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else str(value)
    return escape(visible(text if len(text) <= LONGEST else f"{text[:LONGEST]}..."))


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"a table cannot be made without {name}: {error}"
        found = Diagnostic("missing-package", message, hint=f"install it with `pip install {name}`")
        raise Faults([found], exit_code=ExitCode.FAILURE) from None
