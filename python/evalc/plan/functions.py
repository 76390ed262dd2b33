"""Functions of the user's own repository, named "pkg.mod:function" in a spec: import and digest.

A module is compiled from its source whenever it is imported. Python's `__pycache__` tells an edit
by the second and the size of the file, so that an edit of the same length soon after a run, or one
whose date was restored, would run the function of before.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from evalc.diagnostics import Diagnostic, Faults


def load_function(name: str, root: Path) -> Callable[..., Any]:
    """Import a function with `root` (the spec's folder) first on sys.path. Raises Faults.

    Modules of the user that were imported before are used again unless a source among them has
    changed or another folder is asked for.
    """
    module_name, function_name = _parts(name)
    _find_first(root)
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


class _Source(SourceFileLoader):
    """Compiles the source at every import; neither reads nor writes compiled files."""

    compiled: bytes | None = None

    def get_code(self, fullname: str) -> CodeType:
        self.compiled = self.get_data(self.path)
        code: CodeType = self.source_to_code(self.compiled, self.path)
        return code

    def changed(self) -> bool:
        """Whether the file is no longer what was imported."""
        try:
            return Path(self.path).read_bytes() != self.compiled
        except OSError:
            return True


class _Sources(MetaPathFinder):
    """Finds the modules under `root`; `found` are those that it was asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: dict[str, _Source] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = _file_under(self.root, fullname)
        if file is None:
            return None
        self.found[fullname] = _Source(fullname, str(file))
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=self.found[fullname],
            submodule_search_locations=[str(file.parent)] if file.name == "__init__.py" else None,
        )

    def forget(self) -> None:
        """Let everything be imported anew."""
        for name in self.found:
            sys.modules.pop(name, None)
        self.found.clear()


def _find_first(root: Path) -> None:
    """Let modules be found under `root` before elsewhere, by functions that import late as well."""
    known = [finder for finder in sys.meta_path if isinstance(finder, _Sources)]
    for finder in known:
        if finder.root != root or any(loader.changed() for loader in finder.found.values()):
            finder.forget()
    own = next((finder for finder in known if finder.root == root), None) or _Sources(root)
    sys.meta_path[:] = [own, *(finder for finder in sys.meta_path if finder is not own)]
    if str(root) in sys.path:
        sys.path.remove(str(root))
    sys.path.insert(0, str(root))


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
