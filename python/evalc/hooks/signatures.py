"""What the text of a module says about a function in it; nothing is run.

Only what can be told: a name that is bound twice, decorated, or made by other code is left to the
run. `None` means that nothing is wrong as far as that goes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalc.hooks.limits import Takes
from evalc.hooks.modules import file_under

ARGUMENTS: dict[Takes, tuple[str, ...]] = {
    "case": ("case",),
    "text": ("text", "case"),
    "rows": ("rows",),
}
GIVEN: dict[Takes, str] = {
    "case": "`case` is a dict with `id`, `row`, `prompt`, `target`, `choices`, and `logliks` or "
    "`texts` and `extracted`",
    "text": "`case` is a dict with `id`, `row`, `prompt`, `target`, `choices`",
    "rows": "`rows` is a list of dicts",
}
CALLED: dict[Takes, str] = {
    "case": "a metric is called with the case",
    "text": "an extraction is called with the text and the case",
    "rows": "`prepare` is called with a list of rows",
}
_MAKERS = frozenset(["exec", "globals", "setattr", "vars", "__getattr__"])
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FOLLOWED = 8


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a hook cannot work, and the file and line that show it; `absent`: it is not there."""

    why: str
    file: Path | None
    line: int | None = None
    absent: bool = False


def inspect(name: str, root: Path, takes: Takes) -> Wrong | None:
    """What is wrong with `pkg.mod:function` of the folder `root`, called with what it takes."""
    module_name, _, function_name = name.partition(":")
    file = file_under(str(root), module_name)
    return None if file is None else _inspect(Path(file), root, function_name, takes, _FOLLOWED)


def inspect_file(name: str, file: Path, root: Path, takes: Takes) -> Wrong | None:
    """The same of a module in `file`, which is imported from the folder `root`."""
    return _inspect(file, root, name.partition(":")[2], takes, _FOLLOWED)


def _inspect(  # noqa: PLR0911  a case each
    file: Path, root: Path, name: str, takes: Takes, more: int
) -> Wrong | None:
    try:
        module = ast.parse(file.read_bytes())
    except SyntaxError as error:
        return Wrong(f"SyntaxError: {error.msg}", file, error.lineno, absent=True)
    except (OSError, ValueError, RecursionError, MemoryError):
        return None
    first, *inner = name.split(".")
    found = [node for bound, node in _bindings(module.body) if bound == first]
    if not found:
        return (
            None
            if _is_open(module)
            else Wrong(f"its module has no function `{first}`", file, absent=True)
        )
    if len(found) > 1:
        return None
    node = found[0]
    if isinstance(node, ast.ImportFrom) and not inner and more:
        return _imported(file, root, node, first, takes, more - 1)
    for part in inner:
        if not isinstance(node, ast.ClassDef) or node.decorator_list or node.keywords:
            return None
        own = [each for bound, each in _bindings(node.body) if bound == part]
        if len(own) != 1:
            bare = not own and not node.bases and not _is_open(node)
            return (
                Wrong(f"its module has no function `{name}`", file, node.lineno, absent=True)
                if bare
                else None
            )
        node = own[0]
    return _called(node, file, name, takes, method=bool(inner))


def _imported(  # noqa: PLR0917  as `_inspect`, and where it was imported
    file: Path, root: Path, node: ast.ImportFrom, name: str, takes: Takes, more: int
) -> Wrong | None:
    """What is wrong with a function that comes from another module of the folder."""
    own = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
    package = list(file.relative_to(root).parent.parts)
    above = package[: len(package) - node.level + 1] if node.level else []
    dotted = ".".join([*above, *([node.module] if node.module else [])])
    target = file_under(str(root), dotted) if dotted else None
    if target is None or file_under(str(root), f"{dotted}.{own}") is not None:
        return None
    return _inspect(Path(target), root, own, takes, more)


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Names that statements bind at their level or inside their branches, and what binds them."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node
            case ast.ClassDef(name=name):
                yield name, node
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield (alias.asname or alias.name).split(".")[0], node
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case _:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
                        yield inner.id, node
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                        yield inner.name, node
                    if isinstance(inner, ast.Import | ast.ImportFrom):
                        for alias in inner.names:
                            yield (alias.asname or alias.name).split(".")[0], node


def _is_open(top: ast.Module | ast.ClassDef) -> bool:
    """Whether code may bind names that stand nowhere: a star import, `globals()`, and so on."""
    for node in ast.walk(top):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Global) or getattr(node, "id", None) in _MAKERS:
            return True
        if isinstance(node, ast.FunctionDef | ast.Attribute) and (
            getattr(node, "name", getattr(node, "attr", None)) in ("__getattr__", "modules")
        ):
            return True
    return False


def _called(node: ast.AST, file: Path, name: str, takes: Takes, method: bool) -> Wrong | None:
    if not isinstance(node, _Function):
        return _constant(node, file, name)
    given = len(ARGUMENTS[takes])
    if not isinstance(node, ast.Lambda) and node.decorator_list:
        words = [each.id if isinstance(each, ast.Name) else "" for each in node.decorator_list]
        if not method or words not in (["staticmethod"], ["classmethod"]):
            return None
        given += words == ["classmethod"]
    line = node.lineno
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    needed = len(plain) - len(arguments.defaults)
    keywords = [
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    shape = f"{CALLED[takes]}, and `{name}({', '.join(each.arg for each in plain)})` "
    if keywords:
        return Wrong(f"{shape}also needs `{keywords[0]}`", file, line)
    if needed > given or (arguments.vararg is None and len(plain) < given):
        needs = f"{needed} to {len(plain)}" if needed < len(plain) else f"{needed}"
        return Wrong(f"{shape}takes {needs} arguments", file, line)
    return _result(node, file, name, takes)


def _result(node: _Function, file: Path, name: str, takes: Takes) -> Wrong | None:
    if isinstance(node, ast.AsyncFunctionDef):
        return Wrong(f"`{name}` is a coroutine, which nothing awaits", file, node.lineno)
    if takes != "rows" and isinstance(node, ast.FunctionDef) and _yields(node.body):
        return Wrong(f"`{name}` is a generator, and gives no value", file, node.lineno)
    return None


def _yields(body: list[ast.stmt]) -> bool:
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, _Function | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


def _constant(node: ast.AST, file: Path, name: str) -> Wrong | None:
    """A number or a text is no function."""
    if isinstance(node, ast.Constant | ast.List | ast.Dict | ast.JoinedStr):
        return Wrong(f"`{name}` is no function", file, node.lineno)
    return None
