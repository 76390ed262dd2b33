"""Small inputs that ask for more than a machine has: a diagnostic, never an abort.

`benches/bombs.py` tries some hundreds of them, and measures. Here templates run in children, so
that an abort is a failed test.
"""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_bad_specs import refused

from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

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
    sys.path.insert(0, str(BENCH.parent))
    module = importlib.util.module_from_spec(found)
    sys.modules["bombs"] = module
    found.loader.exec_module(module)
    return module


bombs = bench()
TEMPLATES = itertools.takewhile(lambda bomb: bomb.template is not None, bombs.named())
BY_NAME = {bomb.name: bomb for bomb in TEMPLATES}
CALLS = {bomb.name: bomb for bomb in bombs.functions()}


def among(kind: Iterator[Any], name: str) -> Any:
    """The bomb of that name; those behind it are not made."""
    return next(bomb for bomb in kind if bomb.name == name)


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


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ([str(n) for n in range(65)], "has 65 values; it may have at most 64"),
        (["x" * 257], "has 257 characters; it may have at most 256"),
    ],
)
def test_stops_have_a_bound(stop: list[str], said: str, workspace: Workspace) -> None:
    workspace.write(SUMS.replace('stop = ["\\n"]', f"stop = {stop}"))
    assert said in refused(workspace, "wrong-value")


def test_a_name_that_no_file_system_holds_is_refused(workspace: Workspace) -> None:
    workspace.write(SUMS.replace("sums.jsonl", "x" * 300 + ".jsonl"))
    assert "too long" in refused(workspace, "wrong-value")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a million columns, d.csv", "more than 16384 columns"),
        ("a million keys", "more than 16384 columns"),
        ("a column with a long name", "the header is longer than 1 MiB"),
        ("zstd of one row", "longer than 64 MiB"),
        ("data in .xz", "a suffix that is not known"),
    ],
)
def test_a_file_of_more_rows_or_columns_than_are_read_is_refused(
    name: str, said: str, tmp_path: Path
) -> None:
    bomb = among(bombs.tables(), name)
    ended = bombs.run(bomb, tmp_path)
    assert ended.code == 2 and said in ended.said, ended.said
    assert not ended.wrong(bomb)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Parquet of 20 million equal rows", "more than 16777216 rows"),
        ("Parquet of 2 million equal rows", "more than 1048576 values"),
        ("Parquet of a list of 3 million", "more than 1048576 values"),
        ("Parquet of a long text, often meant", "unpacks to more than 128 MiB"),
        ("Parquet of long texts inside", "unpacks to more than 128 MiB"),
        ("Parquet of zstd", "unpacks to more than 128 MiB"),
        ("Parquet of a long description", "describes its columns in more than 32 MiB"),
    ],
)
def test_a_parquet_file_is_weighed_before_it_is_unpacked(
    name: str, said: str, tmp_path: Path
) -> None:
    bomb = among(bombs.parquets(small=True), name)
    ended = bombs.run(bomb, tmp_path)
    assert ended.code == 2 and said in ended.said, ended.said
    assert not ended.wrong(bomb)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("5,000 unknown datasets of 5,000", "errors; 200 of them are shown"),
        ("one line of 3 MB with faults", "more than 50,000 values"),
        ("a spec of 5 MB", "is larger than 4 MiB"),
        ("a table 90 deep in a task", "nested too deeply"),
        ("a dotted key 300 deep", "nested too deeply"),
        ("a long unknown metric", "[unknown-metric]"),
    ],
)
def test_a_spec_that_is_long_or_deep_has_a_diagnostic(name: str, said: str, tmp_path: Path) -> None:
    bomb = among(bombs.texts(), name)
    ended = bombs.run(bomb, tmp_path)
    assert ended.code == 2 and said in ended.said + ended.end, ended.said
    assert not ended.wrong(bomb)


@pytest.mark.parametrize("name", [name for name in CALLS if "glob" in name])
def test_a_glob_does_not_go_back(name: str, tmp_path: Path) -> None:
    ended = bombs.run(CALLS[name], tmp_path)
    assert (ended.code, ended.said.strip()) == (0, "False")
    assert not ended.wrong(CALLS[name])


