"""Functions of the user's own repository, named "pkg.mod:function" in a spec: where and what."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import cast

from evalc.diagnostics import Diagnostic, Faults
from evalc.hooks.limits import Hook, Takes
from evalc.plan.imports import files_of, module_under, packages_of
from evalc.plan.packages import package_state, places_in_place


def hook_of(name: str, root: Path, takes: Takes) -> Hook:
    """A hook as a child runs it; `root` is the spec's folder. Raises Faults."""
    module_name, _ = _parts(name)
    files, packages = _taking_part(module_name, root)
    found = sorted(module_under(root, file) for file in files)
    places = sorted(str(place) for place in places_in_place(packages))
    return Hook(name, root, takes, tuple(found), tuple(places))


def _taking_part(module_name: str, root: Path) -> tuple[list[Path], set[str]]:
    """Files under `root` that take part in a module, and packages from elsewhere."""
    files = sorted(files_of(module_name, root))
    if files:
        return files, packages_of(files, root)
    return [], {module_name.split(".", maxsplit=1)[0]} - sys.stdlib_module_names


def source_digest(name: str, root: Path) -> str:
    """Hex digest of a hook's source: its name, its module, every module under `root` that these
    import, and what the packages are that they import from elsewhere (`package_state`).

    Found without running any of them. Raises `Faults`.
    """
    module_name, function_name = _parts(name)
    files, packages = _taking_part(module_name, root)
    files = files or [_installed(name, module_name)]
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"evalc.hook/2\0{module_name}\0{function_name}\0".encode())
    for path in files:
        label = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
        content = path.read_bytes()
        digest.update(f"{label.as_posix()}\0{len(content)}\0".encode() + content)
    digest.update(_states(packages))
    return digest.hexdigest()


def _states(packages: Iterable[str]) -> bytes:
    return "".join(f"{name}\0{package_state(name)}\0" for name in sorted(packages)).encode()


def _parts(name: str) -> tuple[str, str]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise _unknown(name, 'it is not of the form "pkg.mod:function"')
    return module_name, function_name


def _unknown(name: str, why: str) -> Faults:
    hint = 'name it "pkg.mod:function", importable from the folder of the specs'
    message = f"hook `{name}` cannot be loaded: {why}"
    return Faults([Diagnostic("unknown-hook", message, hint=hint)])


def _installed(name: str, module_name: str) -> Path:
    found = installed(module_name)
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise _unknown(name, f"no module `{module_name}` was found")
    return Path(found.origin)


def installed(module_name: str) -> ModuleSpec | None:
    """Where Python would find a module; unlike `importlib.util.find_spec` without importing the
    packages around it, whose code would run here."""
    found, path = None, None
    parts = module_name.split(".")
    for end in range(1, len(parts) + 1):
        found = _found(".".join(parts[:end]), path)
        if found is None:
            return None
        path = found.submodule_search_locations
        if path is None and end < len(parts):
            return None
    return found


def _found(dotted: str, path: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(dotted, path) if find else None
        if spec is not None:
            return cast(ModuleSpec, spec)
    return None
