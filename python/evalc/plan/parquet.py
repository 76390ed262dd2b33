"""Rows of Parquet files, weighed before they are unpacked.

Run lengths, dictionaries and compression let a file of a few bytes hold what no machine does. What
it takes is known from its description and, for texts in a dictionary, from how often each is meant.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.plan.plain_rows import batch_rows

BOUNDS = _core.data_bounds()
BATCH = 4096
"""Rows that are unpacked at a time, of a file that is not wide."""
CELLS = 1 << 16
"""Values that are unpacked at a time, of one that is."""
BATCH_BYTES = 16 << 20
"""Bytes that are unpacked at a time, of rows of the mean length."""
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT96": 12}


class _TooLarge(Exception):  # noqa: N818
    """What a file has too much of."""


def parquet_rows(path: Path, place: Place | None) -> Iterator[Mapping[str, Any]]:
    """Rows of a Parquet file, batch by batch. Raises Faults when it is none, or too large."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        message, hint = f"reading `{path.name}` needs pyarrow", "pip install 'evalc[data]'"
        missing = Diagnostic("needs-pyarrow", message, place, hint=f"install it with `{hint}`")
        raise Faults([missing]) from None
    arrow = importlib.import_module("pyarrow")
    try:
        size = _size(path)
        file = parquet.ParquetFile(path)
        _named_apart(path, file.schema_arrow.names, place)
        taken = max(_weighed(file, size), _texts_weighed(parquet, path, file, size))
        row = taken // max(1, file.metadata.num_rows) + 1
        cells = CELLS // max(1, file.metadata.num_columns)
        batch = max(1, min(BATCH, cells, BATCH_BYTES // row))
        for rows in file.iter_batches(batch_size=batch):
            yield from batch_rows(rows)
    except _TooLarge as large:
        message = f"`{path.name}` {large}"
        hint = "split the file, or leave out what no template reads"
        raise Faults([Diagnostic("data-too-large", message, place, hint=hint)]) from None
    except (OSError, ValueError, arrow.ArrowException) as error:
        raise _unreadable(path, error, place) from None


def _size(path: Path) -> int:
    """Bytes of the file. Raises `_TooLarge` where its columns take more to describe than one may
    read: they are all read when it is opened."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 8))
        end = stream.read(8)
    if end[4:] == b"PAR1" and int.from_bytes(end[:4], "little") > BOUNDS["parquet_footer"]:
        limit = BOUNDS["parquet_footer"] >> 20
        raise _TooLarge(f"describes its columns in more than {limit} MiB")
    return size


def _named_apart(path: Path, names: list[str], place: Place | None) -> None:
    if len(names) > BOUNDS["columns"]:
        raise _TooLarge(f"has more than {BOUNDS['columns']} columns")
    again = next((name for name, count in Counter(names).items() if count > 1), None)
    if again is not None:
        message = f"`{path.name}` has two columns `{again}`"
        hint = "write it with a name of its own for every column"
        raise Faults([Diagnostic("bad-data", message, place, hint=hint)])


def _weighed(file: Any, size: int) -> int:
    """Bytes that a file takes unpacked. Raises `_TooLarge` by what the file says of itself."""
    values = taken = 0
    about = file.metadata
    if about.num_columns > BOUNDS["columns"]:
        raise _TooLarge(f"has more than {BOUNDS['columns']} columns")
    if about.num_rows > BOUNDS["rows"]:
        raise _TooLarge(f"has more than {BOUNDS['rows']} rows")
    widths = [_width(file.schema.column(at)) for at in range(about.num_columns)]
    for group in range(about.num_row_groups):
        one = about.row_group(group)
        for at, width in enumerate(widths):
            chunk = one.column(at)
            values += max(chunk.num_values, one.num_rows)
            taken += max(chunk.total_uncompressed_size, width * chunk.num_values)
    if values > max(BOUNDS["parquet_values"], size):
        raise _TooLarge(f"has more than {BOUNDS['parquet_values']} values, and than it has bytes")
    _few_bytes(taken, size)
    return taken


def _width(column: Any) -> int:
    """Bytes of a value; 0 for a text, whose bytes are counted apart."""
    kind = column.physical_type
    if kind == "BYTE_ARRAY":
        return 0
    return int(column.length) if kind == "FIXED_LEN_BYTE_ARRAY" else WIDTHS.get(kind, 8)


def _texts_weighed(parquet: Any, path: Path, file: Any, size: int) -> int:
    """Bytes of texts. Raises `_TooLarge` where those of a dictionary are meant too often."""
    about = file.metadata
    names = [
        about.schema.column(at).path
        for at in range(about.num_columns)
        if about.schema.column(at).physical_type == "BYTE_ARRAY"
    ]
    if not names or not about.num_row_groups:
        return 0
    compute = importlib.import_module("pyarrow.compute")
    packed = parquet.ParquetFile(path, read_dictionary=names)
    taken = 0
    for batch in packed.iter_batches(batch_size=BATCH, columns=names):
        for column in batch.columns:
            for part in _dictionaries(column):
                lengths = compute.binary_length(part.dictionary).take(part.indices)
                taken += compute.sum(lengths.cast("int64")).as_py() or 0
        _few_bytes(taken, size)
    return taken


def _dictionaries(column: Any) -> Iterator[Any]:
    """The columns of texts that a column is or holds."""
    kind = str(column.type)
    if hasattr(column, "dictionary"):
        yield column
    elif kind.startswith("struct"):
        for part in column.flatten():
            yield from _dictionaries(part)
    elif hasattr(column, "keys"):
        yield from _dictionaries(column.keys)
        yield from _dictionaries(column.items)
    elif hasattr(column, "flatten") and "list" in kind:
        yield from _dictionaries(column.flatten())


def _few_bytes(taken: int, size: int) -> None:
    ratio = BOUNDS["parquet_ratio"]
    if taken > max(BOUNDS["parquet"], ratio * size):
        limit = BOUNDS["parquet"] >> 20
        raise _TooLarge(f"unpacks to more than {limit} MiB and {ratio} times its own size")


def _unreadable(path: Path, error: Exception, place: Place | None) -> Faults:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    message = f"`{path.name}` is not a Parquet file: {first}"
    hint = "check that the file is complete"
    return Faults([Diagnostic("bad-data", message, place, hint=hint)])