@pytest.mark.parametrize("given", ["a." * 300 + "b=1", "tasks.sums.seed=" + "9" * 5000])
def test_an_override_that_is_deep_or_long_has_a_diagnostic(
    workspace: Workspace, given: str
) -> None:
    workspace.write(SUMS)
    workspace.rows("sums.jsonl", sum_rows(2))
    done = workspace.call("check", "--set", given)
    assert (done.code, "internal error" in done.err) == (2, False)


PRODUCTS = {
    "choices of a template times rows": "offer fewer choices",
    "choices of a list times rows": "cases times 20000 choices are more requests",
    "repeats times rows": "cases times 10000 repeats are more requests",
    "tasks times rows": "all tasks and models together ask for more requests",
    "models times rows": "all tasks and models together ask for more requests",
    "choices of a template, written": "take more work than a plan over 20000 rows may",
    "tasks times bytes": "take more work than a plan over 5 rows may",
    "examples of every case": 'set `select = "random"`',
    "examples of every case, few of many": "it takes 1600000000 keys",
    "long examples times rows": "[too-much-work]",
    "work on every row": "[too-much-work]",
    "work on every row, which fails": "1 // 0",
    "work on the id of every row": "`where` and `id` of all datasets take more work",
    "filters of many datasets": "`where` and `id` of all datasets take more work",
    "long examples but its own": "[too-much-work]",
    "long examples but its own, encoded": "[too-much-work]",
    "stops times repeats": "has 4000 values; it may have at most 64",
    "slices times rows": "[too-much-work]",
    "a prompt of 16 MB": "[context-too-long]",
    "49,000 unknown tables": "49000 errors; 200 of them are shown",
    "12,000 tasks with faults": "errors; 200 of them are shown",
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_what_is_large_only_as_a_product_has_a_diagnostic(name: str, tmp_path: Path) -> None:
    bomb = among(bombs.products(), name)
    ended = bombs.run(bomb, tmp_path)
    assert PRODUCTS[name] in ended.said + ended.end, ended.said
    assert "hint: " in ended.said + ended.end and "spec.toml:" in ended.said
    assert ended.code == 2 and ended.megabytes < bombs.MEGABYTES, ended


@pytest.mark.parametrize("name", ["wide rows, CSV", "wide rows, JSON"])
def test_wide_rows_are_read(name: str, tmp_path: Path) -> None:
    bomb = among(bombs.products(), name)
    ended = bombs.run(bomb, tmp_path)
    assert ended.code == 0, ended.said
    assert ended.megabytes < bombs.MEGABYTES, ended


def test_examples_of_every_case_are_drawn_where_there_are_as_many_rows_as_in_mmlu(
    workspace: Workspace,
) -> None:
    shots = "{ dataset = 'sums', k = 5, select = 'per_case', template = '{{ question }}\\n' }"
    workspace.write(SUMS.replace("generate =", f"fewshot = {shots}\ngenerate ="))
    workspace.rows("sums.jsonl", sum_rows(14_042))
    done = workspace.call("check")
    assert done.code == 0, done.err


def test_windows_of_a_text_have_a_bound(workspace: Workspace) -> None:
    workspace.write(
        "max_length = 1\n[datasets.d]\npath = 'd.jsonl'\n"
        "[tasks.t]\ndataset = 'd'\ntype = 'perplexity'\nprompt = '{{ q }}'\n"
        "metrics = ['word_perplexity']\n"
    )
    workspace.rows("d.jsonl", [{"q": "a " * 2_500_000}])
    done = workspace.call("plan", "specs")
    assert done.code == 2, done.out
    assert "scored in windows of `max_length` tokens" in done.err
    assert "raise `max_length`" in done.err


def test_a_plan_of_many_requests_is_made_where_there_are_rows_for_them(
    workspace: Workspace,
) -> None:
    """Sixty tasks with four choices each over one file: less than what is bounded."""
    head, _, task = QUIZ.partition("[tasks.quiz]")
    workspace.write(head + "".join(f"[tasks.quiz{n}]{task}" for n in range(60)))
    workspace.rows("quiz.jsonl", quiz_rows(300))
    done = workspace.call("plan", "specs", "--json")
    assert done.code == 0, done.err
    assert done.json["total"]["requests"] == 60 * 300 * 4
