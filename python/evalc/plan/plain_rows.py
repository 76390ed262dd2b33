"""Values of Arrow as JSON that says the same.

Numbers of 32 and 16 bits are written with the digits that they need, and whole ones with all.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from evalc.hooks.plain import NOTHING, plain

NARROW = {"halffloat": np.float16, "float": np.float32}
NANOS = 1_000_000_000


def column(values: Any) -> list[Any]:
    """The values of an Arrow array as JSON types; those that cannot be said are NaN."""
    read = _reader(values.type)
    try:
        found = values.to_pylist()
    except (ValueError, ArithmeticError, TypeError, NotImplementedError):
        return [_one(item, read) for item in values]
    return [read(item) for item in found]


def _one(scalar: Any, read: Callable[[Any], Any]) -> Any:
    """A value of a column that does not convert as a whole."""
    if not scalar.is_valid:
        return None
    exact = _nanoseconds(scalar)
    if exact is not None:
        return exact
    try:
        return read(scalar.as_py())
    except (ValueError, ArithmeticError, TypeError, NotImplementedError):
        return NOTHING


def _nanoseconds(scalar: Any) -> str | None:
    """A time stamp or a time of day that is finer than Python's."""
    kind = str(scalar.type)
    if not kind.startswith(("timestamp[ns", "time64[ns")) or scalar.value % 1000 == 0:
        return None
    rest = scalar.value % NANOS
    # the second that it is in has the same date, time and zone
    arrow = importlib.import_module("pyarrow")
    second = arrow.scalar(scalar.value - rest, scalar.type).as_py()
    zone = getattr(second, "tzinfo", None)
    bare = str(second.replace(tzinfo=None))
    return f"{bare}.{rest:09d}{str(second)[len(bare) :] if zone is not None else ''}"


def _reader(type_: Any) -> Callable[[Any], Any]:
    """How values of an Arrow type are read, where their digits depend on it."""
    narrow = NARROW.get(str(type_))
    if narrow is not None:
        return lambda value: None if value is None else _short(float(value), narrow)
    inner = _inner(type_)
    return plain if inner is None else lambda value: plain(inner(value))


def _short(value: float, narrow: Callable[[float], Any]) -> float:
    """The number of the fewest digits that `narrow` tells from its neighbours.

    Whole numbers stay what they are: 65504 of 16 bits is told by 65500, and is not that.
    """
    return value if value.is_integer() else float(str(narrow(value)))


def _inner(type_: Any) -> Callable[[Any], Any] | None:
    """How the parts of a nested type are read; None where `plain` is enough."""
    text = str(type_)
    if not any(name in text for name in NARROW):
        return None
    if hasattr(type_, "key_type"):
        key, item = _reader(type_.key_type), _reader(type_.item_type)
        return lambda value: value and [(key(k), item(v)) for k, v in value]
    if text.startswith("struct"):
        fields = {field.name: _reader(field.type) for field in type_}
        return lambda value: value and {k: fields[k](v) for k, v in value.items()}
    if hasattr(type_, "value_type"):
        each = _reader(type_.value_type)
        if text.startswith("dictionary"):
            return each
        return lambda value: value and [each(item) for item in value]
    return None


def batch_rows(batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow record batch."""
    names = batch.schema.names
    columns = [column(values) for values in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))
