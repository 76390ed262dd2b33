"""The same rows in any format ask the same."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest

from tiny_models import write_rows
from workspaces import Workspace

TASK = """
[tasks.t]
dataset = "d"
type    = "multiple_choice"
prompt  = "{{ q }}"
choices = ["{{ a }}", "{{ b }}"]
target  = "{{ right }}"
metrics = ["acc"]
"""
ROWS = [
    {"q": "plain", "a": "x", "b": "y", "right": "0"},
    {"q": 'has "quotes", commas', "a": "é日本", "b": "two\nlines", "right": "1"},
    {"q": "a tab\tinside ", "a": "1", "b": "", "right": "0"},
]


def delimited(delimiter: str, end: str = "\n") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ROWS[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def lines(end: str = "\n") -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in ROWS).encode()


def zstandard(content: bytes) -> bytes:
    library = pytest.importorskip("zstandard")
    compressed: bytes = library.ZstdCompressor().compress(content)
    return compressed


def parquet() -> bytes:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    sink = io.BytesIO()
    files.write_table(arrow.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


FORMS = {
    "d.csv": lambda: delimited(","),
    "d.tsv": lambda: delimited("\t"),
    "d.ndjson": lines,
    "d.json": lines,
    "d.jsonl.gz": lambda: gzip.compress(lines()),
    "d.csv.gz": lambda: gzip.compress(delimited(",")[:40]) + gzip.compress(delimited(",")[40:]),
    "d.jsonl.zst": lambda: zstandard(lines()),
    "d.parquet": parquet,
    "windows.jsonl": lambda: lines("\r\n"),
    "windows.csv": lambda: delimited(",", "\r\n"),
    "marked.jsonl": lambda: b"\xef\xbb\xbf" + lines(),
    "marked.csv": lambda: b"\xef\xbb\xbf" + delimited(","),
    "blank-lines.jsonl": lambda: b"\n" + lines("\n\n  \n"),
    "no-last-line-end.jsonl": lambda: lines().rstrip(b"\n"),
    "Shouting.JSONL": lines,
    "two.dots.tsv": lambda: delimited("\t"),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_the_same_rows_asks_the_same(workspace: Workspace, name: str) -> None:
    write_rows(workspace.root / "specs" / "d.jsonl", ROWS)
    workspace.write('[datasets.d]\npath = "d.jsonl"\n', TASK)
    expected = workspace.planned()
    (workspace.specs / name).write_bytes(FORMS[name]())
    workspace.write(f'[datasets.d]\npath = "{name}"\n', TASK)
    found = workspace.planned()
    assert found.keys == expected.keys
    assert found.cell(0)["targets"] == expected.cell(0)["targets"] == ["0", "1", "0"]
    assert found.cell(0)["case_ids"] == expected.cell(0)["case_ids"]


def test_parquet_is_read_once_and_kept_by_content(workspace: Workspace) -> None:
    path = workspace.write('[datasets.d]\npath = "d.parquet"\n', TASK).parent / "d.parquet"
    path.write_bytes(parquet())
    first = workspace.planned().keys
    (snapshot,) = (workspace.cache / "snapshots").glob("*.jsonl")
    stamp = snapshot.stat()
    path.rename(path.with_name("renamed.parquet"))
    workspace.write('[datasets.d]\npath = "renamed.parquet"\n', TASK)
    assert workspace.planned().keys == first
    kept = (workspace.cache / "snapshots").glob("*.jsonl")
    assert [entry.stat() for entry in kept] == [stamp]


def test_an_error_in_a_converted_file_names_the_file_that_the_user_knows(
    workspace: Workspace,
) -> None:
    bad = TASK.replace("{{ q }}", "{{ q }}{{ right.missing.deep }}")
    path = workspace.write('[datasets.d]\npath = "d.parquet"\n', bad).parent / "d.parquet"
    path.write_bytes(parquet())
    done = workspace.call("plan", "specs")
    assert done.code == 2
    assert "d.parquet" in done.err
    assert "snapshots" not in done.text


PREPARE = """
def double(rows):
    return [{**row, "q": row["q"] * 2} for row in rows]
"""


def test_prepared_rows_are_what_is_asked(workspace: Workspace) -> None:
    write_rows(workspace.specs / "d.jsonl", ROWS)
    (workspace.specs / "doubling.py").write_text(PREPARE)
    data = '[datasets.d]\npath = "d.jsonl"\nprepare = "doubling:double"\n'
    workspace.write(data, TASK)
    found = workspace.planned()
    assert found.case(0, 0)["prompt"] == "plainplain"
    write_rows(workspace.specs / "d.jsonl", [{**row, "q": row["q"] * 2} for row in ROWS])
    workspace.write('[datasets.d]\npath = "d.jsonl"\n', TASK)
    assert workspace.planned().keys == found.keys
