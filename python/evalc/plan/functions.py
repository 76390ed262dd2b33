"""Functions of the user's own repository, named "pkg.mod:function" in a spec: import and digest."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults


def load_function(name: str, root: Path) -> Callable[..., Any]:
    """Import a function with `root` (the spec's folder) first on sys.path. Raises Faults."""
    module_name, function_name = _parts(name)
    entry = str(root)
    if entry not in sys.path:
        sys.path.insert(0, entry)
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
    """Hex digest of a hook's source: its name, its module, and every module under `root` that
    these import, found without running any of them.

    Installed packages enter only when the hook itself lives in one (its own file). Raises `Faults`.
    """
    module_name, function_name = _parts(name)
    origin = _file_under(root, module_name) or _installed(name, module_name)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"evalc.hook/1\0{module_name}\0{function_name}\0".encode())
    parts = module_name.split(".")
    packages = [_file_under(root, ".".join(parts[:end])) for end in range(1, len(parts))]
    for path in sorted(_closure([origin, *filter(None, packages)], root)):
        label = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
        content = path.read_bytes()
        digest.update(f"{label.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _parts(name: str) -> tuple[str, str]:
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise _unknown(name, 'it is not of the form "pkg.mod:function"')
    return module_name, function_name


def _unknown(name: str, why: str) -> Faults:
    hint = 'name it "pkg.mod:function", importable from the folder of the specs'
    message = f"hook `{name}` cannot be loaded: {why}"
    return Faults([Diagnostic("unknown-hook", message, hint=hint)])


def _file_under(root: Path, module_name: str) -> Path | None:
    stem = root.joinpath(*module_name.split("."))
    for path in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def _installed(name: str, module_name: str) -> Path:
    try:
        found = importlib.util.find_spec(module_name)
    except (ImportError, ValueError) as error:
        raise _unknown(name, str(error)) from None
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise _unknown(name, f"no module `{module_name}` was found")
    return Path(found.origin)


def _closure(origins: list[Path], root: Path) -> set[Path]:
    seen: set[Path] = set()
    waiting = list(origins)
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting.extend(_imported_files(path, root))
    return seen


def _imported_files(path: Path, root: Path) -> Iterator[Path]:
    """Files under `root` that a module imports, its packages' `__init__` files included."""
    if not path.is_relative_to(root):
        return
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return
    package = list(path.relative_to(root).parent.parts)
    for node in ast.walk(tree):
        for dotted in _imported_names(node, package):
            parts = dotted.split(".")
            for end in range(1, len(parts) + 1):
                found = _file_under(root, ".".join(parts[:end]))
                if found is not None:
                    yield found


def _imported_names(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = package[: len(package) - node.level + 1] if node.level else []
    base = [*above, *([node.module] if node.module else [])]
    return [".".join([*base, alias.name]) for alias in node.names]
