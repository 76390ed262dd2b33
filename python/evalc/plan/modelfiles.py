"""Reading the small files of a model's folder, whatever stands in them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults, Place

LFS_HEAD = b"version https://git-lfs.github.com/spec/"
RESTORE = "restore the file from where the model came from"
COMPLETE = "complete the download of the model"
LARGEST = 64 << 20
"""Bytes of a JSON file; the index of a model of a million tensors has a tenth of them."""
LARGEST_HEADER = 100_000_000
"""Bytes of a safetensors header: what the format allows."""
SPAN = 1 << 62
"""Above any number that a tensor's shape or offset can be."""


def fault(code: str, message: str, place: Place | None, hint: str) -> Faults:
    """One diagnostic, to be raised."""
    return Faults([Diagnostic(code, message, place, hint=hint)])


def json_object(
    file: Path, place: Place | None, code: str = "bad-model", what: str = "a JSON object"
) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises Faults, or FileNotFoundError where there is none.
    """
    try:
        require_regular(file, place, code)
        with file.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
        if raw.startswith(LFS_HEAD):
            raise pointer(file, place)
        if len(raw) > LARGEST:
            message = f"`{file}` has more than {LARGEST:,} bytes"
            raise fault(code, message, place, RESTORE)
        content = parsed(raw)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise fault(code, f"`{file}` cannot be read: {error}", place, RESTORE) from None
    if not isinstance(content, dict):
        raise fault(code, f"`{file}` is not {what}", place, RESTORE)
    return content


def parsed(raw: bytes) -> Any:
    """JSON in UTF-8, as transformers reads it. Raises ValueError."""
    try:
        return json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def require_regular(file: Path, place: Place | None, code: str = "bad-model") -> None:
    """Raise Faults for what is there and is no file: reading a pipe would wait for ever."""
    if file.exists() and not file.is_file():
        raise fault(code, f"`{file}` is no regular file", place, RESTORE)


def require_plain(folder: Path, place: Place | None, code: str = "bad-model") -> None:
    """`require_regular` of everything in a folder and right below it: loading looks at much."""
    for file in sorted((*folder.glob("*"), *folder.glob("*/*"))):
        if not file.is_dir():
            require_regular(file, place, code)


def header(file: Path, place: Place | None = None, code: str = "bad-model") -> dict[str, Any]:
    """The tensors of a safetensors file by name: `dtype`, `shape`, `data_offsets`.

    8 bytes of length, a JSON text, then the bytes of all tensors without a gap. Raises Faults when
    the file is not as its header says.
    """
    require_regular(file, place, code)
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            if stream.read(len(LFS_HEAD)) == LFS_HEAD:
                raise pointer(file, place)
            stream.seek(0)
            length = int.from_bytes(stream.read(8), "little")
            if length > min(size - 8, LARGEST_HEADER):
                raise ValueError("the header is longer than the file")
            tensors = parsed(stream.read(length))
        tensors.pop("__metadata__", None)
        ends = _ends(tensors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"`{file}` is not a safetensors file: {error}"
        raise fault(code, message, place, COMPLETE) from None
    whole = 8 + length + ends
    if size != whole:
        message = f"`{file}` has {size:,} bytes where its header says {whole:,}"
        raise fault(code, message, place, COMPLETE)
    named: dict[str, Any] = tensors
    return named


def _ends(tensors: dict[str, Any]) -> int:
    """Bytes of all tensors. Raises ValueError for what is no header."""
    spans: list[tuple[int, int]] = []
    for name, tensor in tensors.items():
        numbers = [*tensor["shape"], *tensor["data_offsets"]]
        if not all(type(n) is int and 0 <= n < SPAN for n in numbers):
            raise ValueError(f"tensor `{name}` has no shape and place in whole numbers")
        if math.prod(tensor["shape"]) >= SPAN:
            raise ValueError(f"tensor `{name}` is larger than any memory")
        start, end = tensor["data_offsets"]
        spans.append((start, end))
    spans = [(0, 0), *sorted(spans)]
    if any(start != end for (_, end), (start, _) in pairwise(spans)):
        raise ValueError("its tensors overlap, or bytes lie between them")
    return spans[-1][1]


def pointer(file: Path, place: Place | None) -> Faults:
    """What to raise for a git-LFS pointer."""
    message = f"`{file}` is a git-LFS pointer, not the file itself"
    hint = "run `git lfs pull` in the model directory"
    return fault("weights-lfs-pointer", message, place, hint)
