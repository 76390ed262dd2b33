"""Data that is not what it should be: placed by file and line, and nothing runs."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable

import pytest
from test_bad_specs import refused

from evalc.plan import ir
from workspaces import QUIZ, Workspace, quiz_rows

LINE = '{{"question": "Q {}", "choices": ["a", "b"], "answer": 0}}\n'
GOOD = "".join(LINE.format(n) for n in range(4))
CSV = "question,choices,answer\nx,y,0\n"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.fixture
def data(workspace: Workspace) -> Callable[[str, str | bytes], Workspace]:
    """A spec whose dataset is one file of this name and content."""

    def write(name: str, content: str | bytes) -> Workspace:
        path = workspace.write(QUIZ.replace("quiz.jsonl", name)).parent / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return workspace

    return write


@pytest.mark.parametrize(
    ("name", "content", "code", "phrase"),
    [
        ("d.jsonl", GOOD + '{"question": \n', "data-malformed", "d.jsonl:5"),
        ("d.jsonl", LINE.format(1) + "[1]\n", "data-malformed", "d.jsonl:2"),
        ("d.jsonl", GOOD.encode() + b'{"question": "\xff"}\n', "data-malformed", "d.jsonl:5"),
        ("d.jsonl", GOOD + GOOD.replace('"answer"', '"anwser"'), "missing-column", "d.jsonl:5"),
        ("d.jsonl", "", "data-empty", "no rows"),
        ("d.jsonl", "\n  \n", "data-empty", "no rows"),
        ("d.csv", "question,choices,answer\n", "data-empty", "no rows"),
        ("d.csv", CSV + "a,b\n", "data-malformed", "d.csv:3"),
        ("d.csv", CSV + "a,b,c,d\n", "data-malformed", "4 fields"),
        ("d.tsv", "question\tanswer\nx\ty\tz\n", "data-malformed", "d.tsv:2"),
        ("d.csv", CSV.encode() + b"\xff,b,c\n", "data-malformed", "UTF-8"),
        ("d.jsonl", LFS, "data-lfs-pointer", "git lfs pull"),
        (
            "d.jsonl.gz",
            gzip.compress(GOOD.encode() * 50, mtime=0)[:-20],
            "data-malformed",
            "decompress",
        ),
        ("d.jsonl.gz", GOOD, "data-malformed", "decompress"),
        ("d.jsonl.zst", GOOD, "data-malformed", "decompress"),
        ("d.parquet", GOOD, "bad-data", "Parquet"),
        ("d.parquet", b"", "bad-data", "Parquet"),
        (
            "d.jsonl",
            gzip.compress(GOOD.encode(), mtime=0),
            "data-malformed",
            "compressed with gzip",
        ),
        ("d.csv", CSV.encode("utf-16"), "data-malformed", "UTF-16"),
        ("d.jsonl", GOOD.encode("utf-16-le"), "data-malformed", "UTF-16"),
        ("d.json", b"PK\x03\x04", "data-malformed", "zip"),
        ("d.json", json.dumps({"data": [{"a": 1}]}, indent=1), "data-malformed", "list `data`"),
        ("d.json", '{"data": [{"question": "x"}]}', "undefined-variable", "list `data`"),
        ("d.json", "[1]", "data-malformed", "not an object"),
        ("d.jsonl", GOOD.encode() + b'{"q": "\xff"}\n', "data-malformed", "byte 8 of it is `0xff`"),
        ("d.jsonl", GOOD.replace(": 0", ": -1"), "bad-target", "`where`"),
        ("d.jsonl", GOOD.replace(": 0", ": 0.0"), "bad-target", "| int"),
        ("d.jsonl", GOOD.replace(": 0", ': "C"'), "bad-target", ".index"),
        ("d.jsonl", GOOD.replace(": 0", ": 2"), "bad-target", "label - 1"),
        ("d.xlsx", GOOD, "unknown-format", "d.xlsx"),
        ("d", GOOD, "unknown-format", ".jsonl"),
        ("d.gz", GOOD, "unknown-format", ".jsonl"),
    ],
)
def test_bad_data_is_placed_and_nothing_runs(
    data: Callable[[str, str | bytes], Workspace],
    name: str,
    content: str | bytes,
    code: str,
    phrase: str,
) -> None:
    said = refused(data(name, content), code)
    assert phrase in said


def test_a_json_list_and_a_nan_that_nobody_reads_ask_the_same(
    data: Callable[[str, str | bytes], Workspace],
) -> None:
    expected = data("d.jsonl", GOOD).planned().keys
    rows = [json.loads(line) for line in GOOD.splitlines()]
    for indent in (None, 2):
        assert data("d.json", json.dumps(rows, indent=indent)).planned().keys == expected
    unread = GOOD.replace("}", ', "x": [NaN, -Infinity]}')
    assert data("d.jsonl", unread).planned().keys == expected


def test_many_bad_rows_are_shown_as_a_few_and_a_count(
    data: Callable[[str, str | bytes], Workspace],
) -> None:
    said = refused(data("d.jsonl", GOOD + GOOD.replace('"answer"', '"x"') * 5), "missing-column")
    assert said.count("[missing-column]") == 1
    assert "d.jsonl:5" in said
    assert "20 rows are like this: lines 5, 6, 7, 8, 9 and 15 more" in said


def test_targets_with_one_fault_are_one_block(
    data: Callable[[str, str | bytes], Workspace],
) -> None:
    lines = "".join(LINE.format(n).replace(": 0", f": {n + 7}") for n in range(4))
    said = refused(data("d.jsonl", lines), "bad-target")
    assert said.count("[bad-target]") == 1
    assert "4 rows are like this: lines 1, 2, 3 and 4" in said
    assert "1 error\n" in said


def test_a_missing_file_is_told_with_a_like_one_beside_it(workspace: Workspace) -> None:
    workspace.write(QUIZ.replace("quiz.jsonl", "data/mcc.csv"))
    (workspace.specs / "data").mkdir()
    (workspace.specs / "data" / "mmc.csv").write_text(CSV)
    assert "did you mean `data/mmc.csv`?" in refused(workspace, "missing-data")
    (workspace.specs / "data").rename(workspace.specs / "date")
    assert "did you mean `date/mcc.csv`?" in refused(workspace, "missing-data")


def test_what_lies_beside_a_path_elsewhere_is_not_told(workspace: Workspace) -> None:
    (workspace.root.parent / "secrets.csv").write_text(CSV)
    path = workspace.root.parent / "secret.csv"
    workspace.write(QUIZ.replace("quiz.jsonl", str(path)))
    said = refused(workspace, "missing-data")
    assert "secrets.csv" not in said
    assert "relative to the spec file" in said


def test_a_missing_file_or_a_folder_in_its_place_is_named(workspace: Workspace) -> None:
    workspace.write(QUIZ)
    assert "does not exist" in refused(workspace, "missing-data")
    (workspace.specs / "quiz.jsonl").mkdir()
    assert "is a directory" in refused(workspace, "missing-data")


def test_a_file_that_vanishes_or_cannot_be_read_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads everything, so the planner is handed a path behind which nothing is."""
    workspace.quiz()
    real = ir.ingest.data_file
    gone = workspace.root / "gone.jsonl"

    def elsewhere(*arguments: object) -> object:
        file = real(*arguments)
        return type(file)(gone, file.format, file.compression)

    monkeypatch.setattr(ir.ingest, "data_file", elsewhere)
    refused(workspace, "data-unreadable")


