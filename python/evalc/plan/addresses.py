"""`hf:` addresses: what a spec writes for a model or a dataset on the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from evalc.diagnostics import Diagnostic, Faults, Place

PREFIX = "hf:"
DEFAULT_REVISION = "main"
Kind = Literal["model", "dataset"]
BARE = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]*[A-Za-z0-9](/[\w.-]+){0,2}(@[\w./-]+)?")
"""What the Hub names: an owner and a name, perhaps a configuration and a split, a revision."""
FILES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt", ".gz")
"""How names of files end, which are none of the Hub's."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place on the Hub, `text` as it is written; `config` and `split` are empty for a model."""

    kind: Kind
    text: str
    repository: str
    revision: str
    config: str = ""
    split: str = ""


def is_remote(located: str) -> bool:
    """Whether a path of a spec names something on the Hub."""
    return located.startswith(PREFIX)


def hub_hint(place: Place | None, kind: Kind) -> str | None:
    """What to write where a path that is not there looks like a name on the Hub; else None."""
    text = _written(place)
    if text is None or not BARE.fullmatch(text):
        return None
    path, at, revision = text.partition("@")
    parts = path.split("/")
    if kind == "model":
        return f"for the model on the Hub write `hf:{text}`" if len(parts) == 2 else None
    if parts[-1].lower().endswith(FILES):
        return None
    rest = parts[2:] + ["default", "train"][len(parts) - 2 :]
    return f"for the dataset on the Hub write `hf:{'/'.join(parts[:2] + rest)}{at}{revision}`"


def _written(place: Place | None) -> str | None:
    """The text at a place of a spec, without its quotes."""
    if place is None or place.span is None:
        return None
    try:
        raw = place.path.read_bytes() if place.text is None else place.text.encode()
    except (OSError, UnicodeEncodeError):
        return None
    return raw[place.span.start : place.span.end].decode("utf-8", "replace").strip("\"'")


def model_address(text: str, place: Place | None) -> Address:
    """`hf:org/name@revision`. Raises Faults for any other form."""
    path, revision = _parts(text)
    if len(path) != 2:
        message = f"`{text}` does not name a model on the Hub"
        raise _misread(message, place, "write `hf:org/name` or `hf:org/name@revision`")
    return Address("model", text, "/".join(path), revision)


def dataset_address(text: str, place: Place | None) -> Address:
    """`hf:org/name/config/split@revision`. Raises Faults for any other form."""
    path, revision = _parts(text)
    if len(path) != 4 or not all(path):
        message = f"`{text}` does not name a configuration and a split of a dataset"
        hint = "write `hf:org/name/config/split@revision`; the only configuration is `default`"
        raise _misread(message, place, hint)
    return Address("dataset", text, "/".join(path[:2]), revision, path[2], path[3])


def _parts(text: str) -> tuple[list[str], str]:
    name, _, revision = text.removeprefix(PREFIX).partition("@")
    return name.split("/"), revision or DEFAULT_REVISION


def _misread(message: str, place: Place | None, hint: str) -> Faults:
    return Faults([Diagnostic("bad-hub-path", message, place, hint=hint)])
