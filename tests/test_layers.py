"""The rooms import one way, and each of their privileges belongs to one room alone."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalc import _core

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "evalc"
ORDER = (
    ("errors", "env", "_core"),
    ("diagnostics",),
    ("spec",),
    ("store",),
    ("hooks",),
    ("contract",),
    ("plan",),
    ("exec",),
    ("score",),
    ("decide",),
    ("report",),
    ("run",),
    ("cli",),
    ("entry",),
)
"""Rooms from the ground up; those of one line know nothing of each other."""
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
WITHOUT_EXEC = ("score", "decide", "report", "run", "cli")
"""`cli.executing` reaches exec by importlib, when there is something to run."""
HEAVY = ("torch", "transformers", "peft", "accelerate")
PRINTERS = (PACKAGE / "cli" / "output.py",)
CHILDREN = (PACKAGE / "exec" / "model" / "bundle.py", PACKAGE / "score" / "program_child.py")
"""Programs of their own, which talk to their parent over the standard streams."""
ON_DEMAND = (
    *(f"evalc.exec.kernels.{name}" for name in ("launch", "programs")),
    "evalc.exec.model.fused",
    *(
        f"evalc.exec.passes.{n}"
        for n in ("decoding", "pages", "recorded", "replay", "tree_attention")
    ),
    "evalc.exec.answer.pipelined",
)
"""Need Triton, which not every torch brings along: imported where there is a GPU to use it on."""
WINGS = ("memory", "kernels", "model", "layout", "passes", "answer")
"""Wings of `exec` from the ground up; its modules without a wing stand on top."""
TOP = max(FLOOR.values()) + 1
"""Above all rooms: the package itself."""

FILES = sorted(PACKAGE.rglob("*.py"))
names = pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))


def module(file: Path) -> str:
    parts = list(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imported(node: ast.AST) -> list[str]:
    """Modules that an import statement names; `from a import b` names `a.b` too."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def uses(file: Path) -> set[str]:
    """What a file imports of evalc: modules, or names in them."""
    found = {name for node in ast.walk(tree(file)) for name in imported(node)}
    return {name for name in found if name.split(".")[0] == "evalc"}


def inside_functions(top: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(top):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from ast.walk(node)


@names
def test_a_room_imports_only_rooms_below_it(file: Path) -> None:
    own = room(module(file))
    floor = TOP if own in ("", "__main__") else FLOOR[own]
    for name in uses(file):
        other = room(name)
        if other in ("", "__version__", own):
            continue
        assert FLOOR[other] < floor, f"{module(file)} imports {name}"


@names
def test_imports_are_absolute_and_stand_at_the_top(file: Path) -> None:
    top = tree(file)
    for node in ast.walk(top):
        assert not (isinstance(node, ast.ImportFrom) and node.level), "a relative import"
    for node in inside_functions(top):
        found = [name for name in imported(node) if not name.startswith(ON_DEMAND)]
        local = [name for name in found if name.split(".")[0] == "evalc"]
        assert not local, f"{module(file)} imports {local} inside a function"


@pytest.mark.parametrize("place", range(len(WINGS)), ids=WINGS)
def test_a_wing_of_exec_imports_only_wings_below_it(place: int) -> None:
    for file in (PACKAGE / "exec" / WINGS[place]).rglob("*.py"):
        for name in uses(file):
            if room(name) == "exec" and name != "evalc.exec":
                assert name.split(".")[2] in WINGS[: place + 1], f"{module(file)} imports {name}"


def test_every_wing_of_exec_has_its_place_in_the_order() -> None:
    folders = {path.parent.name for path in (PACKAGE / "exec").glob("*/__init__.py")}
    assert folders == set(WINGS)


@pytest.mark.parametrize("name", WITHOUT_EXEC)
def test_what_reads_results_does_not_import_the_executor(name: str) -> None:
    for file in (PACKAGE / name).rglob("*.py"):
        assert not [used for used in uses(file) if room(used) == "exec"], file


def executed(top: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    for node in ast.iter_child_nodes(top):
        test = node.test if isinstance(node, ast.If) else None
        if not (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"):
            yield node
            yield from executed(node)


def needs(file: Path, modules: set[str]) -> set[str]:
    """Modules whose content a file needs: a package only if more than its modules is taken."""
    found: set[str] = set()
    for node in executed(tree(file)):
        match node:
            case ast.ImportFrom(module=str(source)):
                taken = {f"{source}.{alias.name}" for alias in node.names}
                found |= {name if name in modules else source for name in taken}
            case ast.Import():
                found |= set(imported(node))
    return found & modules


def test_no_module_imports_itself_through_others() -> None:
    modules = {module(file): file for file in FILES}
    edges = {name: needs(file, set(modules)) for name, file in modules.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in sorted(edges[name] - {name}):
                visit(other, (*trail, name))
            done.add(name)

    for name in sorted(modules):
        visit(name, ())


@names
def test_only_exec_imports_torch_and_transformers(file: Path) -> None:
    found = {name.split(".")[0] for node in ast.walk(tree(file)) for name in imported(node)}
    assert not found & set(HEAVY) or room(module(file)) == "exec"


@names
def test_only_the_output_room_prints(file: Path) -> None:
    if file in (*PRINTERS, *CHILDREN):
        return
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id == "print"), node.lineno
        written = isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr")
        if written and isinstance(node.value, ast.Name) and node.value.id == "sys":
            # env.py only asks for the number of the stream that it silences
            assert file == PACKAGE / "env.py", f"sys.{node.attr} on line {node.lineno}"


@names
def test_only_env_reads_the_environment(file: Path) -> None:
    if file == PACKAGE / "env.py":
        return
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("environ", "environb", "getenv"), f"line {node.lineno}"
        taken = {name for name in imported(node) if name.startswith("os.")}
        assert not taken & {"os.environ", "os.getenv"}


def public(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_the_stub_of_the_core_names_what_the_core_has() -> None:
    stub = tree(PACKAGE / "_core.pyi")
    functions = {n.name for n in stub.body if isinstance(n, ast.FunctionDef)}
    classes = {n.name: n for n in stub.body if isinstance(n, ast.ClassDef)}
    assert public(functions | set(classes)) == public(set(dir(_core)))
    for name, node in classes.items():
        own = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
        real = getattr(_core, name)
        if not issubclass(real, Exception):
            assert public(own) == public(set(vars(real))), name


def test_the_stub_of_the_core_gives_arguments_their_real_names() -> None:
    stub = tree(PACKAGE / "_core.pyi")
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            written = [argument.arg for argument in node.args.args]
            real = list(inspect.signature(getattr(_core, node.name)).parameters)
            assert written == real, node.name


def test_every_room_of_the_package_has_its_place_in_the_order() -> None:
    found = {path.name if path.is_dir() else path.stem for path in PACKAGE.iterdir()}
    found = {name for name in found if not name.startswith("__") and name != "py"}
    assert found - {"_core.abi3"} == set(FLOOR)
