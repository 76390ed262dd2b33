"""What a hook runs is what its key holds; other files are refused before they run.

An edit of such a file would be answered with the scores of before.
"""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalc.hooks.calls import call_all
from evalc.hooks.crew import CREW
from evalc.hooks.limits import Failure, HookFailed, Limits
from evalc.plan import packages
from evalc.plan.functions import hook_of, source_digest

LIMITS = Limits(seconds=60.0, workers=2)
HEAD = "import importlib, os, sys\nfrom importlib import util\nHERE = os.path.dirname(__file__)\n"
STRAYS = {
    "a folder on the path": """\
sys.path.insert(0, os.path.join(HERE, "lib"))
import helper""",
    "a folder elsewhere": """\
sys.path.append(os.path.join(HERE, "..", "beside"))
import helper""",
    "a folder that is called like one of installed packages": """\
sys.path.insert(0, os.path.join(HERE, "vendor", "site-packages"))
import helper""",
    "a computed name": """\
importlib.import_module("lib" + ".helper")""",
    "a module that is gone when one looks": """\
importlib.import_module("lib" + ".helper")
del sys.modules["lib.helper"]""",
    "a file by its path, which no table of modules has": """\
spec = util.spec_from_file_location("helper", os.path.join(HERE, "lib", "helper.py"))
module = util.module_from_spec(spec)
spec.loader.exec_module(module)""",
    "a file that is run": """\
import runpy
runpy.run_path(os.path.join(HERE, "lib", "helper.py"))""",
    "a file that is compiled and executed": """\
path = os.path.join(HERE, "lib", "helper.py")
exec(compile(open(path).read(), path, "exec"), {})""",
    "a refusal that is caught": """\
try:
    importlib.import_module("lib" + ".helper")
except Exception:
    pass""",
    "compiled code without its source": """\
sys.path.insert(0, os.path.join(HERE, "compiled"))
import helper""",
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Children and packages as of a new command."""
    yield
    CREW.close()
    for known in (packages.package_state, packages._places, packages._others):
        known.cache_clear()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))  # where made code may lie; not the specs
    for folder in ("specs/lib", "beside", "specs/vendor/site-packages", "specs/compiled"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "helper.py").write_text("VALUE = 1\n")
    compiled = tmp_path / "specs" / "compiled" / "helper.py"
    py_compile.compile(str(compiled), cfile=str(compiled.with_suffix(".pyc")))
    compiled.unlink()
    return tmp_path / "specs"


def called(root: Path, name: str) -> float | str | Failure | None:
    """What comes of one call: a value or a failure."""
    hook = hook_of(name, root, "case")
    try:
        (found,) = call_all(hook, 1, lambda _: b"[{},{}]", LIMITS)
    except HookFailed as failed:
        return failed.failure
    return found.failure or found.value


@pytest.mark.parametrize("late", [False, True], ids=["at import", "in the call"])
@pytest.mark.parametrize("name", STRAYS)
def test_what_no_key_would_tell_is_not_run(name: str, late: bool, root: Path) -> None:
    body = STRAYS[name]
    inner = body.replace("\n", "\n    ")
    text = (
        f"def judge(case):\n    {inner}\n    return 1\n"
        if late
        else (f"{body}\ndef judge(case):\n    return 1\n")
    )
    (root / "judges.py").write_text(HEAD + text)
    failure = called(root, "judges:judge")
    assert isinstance(failure, Failure)
    assert "it runs `" in failure.why
    assert "whose edits no key would tell" in failure.why
    assert "`import` statement" in str(failure.hint)


def test_a_forked_process_of_a_hook_runs_no_other_file(root: Path) -> None:
    (root / "judges.py").write_text(
        "import importlib, multiprocessing as mp\n"
        "def load(n):\n    return importlib.import_module('lib' + '.helper').VALUE\n"
        "def judge(case):\n"
        "    with mp.get_context('fork').Pool(1) as pool:\n        return pool.map(load, [0])[0]\n"
    )
    failure = called(root, "judges:judge")
    assert isinstance(failure, Failure)
    assert "helper.py`, whose edits no key would tell" in failure.why


FINE = {
    "a statement": "import lib.helper",
    "a relative import": "from .lib import helper",
    "a constant": "import importlib\nimportlib.import_module('lib.helper')",
    "a constant by another name": (
        "from importlib import import_module as load\nload('lib.helper')"
    ),
    "all that a package offers": "from pack import *",
    "the standard library": "import decimal, sqlite3, xml.etree",
    "packages": "import numpy, pytest",
    "torch": "import torch\ntorch.ones(1)",
    "code that is made": "import collections, dataclasses\ncollections.namedtuple('A', 'b')",
}


@pytest.mark.parametrize("name", FINE)
def test_what_a_key_tells_is_run(name: str, root: Path) -> None:
    (root / "pack").mkdir()
    (root / "pack" / "__init__.py").write_text("__all__ = ['sub']\n")
    (root / "pack" / "sub.py").write_text("VALUE = 1\n")
    (root / "pkg").mkdir()
    place = root / "pkg" if name == "a relative import" else root
    if place != root:
        (root / "lib").rename(place / "lib")
    (place / "judges.py").write_text(f"{FINE[name]}\ndef judge(case):\n    return 1\n")
    assert called(root, "pkg.judges:judge" if place != root else "judges:judge") == 1.0


def test_hooks_in_modules_of_their_own_share_a_child(root: Path) -> None:
    """What one has imported is not held against the next, and is not there for it either."""
    (root / "a.py").write_text(
        "from lib import helper\nCALLS = []\n"
        "def f(case):\n    CALLS.append(1)\n    return len(CALLS)\n"
    )
    (root / "b.py").write_text("def f(case):\n    return 2\n")
    (root / "c.py").write_text(
        "import importlib\ndef f(case):\n"
        "    return importlib.import_module('lib' + '.helper').VALUE\n"
    )
    assert [called(root, f"{name}:f") for name in "abab"] == [1.0, 2.0, 2.0, 2.0]
    assert isinstance(called(root, "c:f"), Failure)
    (root / "a.py").write_text("def f(case):\n    return 9\n")
    assert called(root, "a:f") == 9.0


@pytest.mark.parametrize("layout", ["src in the folder of the specs", "a finder", "elsewhere"])
def test_a_package_in_place_is_run_and_its_edits_are_told(
    layout: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = root / "src" if layout.startswith("src") else root.parent / "other"
    for name, text in (("mypkg_x", "import lowlib_x\nV = lowlib_x.V"), ("lowlib_x", "V = 1")):
        (source / name).mkdir(parents=True)
        (source / name / "__init__.py").write_text(text)
    path = [str(source)]
    if layout == "a finder":  # as setuptools installs in place
        monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
        start = root.parent / "start"
        start.mkdir()
        text = f"""\
import sys
from importlib.machinery import PathFinder
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("mypkg_x", "lowlib_x"):
            return PathFinder.find_spec(name, [{str(source)!r}])
sys.meta_path.append(Finder)
"""
        (start / "sitecustomize.py").write_text(text)
        exec(text, {})
        path = [str(start)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    if layout != "a finder":
        monkeypatch.syspath_prepend(str(source))
    (root / "judges.py").write_text("import mypkg_x\ndef judge(case):\n    return mypkg_x.V\n")
    assert called(root, "judges:judge") == 1.0
    before = source_digest("judges:judge", root)
    (source / "lowlib_x" / "__init__.py").write_text("V = 2")
    for known in (packages.package_state, packages._places, packages._others):
        known.cache_clear()
    assert source_digest("judges:judge", root) != before


def test_a_folder_called_site_packages_is_not_installed(tmp_path: Path) -> None:
    root = tmp_path / "vendor" / "site-packages" / "specs"
    root.mkdir(parents=True)
    (root / "impl.py").write_text("V = 1")
    (root / "judges.py").write_text(
        "import importlib\ndef judge(case):\n    return importlib.import_module('im' + 'pl').V\n"
    )
    assert isinstance(called(root, "judges:judge"), Failure)


def test_this_interpreter_tells_of_code_that_is_run() -> None:
    """The events that the child hears are part of Python's documented interface."""
    text = (
        "import sys; heard = set(); sys.addaudithook(lambda e, a: heard.add(e)); import decimal;"
        "exec('1'); print(sorted(heard & {'exec', 'import', 'open'}))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['exec', 'import', 'open']"
