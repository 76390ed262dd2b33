"""A look at a model directory before a gigabyte of it is read."""

from __future__ import annotations

from pathlib import Path

from evalc.plan.adapters import read_adapter
from evalc.plan.checkpoint import Checkpoint, read_checkpoint, read_config

LONGEST = 300
"""Characters of what another library says; some quote whole files."""


def first_line(failure: BaseException) -> str:
    """What an exception of another library says, in one line; behind a heading its first entry."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    if not lines:
        return type(failure).__name__
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    if isinstance(failure, KeyError):
        said = f"there is no {said}"
    return said if len(said) <= LONGEST else said[: LONGEST - 3] + "..."


def require_model(directory: Path) -> Checkpoint:
    """The checkpoint in `directory`. Raises Faults unless config and weights are complete."""
    return read_checkpoint(directory, None, directory.name)


def require_adapter(directory: Path) -> None:
    """Raise Faults unless `directory` holds a peft adapter in safetensors."""
    read_adapter(directory, None)


def require_config(directory: Path) -> None:
    """Raise Faults unless `directory` exists and holds a readable `config.json`."""
    read_config(directory, None, directory.name)
