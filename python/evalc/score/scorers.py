"""Scorers whose values are kept: what of evalc, of the user and of Python takes part in them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from evalc import _core
from evalc.plan.functions import source_digest
from evalc.score.keys import Layer, Scorer

ROOM = Path(__file__).parent
CALLED: Mapping[Layer, str] = {
    "metric": "c9be844a65edde4d973d4a2a9ae87aaf9583f85bc55422bebbe9d700924451d0",
    "extract": "a3544c02a57c98d4b1148b51eb7d0e5c69eb678a883da4926932a86cbd9feb20",
}
"""The version of how a hook is called and what its value becomes. It is another one, of any text,
where the same case would be shown or its value read otherwise; all scores of hooks then start anew.
These are digests of the files that first did it, so that what was kept under them stays valid."""


@lru_cache(maxsize=64)
def room_digest(files: tuple[str, ...], room: Path = ROOM) -> str:
    """Hex digest of files of this room, by name and content."""
    fields = [part for name in files for part in (name.encode(), (room / name).read_bytes())]
    return _core.digest_fields("evalc.room.v1", fields)


def interpreter() -> str:
    """The Python that runs hooks and programs: its implementation and full version."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def built_in(
    layer: Layer, name: str, files: Sequence[str], parameters: Sequence[tuple[str, object]] = ()
) -> Scorer:
    """A scorer of evalc; `files` of this room are its source."""
    own = tuple((key, repr(value)) for key, value in parameters)
    return Scorer(layer, name, room_digest(tuple(files)), interpreter(), own)


def hook_scorer(layer: Layer, name: str, root: Path) -> Scorer:
    """A hook of the user's; what it imports is part of its source, and so is how evalc calls it.

    Raises `Faults` (`unknown-hook`).
    """
    fields = [CALLED[layer].encode(), source_digest(name, root).encode()]
    source = _core.digest_fields("evalc.hook-source.v1", fields)
    return Scorer(layer, name, source, interpreter())
