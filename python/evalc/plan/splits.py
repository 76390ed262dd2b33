"""Which files of a dataset repository hold the rows of one configuration and split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.plan.addresses import Address

FORMATS = {".parquet": "parquet", ".jsonl": "jsonl", ".csv": "csv", ".tsv": "tsv"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
DEFAULT_CONFIG = "default"


def file_format(path: str) -> tuple[str, str] | None:
    """Format and compression that a name tells, or None when it is no data file."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1], "none") if suffixes else "none"
    plain = suffixes[:-1] if compression != "none" else suffixes
    found = FORMATS.get(plain[-1]) if plain else None
    if found is None or (found == "parquet" and compression != "none"):
        return None
    return found, compression


def converted_files(address: Address, paths: Iterable[str], place: Place | None) -> list[str]:
    """Shards of the Hub's Parquet conversion, `config/split/*.parquet`, in the order of names.

    Empty when the conversion has no such split. Raises Faults when it holds only the first part of
    the split, which the Hub marks with `partial-`.
    """
    shards = sorted(path for path in paths if path.endswith(".parquet"))
    folder = f"{address.config}/{address.split}/"
    if any(path.startswith(f"{address.config}/partial-{address.split}/") for path in shards):
        raise Faults(
            [
                Diagnostic(
                    "partial-conversion",
                    f"the Hub's Parquet conversion of `{address.text}` holds only part of its rows",
                    place,
                    hint="name a commit of the dataset after `@` to read its own files, or "
                    "download them and give their path",
                )
            ]
        )
    return [path for path in shards if path.startswith(folder)]


def named_files(address: Address, paths: Sequence[str], place: Place | None) -> list[str]:
    """Data files of the repository itself whose names say configuration and split, sorted.

    A split is a folder or a word of the file's name (`data/train-00000-of-00002.parquet`,
    `test.jsonl`); a configuration other than `default` is one of the folders or a word before it.
    Raises Faults when there is none, or when they have several formats.
    """
    data = sorted(path for path in paths if file_format(path))
    found = [path for path in data if _says(path, address)]
    if not found:
        shown = ", ".join(f"`{path}`" for path in data[:5])
        raise Faults(
            [
                Diagnostic(
                    "hub-data",
                    f"no file of `{address.repository}` is named after configuration "
                    f"`{address.config}` and split `{address.split}`",
                    place,
                    notes=(f"its data files: {shown}",) if shown else (),
                    hint="check the configuration and the split, or give the path of a local file",
                )
            ]
        )
    if len({file_format(path) for path in found}) > 1:
        listed = ", ".join(f"`{path}`" for path in found[:4])
        message = f"the files of `{address.text}` have several formats: {listed}"
        hint = "download the right one and give its path"
        raise Faults([Diagnostic("hub-data", message, place, hint=hint)])
    return found


def _says(path: str, address: Address) -> bool:
    *folders, file = path.split("/")
    words = [*folders, file.split(".", 1)[0]]
    if address.config != DEFAULT_CONFIG:
        at = next((i for i, word in enumerate(words) if _word(address.config, word)), None)
        if at is None:
            return False
        words = words[at:]
    return _word(address.split, words[-1]) or address.split in words[:-1]


def _word(wanted: str, name: str) -> bool:
    """Whether `wanted` stands in `name` with no letter or digit on either side."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(wanted)}(?![A-Za-z0-9])", name) is not None
