"""What Python files import, read from their text; nothing of them is run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from evalc.hooks import modules

_LOADERS = ("import_module", "__import__")


def file_under(root: Path, module_name: str) -> Path | None:
    """The file of a module that lies under `root`; a package goes before a module of its name."""
    found = modules.file_under(str(root), module_name)
    return None if found is None else Path(found)


def module_under(root: Path, path: Path) -> str:
    """The dotted name of a file under `root`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files_of(module_name: str, root: Path) -> set[Path]:
    """Files under `root` that take part when a module is imported: its own, its packages', and
    what these import, to any depth. Empty when the module is not there."""
    if file_under(root, module_name) is None:
        return set()
    parts = module_name.split(".")
    chain = [file_under(root, ".".join(parts[:end])) for end in range(1, len(parts) + 1)]
    seen: set[Path] = set()
    waiting = [path for path in chain if path is not None]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting.extend(_imported_files(path, root))
    return seen


def packages_of(files: Iterable[Path], root: Path) -> set[str]:
    """Top-level names that files under `root` import from elsewhere, less the standard library."""
    tops = {dotted.split(".")[0] for path in files for dotted in _imports(path, root)}
    inside = {top for top in tops if (root / top).is_dir() or file_under(root, top) is not None}
    return tops - inside - sys.stdlib_module_names


def _imported_files(path: Path, root: Path) -> Iterator[Path]:
    for dotted in _imports(path, root):
        parts = dotted.split(".")
        for end in range(1, len(parts) + 1):
            found = file_under(root, ".".join(parts[:end]))
            if found is not None:
                yield found


def _imports(path: Path, root: Path) -> Iterator[str]:
    """Dotted names that a file under `root` imports; `from a import b` names `a.b`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = list(path.relative_to(root).parent.parts)
    nodes = list(ast.walk(tree))
    loaders = {
        alias.asname
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "importlib"
        for alias in node.names
        if alias.name in _LOADERS and alias.asname
    }
    for node in nodes:
        yield from _names(node, package, loaders | {*_LOADERS})
    if path.name == "__init__.py":
        yield from (".".join([*package, name]) for name in _offered(tree))


def _offered(tree: ast.Module) -> Iterator[str]:
    """Names that a package offers by `__all__`: `from package import *` imports modules of them."""
    for node in tree.body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def _names(node: ast.AST, package: list[str], loaders: Container[str]) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *([node.module] if node.module else [])]
            return [".".join([*base, alias.name]) for alias in node.names]
        case ast.Call(
            func=ast.Name(id=called) | ast.Attribute(attr=called),
            args=[ast.Constant(value=str(name)), *_],
        ) if called in loaders:
            bare = name.lstrip(".")
            level = len(name) - len(bare)
            above = package[: len(package) - level + 1] if level else []
            return [".".join([*above, *([bare] if bare else [])])]
    return []
