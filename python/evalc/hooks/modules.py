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
    # one of another root would lend its package of a name that is a bare folder here
    sys.meta_path[:] = [own, *(one for one in sys.meta_path if not isinstance(one, Sources))]
    if root in sys.path:
        sys.path.remove(root)
    sys.path.insert(0, root)
    importlib.invalidate_caches()


class Imports:
    """What a hook's modules import, against what its source digest holds.

    `baseline` are the modules that were there before any hook, `path` where modules were found
    then.
    """

    def __init__(self) -> None:
        self._baseline, self._path = frozenset(sys.modules), _real(sys.path)
        self._library = _real([os.path.dirname(os.__file__)])  # noqa: PTH120
        self._own: frozenset[str] = frozenset()
        self._root, self._seen = "", 0

    def expect(self, root: str, names: Iterable[str]) -> None:
        """The hook that comes next has the modules `names` under `root`."""
        files = (file_under(root, name) for name in names)
        self._own = frozenset(os.path.realpath(file) for file in files if file)
        self._root, self._seen = os.path.realpath(root), 0

    def stray(self) -> str | None:
        """A file that was imported since and that no digest holds: one under `root` that the text
        of the hook does not name, or one of a folder that the hook has put on `sys.path`."""
        if len(sys.modules) == self._seen:
            return None
        self._seen = len(sys.modules)
        for name in [*sys.modules]:
            if name not in self._baseline and (file := self._strays(sys.modules.get(name))):
                return file
        return None

    def _strays(self, module: object) -> str | None:
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            return None
        file = os.path.realpath(file)
        if file in self._own or _is_under(file, self._library) or _is_installed(file):
            return None
        if _is_under(file, (self._root,)) or not _is_under(file, self._path):
            return file
        return None


def _real(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple({os.path.realpath(folder) for folder in folders if folder})


def _is_installed(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(file.split(os.sep))  # noqa: PTH206


def _is_under(file: str, folders: Iterable[str]) -> bool:
    return any(file.startswith(folder + os.sep) for folder in folders)


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
