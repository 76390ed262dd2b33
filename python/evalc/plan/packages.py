"""What stands behind the name of an installed package: a version, or its very sources."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from evalc import _core

ABSENT = "absent"
_INSTALLED = frozenset(["site-packages", "dist-packages"])
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([^\W\d]\w*(?:[\w. \t,]*))", re.MULTILINE)


@lru_cache(maxsize=4096)
def package_state(name: str) -> str:
    """What a top-level name is in this process: `absent`, the versions of its distributions, or,
    for one that is installed in place or belongs to none, a digest of its Python files and of those
    of others in place that these import."""
    if (places := _places(name)) is None:
        return ABSENT
    if _is_installed(places) and (versions := _versions(name)):
        return versions
    states = [_sources(places), *(_sources(_places(one) or ()) for one in _others(name))]
    return states[0] if len(states) == 1 else _joined(states)


def places_in_place(names: Iterable[str]) -> list[Path]:
    """Folders and files of the packages whose sources `package_state` digests, for these names."""
    own = [name for name in names if _in_place(name)]
    every = dict.fromkeys([*own, *(other for name in own for other in _others(name))])
    return [place for name in every for place in _places(name) or ()]


@lru_cache(maxsize=4096)
def _places(name: str) -> tuple[Path, ...] | None:
    """Where a top-level name lies; None where it is not there."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if found is None:
        return None
    origin = [found.origin] if found.origin else []
    return tuple(Path(place) for place in (*(found.submodule_search_locations or ()), *origin))


def _is_installed(places: Iterable[Path]) -> bool:
    return any(_INSTALLED & set(place.parts) for place in places)


def _in_place(name: str) -> bool:
    places = _places(name)
    return places is not None and not (_is_installed(places) and _versions(name))


@lru_cache(maxsize=4096)
def _others(name: str) -> tuple[str, ...]:
    """Other names in place that the files of one import, to any depth, sorted."""
    seen, waiting = {name}, [name]
    while waiting:
        for file in _files(_places(waiting.pop()) or ()):
            for found in _IMPORT.findall(file.read_bytes()):
                for part in found.split(b","):
                    top = part.split(b".")[0].split()[:1]
                    other = top[0].decode("utf-8", "replace") if top else ""
                    if other in seen or other in sys.stdlib_module_names or not _in_place(other):
                        continue
                    seen.add(other)
                    waiting.append(other)
    return tuple(sorted(seen - {name}))


def _versions(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        owners = sorted(set(_owners().get(name, ())))
        return ", ".join(f"{owner} {importlib.metadata.version(owner)}" for owner in owners)


@lru_cache(maxsize=1)
def _owners() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _files(places: Iterable[Path]) -> list[Path]:
    return sorted(
        {file for place in places if place.is_dir() for file in place.rglob("*.py")}
        | {place for place in places if place.is_file()}
    )


def _sources(places: Iterable[Path]) -> str:
    files = _files(places)
    names = [file.name.encode() for file in files]
    digests = [digest.encode() for digest in _core.hash_files([str(file) for file in files])]
    return _joined([part for pair in zip(names, digests, strict=True) for part in pair])


def _joined(fields: Iterable[str | bytes]) -> str:
    encoded = [field if isinstance(field, bytes) else field.encode() for field in fields]
    return _core.digest_fields("evalc.package.v1", encoded)
