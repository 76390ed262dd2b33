"""Python values as JSON that says the same.

What has no such form becomes NaN, which the planner leaves out of its row: only who reads that
column is refused. Without numpy, which the child of hooks does not import.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOTHING = math.nan
"""In the place of a value that JSON cannot say."""


def plain(value: Any) -> Any:
    """A Python value as JSON types; NaN where a part of it has no honest form."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value))
    if isinstance(value, Mapping):
        found = {str(key): plain(item) for key, item in value.items()}
        return NOTHING if len(found) != len(value) or _any_nothing(found.values()) else found
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple) and not hasattr(value, "months"):
        items = [plain(item) for item in value]
        return NOTHING if _any_nothing(items) else items
    return _rare(value)


def _rare(value: Any) -> Any:
    """A number, a time or an id whose module a child of hooks needs for nothing else."""
    import datetime  # noqa: PLC0415
    import decimal  # noqa: PLC0415
    import uuid  # noqa: PLC0415

    if isinstance(value, decimal.Decimal):
        return format(value, "f") if value.is_finite() else NOTHING
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta | uuid.UUID):
        return str(value)
    return NOTHING


def _any_nothing(items: Any) -> bool:
    return any(isinstance(item, float) and not math.isfinite(item) for item in items)


def _text(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return NOTHING
