"""Rows for pandas and polars, which are the user's and imported only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the same keys, in order: iterate them, or take them as a frame."""

    rows: Sequence[dict[str, Any]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`. Raises Faults (`missing-package`)."""
        return _library("pandas").DataFrame(list(self.rows))

    def to_polars(self) -> Any:
        """A `polars.DataFrame`. Raises Faults (`missing-package`)."""
        return _library("polars").DataFrame(list(self.rows), infer_schema_length=None, strict=False)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"a table cannot be made without {name}: {error}"
        found = Diagnostic("missing-package", message, hint=f"install it with `pip install {name}`")
        raise Faults([found], exit_code=ExitCode.FAILURE) from None
