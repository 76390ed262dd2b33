"""Functions of the user's own repository, named "pkg.mod:function" in a spec: import and digest."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults
from evalc.plan.imports import files_of, module_under, packages_of
from evalc.plan.packages import package_state

_imported: dict[str, tuple[Path, bytes]] = {}
"""Modules of users' repositories that this process has imported, as their files were then."""

_entered: list[str] = []
"""Roots that this process has put on sys.path; one at a time is there."""


def load_function(name: str, root: Path) -> Callable[..., Any]:
    """Import a function with `root` (the spec's folder) first on sys.path. Raises Faults.

    It is what the files say now, whatever this process has imported before: a module of that name
    from another root, or from an earlier state of its file, is imported anew.
    """
    module_name, function_name = _parts(name)
    with _importing(module_name, root):
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


@contextmanager
def _importing(module_name: str, root: Path) -> Iterator[None]:
    now = {
        module_under(root, file): (file, file.read_bytes()) for file in files_of(module_name, root)
    }
    if any(_differs(name, *state) for name, state in now.items()):
        tops = {name.split(".")[0] for name in now}
        for name in [name for name in sys.modules if name.split(".")[0] in tops]:
            del sys.modules[name]
    _enter(str(root))
    importlib.invalidate_caches()
    # byte code is known by size and second: an edit within the second would go unseen
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
    _imported.update({name: state for name, state in now.items() if name in sys.modules})


def _enter(root: str) -> None:
    """Put a root first on sys.path, in the place of one that was put there before."""
    if root not in sys.path:
        _entered.append(root)
    for other in [entry for entry in _entered if entry in sys.path]:
        sys.path.remove(other)
    if root in sys.path:
        sys.path.remove(root)
    sys.path.insert(0, root)


def _differs(name: str, file: Path, content: bytes) -> bool:
    """Whether a module was imported from elsewhere, or from another content."""
    if name not in sys.modules:
        return False
    if name in _imported:
        return _imported[name] != (file, content)
    origin = getattr(sys.modules[name], "__file__", None)
    return origin is None or Path(origin).resolve() != file.resolve()


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
