"""Importing modules of the user's repository as their files are now; only a child does.

A module is compiled from its source whenever it is imported. Python's `__pycache__` tells an edit
by the second and the size of the file, so that an edit of the same length soon after a run, or one
whose date was restored, would run the function of before.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

TYPE_CHECKING = False
"""Not from `typing`, whose import is a tenth of a child's start."""
if TYPE_CHECKING:
    from typing import Any


def file_under(root: str, module_name: str) -> str | None:
    """The file of a module that lies under `root`; a package goes before a module of its name."""
    stem = os.path.join(root, *module_name.split("."))  # noqa: PTH118  pathlib is slow to start
    for path in (os.path.join(stem, "__init__.py"), stem + ".py"):  # noqa: PTH118
        if os.path.isfile(path):  # noqa: PTH113
            return path
    return None


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
            return self.get_data(self.path) != self.compiled
        except OSError:
            return True


class Sources:
    """Finds the modules under `root`; `found` are those that it was asked for."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.found: dict[str, _Source] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = file_under(self.root, fullname)
        if file is None:
            return None
        self.found[fullname] = _Source(fullname, file)
        package = file.endswith("__init__.py")
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=self.found[fullname],
            submodule_search_locations=[os.path.dirname(file)] if package else None,  # noqa: PTH120
        )

    def forget(self) -> None:
        """Let everything be imported anew."""
        for name in self.found:
            sys.modules.pop(name, None)
        self.found.clear()


def find_first(root: str, names: Iterable[str]) -> None:
    """Let modules be found under `root` before elsewhere, by functions that import late as well.

    `names` are modules under `root`; such as were imported from elsewhere are forgotten.
    """
    known = [finder for finder in sys.meta_path if isinstance(finder, Sources)]
    for finder in known:
        if finder.root != root or any(loader.changed() for loader in finder.found.values()):
            finder.forget()
    own = next((finder for finder in known if finder.root == root), None) or Sources(root)
    for name in names:
        if name not in own.found:
            sys.modules.pop(name, None)
    sys.meta_path[:] = [own, *(finder for finder in sys.meta_path if finder is not own)]
    if root in sys.path:
        sys.path.remove(root)
    sys.path.insert(0, root)
    importlib.invalidate_caches()


def function_of(name: str) -> Callable[..., Any]:
    """The function `pkg.mod:function`. Raises whatever importing raises, and LookupError."""
    module_name, _, function_name = name.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in function_name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise LookupError(f"module `{module_name}` has no function `{function_name}`")
    function: Callable[..., Any] = found
    return function
