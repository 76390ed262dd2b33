"""Small inputs that ask for more than a machine has: a diagnostic, never an abort.

`benches/bombs.py` tries some hundreds of them, and measures. Here templates run in children, so
that an abort is a failed test.
"""

from __future__ import annotations

import gzip
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from test_bad_specs import refused

from workspaces import QUIZ, SUMS, Workspace

BENCH = Path(__file__).resolve().parents[2] / "benches" / "bombs.py"
NAMED = (
    "width of str.format",
    "precision of str.format",
    "filter join",
    "doubling by ~",
    "a namespace in itself",
    "nesting by a namespace",
    "shared lists concatenated",
    "texts compared by ==",
    "a chain of +, 60000",
    "a row of not, 60000",
    "a chain of .b, 60000",
    "chat: closed if q",
    "elif, 60000",
    "set of lists, 3000",
    "regex_replace of groups",
)


def bench() -> ModuleType:
    """The bench as a module."""
    found = importlib.util.spec_from_file_location("bombs", BENCH)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["bombs"] = module
    found.loader.exec_module(module)
    return module


bombs = bench()
BY_NAME = {bomb.name: bomb for bomb in bombs.named() if bomb.template is not None}


@pytest.mark.parametrize("name", NAMED)
def test_a_template_that_asks_for_too_much_is_refused(name: str, tmp_path: Path) -> None:
    ended = bombs.run(BY_NAME[name], tmp_path)
    assert ended.code == 2, ended.said
    assert ended.megabytes < bombs.MEGABYTES


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("repeats = 1000000000", "at most `10000`"),
        ("seed = -1", "at least `0`"),
        ("seed = " + "9" * 400, "a whole number of more than 20 digits"),
        ("max_new_tokens = 1000000000", "at most `1000000`"),
        ("top_k = 99999999999", "at most `2147483647`"),
        ("temperature = 1e300", "at most `100.0`"),
        ("temperature = 1e400", "a finite number"),
    ],
)
def test_check_knows_the_bounds_of_a_number(workspace: Workspace, given: str, wanted: str) -> None:
    workspace.write(SUMS.replace("max_new_tokens = 4", given))
    assert wanted in refused(workspace, "wrong-value")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[tiers.a]\nseconds = 1e300\n", "wrong-value"),
        ('[gates.a]\nmetric = "sums.exact_match"\nmin = 1e300\n', "wrong-value"),
        ('[gates.a]\nmetric = "sums.exact_match"\nalpha = 1e-300\nmin = 0.5\n', "wrong-value"),
        ("[cost]\nusd_per_hour = " + "9" * 5000 + "\n", "toml-syntax"),
        ("[cost]\nx = " + "[" * 100_000 + "]" * 100_000 + "\n", "toml-syntax"),
    ],
)
def test_check_knows_the_bounds_elsewhere(workspace: Workspace, text: str, code: str) -> None:
    workspace.write(SUMS + text)
    refused(workspace, code)


def test_a_range_of_rows_has_a_bound(workspace: Workspace) -> None:
    workspace.write(
        SUMS.replace('path = "sums.jsonl"', 'path = "sums.jsonl"\nrows = "0:99999999999"')
    )
    assert "too large" in refused(workspace, "bad-rows")


def test_a_row_has_a_bound_also_where_it_is_packed(workspace: Workspace) -> None:
    path = workspace.write(QUIZ.replace("quiz.jsonl", "d.jsonl.gz")).parent / "d.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n") + gzip.compress(b"x" * (1 << 20)) * 100)
    said = refused(workspace, "data-too-large")
    assert "line 2 is longer than 64 MiB" in said
    assert "d.jsonl.gz:2" in said


def test_cases_times_repeats_have_a_bound(workspace: Workspace) -> None:
    generate = (
        'generate = { max_new_tokens = 4, repeats = 10000, temperature = 1.0, stop = ["\\n"] }'
    )
    path = workspace.write(
        SUMS.replace('generate = { max_new_tokens = 4, stop = ["\\n"] }', generate)
    )
    rows = "".join(f'{{"question": "{n}", "answer": "1"}}\n' for n in range(1700))
    (path.parent / "sums.jsonl").write_text(rows)
    assert "1700 cases times 10000 repeats" in refused(workspace, "too-many-requests")


def test_a_name_that_no_file_system_holds_is_refused(workspace: Workspace) -> None:
    workspace.write(SUMS.replace("sums.jsonl", "x" * 300 + ".jsonl"))
    assert "too long" in refused(workspace, "wrong-value")
