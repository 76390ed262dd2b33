"""Python hooks: functions of the user's own repository, named "pkg.mod:function" in a spec.

A metric hook is `hook(case: dict) -> float`, an extraction hook `hook(text: str, case: dict) ->
str | None`. `case` has `id`, `row`, `prompt`, `target`, `choices`, `texts`, `extracted` and
`logliks` (the last three as far as the task's kind has them).
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc.diagnostics import Diagnostic, Faults
from evalc.score.cells import CaseDict
from evalc.score.faults import fault


class HookError(Exception):
    """A hook failed on a case; `diagnostic` says where and why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


@dataclass(frozen=True)
class Hook:
    """A loaded hook. Calls raise `HookError` instead of what the user's code raised."""

    name: str
    function: Callable[..., Any]

    def value(self, case: CaseDict) -> float:
        """A metric hook's score: a finite number (a bool counts as 0 or 1)."""
        result = self._call(case, case)
        try:
            score = float(result)
        except (TypeError, ValueError):
            score = math.nan
        if isinstance(result, str) or not math.isfinite(score):
            raise self._error(case, f"it returned `{result!r:.80}`, not a finite number")
        return score

    def text(self, text: str, case: CaseDict) -> str | None:
        """An extraction hook's answer, or None for "no answer"."""
        result = self._call(case, text, case)
        if result is not None and not isinstance(result, str):
            raise self._error(case, f"it returned `{result!r:.80}`, neither a text nor None")
        return result

    def _call(self, case: CaseDict, *arguments: Any) -> Any:
        try:
            return self.function(*arguments)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[1:]
            notes = [f"raised at {frames[-1].filename}:{frames[-1].lineno}"] if frames else []
            raise self._error(case, f"{type(error).__name__}: {error}", *notes) from None

    def _error(self, case: CaseDict, why: str, *notes: str) -> HookError:
        return HookError(
            Diagnostic(
                "hook-failed",
                f"hook `{self.name}` failed on case `{case.get('id', '?')}`: {why}",
                notes=notes,
                hint="correct the hook; no score is reported until it passes on every case",
            )
        )


def load_hook(name: str, root: Path) -> Hook:
    """Import a hook with `root` (the spec's folder) first on sys.path. Raises `Faults`."""
    module_name, function_name = _parts(name)
    entry = str(root)
    if entry not in sys.path:
        sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise _unknown(name, f"{type(error).__name__}: {error}") from None
    function: Any = module
    for part in function_name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise _unknown(name, f"module `{module_name}` has no function `{function_name}`")
    return Hook(name, function)


def hook_source_digest(name: str, root: Path) -> str:
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
    return fault(
        "unknown-hook",
        f"hook `{name}` cannot be loaded: {why}",
        hint='name it "pkg.mod:function", importable from the folder of the specs',
    )


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
