"""Signatures read from the text of a module, without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalc.hooks.limits import Takes
from evalc.hooks.signatures import inspect

WRONG: list[tuple[Takes, str, str]] = [
    ("case", "def f(): pass", "takes 0 arguments"),
    ("case", "def f(prediction, reference): pass", "takes 2 arguments"),
    ("case", "def f(case, *, strict): pass", "also needs `strict`"),
    ("case", "f = lambda: 1", "takes 0 arguments"),
    ("case", "async def f(case): return 1", "coroutine"),
    ("case", "def f(case): yield 1", "generator"),
    ("case", "def g(case): return 1", "no function `f`"),
    ("case", "f = 3", "is no function"),
    ("case", "def f(case:", "SyntaxError"),
    ("case", "from other import f", "takes 3 arguments"),
    ("case", "from other import h as f", "takes 3 arguments"),
    ("text", "def f(text): return text", "takes 1 arguments"),
    ("text", "def f(a, b, c, d=1): pass", "takes 3 to 4 arguments"),
    ("rows", "def f(rows, split): return rows", "takes 2 arguments"),
]
RIGHT: list[tuple[Takes, str]] = [
    ("case", "def f(case): return 1"),
    ("case", "def f(case, /, weight=1): return 1"),
    ("case", "def f(*args, **kwargs): return 1"),
    ("case", "def f(case, *, strict=False): return 1"),
    ("case", "@wrapped\ndef f(): return 1"),
    ("case", "import g as f"),
    ("case", "from nowhere import *"),
    ("case", "from other import *"),
    ("case", "globals()['f'] = print"),
    ("case", "def __getattr__(name): return print"),
    ("case", "if True:\n    def f(): pass\nelse:\n    def f(case): pass"),
    ("case", "def f(): pass\nf = print"),
    ("case", "f: object = print"),
    ("case", "class f:\n    def __new__(cls, case): return 1"),
    ("case", "import functools\nf = functools.partial(print, 1)"),
    ("case", "def f(case):\n    def inner():\n        yield 1\n    return len(list(inner()))"),
    ("text", "def f(text, case): return text"),
    ("rows", "def f(rows):\n    yield from rows"),
]
OTHER = "def f(a, b, c): pass\ndef h(a, b, c): pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "other.py").write_text(OTHER)
    return tmp_path


@pytest.mark.parametrize(("takes", "text", "why"), WRONG)
def test_what_cannot_work_is_told(folder: Path, takes: Takes, text: str, why: str) -> None:
    (folder / "own.py").write_text(text)
    found = inspect("own:f", folder, takes)
    assert found is not None and why in found.why


@pytest.mark.parametrize(("takes", "text"), RIGHT)
def test_what_may_work_is_left_to_the_run(folder: Path, takes: Takes, text: str) -> None:
    (folder / "own.py").write_text(text)
    assert inspect("own:f", folder, takes) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("@staticmethod\n    def f(case): return 1", None),
        ("@classmethod\n    def f(cls, case): return 1", None),
        ("def f(case): return 1", None),
        ("@staticmethod\n    def f(): return 1", "takes 0 arguments"),
        ("@classmethod\n    def f(case): return 1", "takes 1 arguments"),
        ("def f(self, case): return 1", "takes 2 arguments"),
        ("g = 1", "no function `J.f`"),
    ],
)
def test_functions_in_classes_are_read_too(folder: Path, body: str, why: str | None) -> None:
    (folder / "own.py").write_text(f"class J:\n    {body}\n")
    found = inspect("own:J.f", folder, "case")
    assert (found is None) if why is None else (found is not None and why in found.why)
