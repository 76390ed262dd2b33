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

from evalc.hooks.values import Unfit

SITES = ("site-packages", "dist-packages")
REMEDY = (
    "import it as a module of the folder of the specs or as a package, in an `import` statement, "
    "or install it"
)
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
    """Finds the modules under `root` for the hooks that `names` take part in.

    `found` are those that it was asked for.

    Other hooks of the root have modules of their own, be the files the same: what one has
    imported, another has not.
    """

    def __init__(self, root: str, names: frozenset[str]) -> None:
        self.root, self.names = root, names
        self.found: dict[str, _Source] = {}
        self._aside: dict[str, ModuleType] = {}

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

    def leave(self) -> None:
        """Take its modules out of the way."""
        for name in self.found:
            if name in sys.modules:
                self._aside[name] = sys.modules.pop(name)

    def enter(self) -> None:
        """Put its modules back, unless a file of theirs has changed."""
        if any(loader.changed() for loader in self.found.values()):
            self.found.clear()
        else:
            sys.modules.update(self._aside)
        self._aside.clear()


_KNOWN: list[Sources] = []


def find_first(root: str, names: Iterable[str]) -> None:
    """Let modules be found under `root` before elsewhere, by functions that import late as well.

    `names` are modules under `root` that take part; such as were imported from elsewhere are
    forgotten.
    """
    for finder in _KNOWN:
        finder.leave()
    _KNOWN[:] = [finder for finder in _KNOWN if finder.root == root]
    wanted = frozenset(names)
    own = next((finder for finder in _KNOWN if finder.names == wanted), None)
    if own is None:
        own = Sources(root, wanted)
        _KNOWN.append(own)
    for name in wanted:
        sys.modules.pop(name, None)
    own.enter()
    # one of another root would lend its package of a name that is a bare folder here
    sys.meta_path[:] = [own, *(one for one in sys.meta_path if not isinstance(one, Sources))]
    if root in sys.path:
        sys.path.remove(root)
    sys.path.insert(0, root)
    importlib.invalidate_caches()


class Imports:
    """Watches that a hook runs no file but those whose edits a key tells, however it is run.

    Every way of running code, and every module in machine code, is told to an audit hook of the
    interpreter, in forked processes too; what is refused is refused before it runs.
    """

    def __init__(self) -> None:
        evalc = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
        library = os.path.dirname(os.__file__)  # noqa: PTH120
        sites = (one for one in sys.path if os.path.basename(one) in SITES)  # noqa: PTH119
        self._always = _real([os.path.join(evalc, "evalc"), library, *sites])  # noqa: PTH118
        self._hidden = _real(_hidden())
        self._made: tuple[str, ...] = ()
        self._own: frozenset[str] = frozenset()
        self._places: tuple[str, ...] = ()
        self._root = ""
        self._fine: set[str] = set()
        self.stray: str | None = None
        sys.addaudithook(self._hear)

    def expect(
        self, root: str, names: Iterable[str], places: Iterable[str], temporary: str
    ) -> None:
        """The hook that comes next has the modules `names` under `root`, and packages that are
        installed in place at `places`. Under `temporary`, and in caches of the user's, compilers
        of other libraries put code that they have made."""
        files = (file_under(root, name) for name in names)
        self._own = frozenset(os.path.realpath(file) for file in files if file)
        self._places = _real(places)
        self._root = os.path.realpath(root)
        self._made = (*_real([temporary]), *self._hidden)
        self._fine.clear()
        self.stray = None

    def require(self) -> None:
        """Raise `Unfit` for a file that was refused, whatever the hook made of that."""
        if self.stray:
            raise Unfit(f"it runs `{self.stray}`, whose edits no key would tell", REMEDY)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "exec":
            file = getattr(arguments[0], "co_filename", None)
        elif event == "import":  # a module in machine code; others have no file here
            file = arguments[1]
        elif event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".pyc"):
            file = None if "__pycache__" in arguments[0] else arguments[0]
        else:
            return
        if isinstance(file, str) and file not in self._fine and self._root:
            if self._strays(file):
                self.stray = file
                self.require()
            self._fine.add(file)

    def _strays(self, name: str) -> bool:
        if name.startswith("<") or not os.path.isfile(name):  # noqa: PTH113
            return False  # a text, or code that was made
        file = os.path.realpath(name)
        if file in self._own or _is_under(file, self._always) or _is_under(file, self._places):
            return False
        return _is_under(file, (self._root,)) or not _is_under(file, self._made)


def _hidden() -> list[str]:
    """Folders of caches in the user's home."""
    home = os.path.expanduser("~")  # noqa: PTH111
    try:
        names = os.listdir(home)  # noqa: PTH208
    except OSError:
        return []
    return [os.path.join(home, name) for name in names if name.startswith(".")]  # noqa: PTH118


def _real(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple({os.path.realpath(folder) for folder in folders if folder})


def _is_under(file: str, folders: Iterable[str]) -> bool:
    return any(file == folder or file.startswith(folder + os.sep) for folder in folders)


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
