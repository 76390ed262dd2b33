"""`hf:` addresses: what a spec writes for a model or a dataset on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evalc.diagnostics import Diagnostic, Faults, Place

PREFIX = "hf:"
DEFAULT_REVISION = "main"
Kind = Literal["model", "dataset"]


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
