"""What stands behind the name of an installed package: a version, or its very sources."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import lru_cache
from pathlib import Path

from evalc import _core

ABSENT = "absent"
_INSTALLED = frozenset(["site-packages", "dist-packages"])


@lru_cache(maxsize=4096)
def package_state(name: str) -> str:
    """What a top-level name is in this process: `absent`, the versions of its distributions, or,
    for one that is installed in place or belongs to none, a digest of its Python files."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ABSENT
    if found is None:
        return ABSENT
    places = [*(found.submodule_search_locations or ()), *([found.origin] if found.origin else [])]
    if any(_INSTALLED & set(Path(place).parts) for place in places) and (
        versions := _versions(name)
    ):
        return versions
    return _sources([Path(place) for place in places])


def _versions(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        owners = sorted(set(_owners().get(name, ())))
        return ", ".join(f"{owner} {importlib.metadata.version(owner)}" for owner in owners)


@lru_cache(maxsize=1)
def _owners() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _sources(places: list[Path]) -> str:
    files = sorted(
        {file for place in places if place.is_dir() for file in place.rglob("*.py")}
        | {place for place in places if place.is_file()}
    )
    names = [file.name.encode() for file in files]
    digests = [digest.encode() for digest in _core.hash_files([str(file) for file in files])]
    fields = [part for pair in zip(names, digests, strict=True) for part in pair]
    return _core.digest_fields("evalc.package.v1", fields)