def test_two_rows_with_one_id_show_both_lines(workspace: Workspace) -> None:
    workspace.write(QUIZ.replace("[tasks", 'id = "{{ answer }}"\n[tasks', 1))
    workspace.rows("quiz.jsonl", quiz_rows(6))
    assert "lines 1 and 5" in refused(workspace, "duplicate-id")


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ('where = "{{ answer > 10 }}"', "data-empty"),
        ('rows = "50:60"', "data-empty"),
        ('where = "{{ nothing }}"', "missing-column"),
        ('id = "{{ answer.x.y }}"', "missing-column"),
        ('id = "{{ 1 // 0 }}"', "template-failed"),
        ('where = "{{ answer >"', "template-syntax"),
    ],
)
def test_a_filter_that_fits_no_row_is_refused(workspace: Workspace, extra: str, code: str) -> None:
    workspace.write(QUIZ.replace("[tasks", f"{extra}\n[tasks", 1))
    workspace.rows("quiz.jsonl", quiz_rows(6))
    refused(workspace, code)


@pytest.mark.parametrize(
    ("source", "code", "phrase"),
    [
        ("def make(rows):\n    raise KeyError('x')\n", "prepare-failed", "KeyError"),
        ("def make(rows):\n    return 3\n", "prepare-failed", "not rows"),
        ("def make(rows):\n    return []\n", "data-empty", "no rows"),
        ("def other(rows):\n    return rows\n", "unknown-hook", "make"),
        ("import absent_one\ndef make(rows):\n    return 1\n", "unknown-hook", "absent_one"),
        ("def make(rows:\n", "unknown-hook", "SyntaxError"),
    ],
)
def test_a_prepare_function_that_fails_is_named(
    workspace: Workspace, source: str, code: str, phrase: str, request: pytest.FixtureRequest
) -> None:
    module = f"prepare_{abs(hash(request.node.name))}"
    workspace.write(QUIZ.replace("[tasks", f'prepare = "{module}:make"\n[tasks', 1))
    workspace.rows("quiz.jsonl", quiz_rows(6))
    (workspace.specs / f"{module}.py").write_text(source)
    if code == "prepare-failed" or phrase == "absent_one":
        done = workspace.call("plan", "specs")
        assert (done.code, phrase in done.err) == (7, True), done.text
        assert f"error[{code}]" in done.err
        return
    assert phrase in refused(workspace, code)


def test_a_parquet_file_without_pyarrow_says_what_to_install(
    data: Callable[[str, str | bytes], Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = data("d.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "evalc[data]" in refused(workspace, "needs-pyarrow")


def test_a_text_with_no_tokens_is_refused(workspace: Workspace) -> None:
    workspace.write(
        '[datasets.t]\npath = "t.jsonl"\n'
        '[tasks.t]\ndataset = "t"\ntype = "perplexity"\nprompt = "{{ text }}"\n'
        'metrics = ["word_perplexity"]\n'
    )
    workspace.rows("t.jsonl", [{"text": "the"}, {"text": ""}])
    assert "t.jsonl:2" in refused(workspace, "empty-continuation")
