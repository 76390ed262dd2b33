"""Functions of the user's own repository, named "pkg.mod:function" in a spec: import and digest."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults
from evalc.plan.imports import files_of, module_under, packages_of
from evalc.plan.packages import package_state
from evalc.plan.user_modules import find_first


def load_function(name: str, root: Path) -> Callable[..., Any]:
    """Import a function with `root` (the spec's folder) first on sys.path. Raises Faults.

    Modules of the user that were imported before are used again unless a source among them has
    changed or another folder is asked for.
    """
    module_name, function_name = _parts(name)
    find_first(root, (module_under(root, file) for file in files_of(module_name, root)))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module raises while it is imported
        raise _unknown(name, f"{type(error).__name__}: {error}") from None
    function: Any = module
    for part in function_name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise _unknown(name, f"module `{module_name}` has no function `{function_name}`")
    loaded: Callable[..., Any] = function
    return loaded


def source_digest(name: str, root: Path) -> str:
    """Hex digest of a hook's source: its name, its module, every module under `root` that these
    import, and what the packages are that they import from elsewhere (`package_state`).

    Found without running any of them. Raises `Faults`.
    """
    module_name, function_name = _parts(name)
    files = sorted(files_of(module_name, root))
    packages = packages_of(files, root)
    if not files:
        files = [_installed(name, module_name)]
        packages = {module_name.split(".")[0]} - sys.stdlib_module_names
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
    try:
        found = importlib.util.find_spec(module_name)
    except (ImportError, ValueError) as error:
        raise _unknown(name, str(error)) from None
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise _unknown(name, f"no module `{module_name}` was found")
    return Path(found.origin)
