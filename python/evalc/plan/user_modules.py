"""Importing modules of the user's repository as their files are now.

A module is compiled from its source whenever it is imported. Python's `__pycache__` tells an edit
by the second and the size of the file, so that an edit of the same length soon after a run, or one
whose date was restored, would run the function of before.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from evalc.plan.imports import file_under


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
        file = file_under(self.root, fullname)
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


def find_first(root: Path, names: Iterable[str]) -> None:
    """Let modules be found under `root` before elsewhere, by functions that import late as well.

    `names` are modules under `root`; such as were imported from elsewhere are forgotten.
    """
    known = [finder for finder in sys.meta_path if isinstance(finder, _Sources)]
    for finder in known:
        if finder.root != root or any(loader.changed() for loader in finder.found.values()):
            finder.forget()
    own = next((finder for finder in known if finder.root == root), None) or _Sources(root)
    for name in names:
        if name not in own.found:
            sys.modules.pop(name, None)
    sys.meta_path[:] = [own, *(finder for finder in sys.meta_path if finder is not own)]
    if str(root) in sys.path:
        sys.path.remove(str(root))
    sys.path.insert(0, str(root))
