"""Data and references arrive as they stand in their files, or are refused by name."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import json
import uuid
from typing import Any

import pytest

from workspaces import Workspace

SAY = """
[tasks.t]
dataset  = "d"
type     = "generate"
prompt   = "{{ x }}"
target   = "{{ y | default('1') }}"
generate = { max_new_tokens = 1 }
metrics  = ["exact_match"]
"""
PICK = """
[tasks.t]
dataset = "d"
type    = "multiple_choice"
prompt  = "{{ q }}"
choices = "{{ choices }}"
target  = "{{ target }}"
metrics = ["acc"]
"""


def put(workspace: Workspace, name: str, content: bytes | str, task: str, more: str = "") -> None:
    workspace.write(f'[datasets.d]\npath = "{name}"\n{more}\n', task)
    data = content.encode() if isinstance(content, str) else content
    (workspace.specs / name).write_bytes(data)


def prompts(workspace: Workspace) -> list[str]:
    planned = workspace.planned()
    count = len(planned.cell(0)["case_ids"])
    return [planned.case(0, case)["prompt"] for case in range(count)]


def refused(workspace: Workspace, *phrases: str) -> None:
    done = workspace.call("plan", "specs")
    assert done.code == 2, done.text
    for phrase in phrases:
        assert phrase in done.err, done.err


def parquet(column: Any, **others: Any) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    sink = io.BytesIO()
    files.write_table(arrow.table({"x": column, **others}), sink)
    return sink.getvalue()


def arrow(values: Any, kind: Any = None, *more: Any) -> Any:
    found = pytest.importorskip("pyarrow")
    return found.array(values, None if kind is None else getattr(found, kind)(*more))


def nested(values: Any, build: Any) -> Any:
    return pytest.importorskip("pyarrow").array(values, build(pytest.importorskip("pyarrow")))


WHEN = datetime.datetime(2024, 1, 31, 12, 30, 5, tzinfo=datetime.timezone.utc)
ARROW: dict[str, tuple[Any, str]] = {
    "binary": (lambda: arrow([b"hello"], "binary"), "hello"),
    "large_binary": (lambda: arrow(["é".encode()], "large_binary"), "é"),
    "fixed_binary": (lambda: arrow([b"abc"], "binary", 3), "abc"),
    "binary_in_a_list": (lambda: nested([[b"a", b"b"]], lambda pa: pa.list_(pa.binary())),
                         "['a', 'b']"),
    "binary_in_a_struct": (lambda: nested([{"k": b"a"}],
                                          lambda pa: pa.struct([("k", pa.binary())])),
                           "{'k': 'a'}"),
    "dictionary": (lambda: arrow(["a"]).dictionary_encode(), "a"),
    "float32": (lambda: arrow([0.1], "float32"), "0.1"),
    "float32_in_a_list": (lambda: nested([[0.1, None]], lambda pa: pa.list_(pa.float32())),
                          "[0.1, None]"),
    "float16": (lambda: arrow([65504.0], "float16"), "65504.0"),
    "float16_short": (lambda: arrow([0.1], "float16"), "0.1"),
    "float32_whole": (lambda: arrow([123456792.0], "float32"), "123456792.0"),
    "float64": (lambda: arrow([0.1], "float64"), "0.1"),
    "int64": (lambda: arrow([2**63 - 1], "int64"), str(2**63 - 1)),
    "uint64": (lambda: arrow([2**64 - 1], "uint64"), str(2**64 - 1)),
    "decimal": (lambda: arrow([decimal.Decimal("0.00000010")], "decimal128", 10, 8), "0.00000010"),
    "date": (lambda: arrow([WHEN.date()], "date32"), "2024-01-31"),
    "seconds": (lambda: arrow([WHEN], "timestamp", "ms", "UTC"), "2024-01-31 12:30:05+00:00"),
    "nanoseconds": (lambda: arrow([1_000_000_001], "timestamp", "ns"),
                    "1970-01-01 00:00:01.000000001"),
    "nanoseconds_of_a_zone": (lambda: arrow([1], "timestamp", "ns", "+01:00"),
                              "1970-01-01 01:00:00.000000001+01:00"),
    "time_of_day": (lambda: arrow([1], "time64", "ns"), "00:00:00.000000001"),
    "null": (lambda: arrow([None], "null"), "None"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARROW)
def test_every_arrow_type_prints_as_it_was_meant(workspace: Workspace, kind: str) -> None:
    """I33: `binary` was printed as `b'hello'`; so are other types changed on the way in."""
    made, expected = ARROW[kind]
    put(workspace, "d.parquet", parquet(made()), SAY)
    assert prompts(workspace) == [expected]


def test_an_extension_type_prints_its_own_value(workspace: Workspace) -> None:
    """I33: a uuid is its text."""
    pa = pytest.importorskip("pyarrow")
    one = uuid.UUID(int=7)
    put(workspace, "d.parquet", parquet(pa.array([one.bytes], pa.uuid())), SAY)
    assert prompts(workspace) == [str(one)]


UNSAYABLE: dict[str, Any] = {
    "bytes_that_are_no_text": lambda: arrow([b"ok", b"\xff\xfe"], "binary"),
    "nested_bytes": lambda: nested([[b"ok"], [b"\xff"]], lambda pa: pa.list_(pa.binary())),
    "not_a_number": lambda: arrow([0.5, float("nan")]),
    "infinity": lambda: arrow([0.5, float("inf")], "float32"),
    "a_year_beyond_9999": lambda: arrow([0, 2**60], "timestamp", "ms"),
}


@pytest.mark.parametrize("kind", UNSAYABLE)
def test_a_value_that_cannot_be_said_refuses_who_reads_it_and_nobody_else(
    workspace: Workspace, kind: str
) -> None:
    """I33: NaN was asked as `None`, bytes as their `repr`."""
    content = parquet(UNSAYABLE[kind](), q=["a", "b"])
    put(workspace, "d.parquet", content, SAY)
    what = "an infinity" if kind == "infinity" else "NaN"
    refused(workspace, f"the row on line 2 has {what} in `x`", "cannot be printed", "d.parquet:2")
    put(workspace, "d.parquet", content, SAY.replace("{{ x }}", "{{ q }}"))
    assert prompts(workspace) == ["a", "b"]


def test_two_columns_of_one_name_are_refused_in_every_format(workspace: Workspace) -> None:
    """I33: a repeated header kept the last column."""
    put(workspace, "d.csv", "x,y,x\n1,2,3\n", SAY)
    refused(workspace, "two columns `x`", "d.csv:1")
    put(workspace, "d.tsv", "x\tx\n1\t2\n", SAY)
    refused(workspace, "two columns `x`")
    put(workspace, "d.jsonl", '{"x": 1}\n{"x": 1, "x": 2}\n', SAY)
    refused(workspace, "repeats the key `x`", "d.jsonl:2")
    put(workspace, "d.jsonl", '{"x": {"a": 1, "a": 2}}\n', SAY)
    refused(workspace, "repeats the key `a`")
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])
    files.write_table(table, workspace.specs / "d.parquet")
    workspace.write('[datasets.d]\npath = "d.parquet"\n', SAY)
    refused(workspace, "two columns `x`")


def test_columns_without_a_name_are_no_columns(workspace: Workspace) -> None:
    """I33: what spreadsheets leave at the end of lines hurts nobody."""
    put(workspace, "d.csv", "x,,\na,,\n", SAY)
    assert prompts(workspace) == ["a"]


QUOTES = ['"open', 'closed"', 'said "no" to', '"said" he', '"', "plain", '"whole"']


def test_a_tab_separated_file_knows_no_quotes(workspace: Workspace) -> None:
    """I33: an unbalanced quote merged rows."""
    put(workspace, "d.tsv", "".join(f"{text}\n" for text in ["x", *QUOTES]), SAY)
    assert prompts(workspace) == QUOTES
    put(workspace, "d.tsv", "x\ty\n" + "".join(f"{text}\t1\n" for text in QUOTES[:2]), SAY)
    assert prompts(workspace) == QUOTES[:2]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_tab_separated_file_that_was_written_with_quotes_is_read_with_them(
    workspace: Workspace, quoting: int
) -> None:
    """I33: what only a program that quotes writes is known, and asks what it asked."""
    text = io.StringIO()
    out = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=quoting)
    out.writerows([["x", "y"], *([text, "1"] for text in (*QUOTES, "a\ttab", "two\nlines"))])
    put(workspace, "d.tsv", text.getvalue(), SAY)
    assert prompts(workspace) == [*QUOTES, "a\ttab", "two\nlines"]


def test_quotes_are_what_the_dataset_says(workspace: Workspace) -> None:
    """I33: `quote` settles it for both formats, and another reading is no old memo's."""
    put(workspace, "d.tsv", 'x\ty\n"a"\t1\n', SAY)
    assert prompts(workspace) == ['"a"']
    put(workspace, "d.tsv", 'x\ty\n"a"\t1\n', SAY, 'quote = "\\""')
    assert prompts(workspace) == ["a"]
    put(workspace, "d.csv", "x,y\n'a,b',1\n", SAY, 'quote = "\'"')
    assert prompts(workspace) == ["a,b"]
    put(workspace, "d.csv", 'x,y\n"a,1\n"b",1\n', SAY, 'quote = ""')
    assert prompts(workspace) == ['"a', '"b"']


def test_quotes_that_enclose_nothing_whole_are_refused_where_they_enclose(
    workspace: Workspace,
) -> None:
    """I33: an unbalanced quote at the end of a CSV file took the rest for one field."""
    for content, line in [('x,y\na,1\n"b,1\nc,1\n', 3), ('x,y\n"a"b,1\n', 2)]:
        put(workspace, "d.csv", content, SAY)
        refused(workspace, "quote", f"d.csv:{line}")
    put(workspace, "d.tsv", 'x\ty\n"a\t1\n', SAY, 'quote = "\\""')
    refused(workspace, "never closed")


def test_a_null_choice_or_reference_is_not_asked_as_the_text_none(workspace: Workspace) -> None:
    """I33: null inside `choices` was asked as `None`."""
    row = {"q": "Q", "choices": ["None", None], "target": 0, "a": "a", "b": None}
    lines = json.dumps(row) + "\n"
    put(workspace, "d.jsonl", lines, PICK)
    refused(workspace, "choice 1 of a case is null", "d.jsonl:1")
    for choices in ('["{{ a }}", "{{ b }}"]', '["{{ a }}", "B. {{ b }}"]', '"{{ [a, b] }}"'):
        put(workspace, "d.jsonl", lines, PICK.replace('"{{ choices }}"', choices))
        refused(workspace, "choice 1 of a case is null")
    fine = PICK.replace('"{{ choices }}"', '["{{ a }}", "None"]')
    put(workspace, "d.jsonl", lines, fine)
    assert workspace.planned().case(0, 0)["choices"] == ["a", "None"]
    put(workspace, "d.jsonl", lines, fine.replace('"{{ target }}"', '"{{ b }}"'))
    refused(workspace, "the target is null")
    put(workspace, "d.jsonl", '{"x": "a", "y": null}\n', SAY.replace(" | default('1')", ""))
    refused(workspace, "the target is null", "d.jsonl:1")
    put(workspace, "d.jsonl", '{"x": "a", "y": null}\n', SAY, 'id = "{{ y }}"')
    refused(workspace, "`id` is null", "bad-id")


def test_numbers_beyond_64_bits_are_not_rounded(workspace: Workspace) -> None:
    """I33: 2^64 was asked as 1.8446744073709552e+19."""
    rows = f'{{"x": {2**64 - 1}, "n": 1}}\n{{"x": {2**64}, "n": 2}}\n'
    put(workspace, "d.jsonl", rows, SAY)
    refused(workspace, "the row on line 2 has an integer beyond 64 bits in `x`")
    put(workspace, "d.jsonl", rows, SAY.replace("{{ x }}", "{{ n }}"))
    assert prompts(workspace) == ["1", "2"]
    put(workspace, "d.jsonl", f'{{"x": {2**64 - 1}}}\n', SAY)
    assert prompts(workspace) == [str(2**64 - 1)]


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ("NaN", "NaN"),
        ("[1, -Infinity]", "an infinity"),
        (str(2**64), "an integer beyond 64 bits"),
    ],
)
@pytest.mark.parametrize(
    "prompt",
    ["{{ x | default('none') }}", "{{ x is defined }}", "{% if x is defined %}a{% endif %}"],
)
def test_default_hides_no_number_that_cannot_be_printed(
    workspace: Workspace, number: str, what: str, prompt: str
) -> None:
    """The column of such a number was taken for absent, and `default` spoke for it."""
    rows = f'{{"x": 1, "n": 1}}\n{{"x": {number}, "n": 2}}\n'
    put(workspace, "d.jsonl", rows, SAY.replace("{{ x }}", prompt))
    refused(workspace, f"the row on line 2 has {what} in `x`")
    put(workspace, "d.jsonl", rows, SAY, f'where = "{prompt}"')
    refused(workspace, f"the row on line 2 has {what} in `x`")
    put(workspace, "d.jsonl", rows, SAY.replace("{{ x }}", "{{ n }}"))
    assert prompts(workspace) == ["1", "2"]
    assert workspace.planned().case(0, 1)["row"] == {"n": 2}


def test_a_row_keeps_its_id_beside_a_number_that_cannot_be_printed(workspace: Workspace) -> None:
    """The id of a row is the hash of what can be read of it."""
    ids = []
    for row in ('{"n": 2}', '{"x": NaN, "n": 2}'):
        put(workspace, "d.jsonl", row + "\n", SAY.replace("{{ x }}", "{{ n }}"))
        ids.append(workspace.planned().cell(0)["case_ids"])
    assert ids[0] == ids[1]


def test_white_space_of_a_target_is_part_of_it(workspace: Workspace) -> None:
    """I34: `" {{ t }}"` lost its space even with `strip = false`."""
    task = SAY.replace("{{ y | default('1') }}", " {{ y }}")
    put(workspace, "d.jsonl", '{"x": "a", "y": "4"}\n{"x": "a", "y": 4}\n', task)
    assert workspace.planned().cell(0)["targets"] == ['" 4"', '" 4"']
    put(workspace, "d.jsonl", '{"x": "a", "y": ["4", "5"]}\n', task)
    assert workspace.planned().cell(0)["targets"] == ['["4","5"]']


def test_a_target_that_is_two_things_is_told(workspace: Workspace) -> None:
    """I34: `"2"` is the text of one choice and the index of another."""
    row = {"q": "Q", "choices": ["3", "4", "1", "2"], "target": "2"}
    lines = json.dumps({**row, "target": "9"}).replace('"9"', '"4"') + "\n" + json.dumps(row) + "\n"
    put(workspace, "d.jsonl", lines, PICK)
    assert workspace.planned().cell(0)["targets"] == ["1", "3"]
    for command in ("check", "plan"):
        done = workspace.call(command, "specs")
        assert done.code == 0
        assert "the text of one choice and the index of another" in done.text
        assert "| int" in done.text
    assert "d.jsonl:2" in workspace.call("check", "specs").text
    put(workspace, "d.jsonl", lines, PICK.replace("{{ target }}", "{{ choices.index(target) }}"))
    assert workspace.planned().cell(0)["targets"] == ["1", "3"]
    assert "unsure-target" not in workspace.call("check", "specs").text


@pytest.mark.parametrize(
    ("choices", "target", "index"),
    [
        (["1", "2"], 1, "1"),
        (["yes", "no"], True, "1"),
        (["True", "False"], False, "0"),
    ],
)
def test_an_index_that_says_another_choice_is_told(
    workspace: Workspace, choices: list[str], target: int, index: str
) -> None:
    put(workspace, "d.jsonl", json.dumps({"q": "Q", "choices": choices, "target": target}), PICK)
    assert workspace.planned().cell(0)["targets"] == [index]
    for command in ("check", "plan"):
        done = workspace.call(command, "specs")
        assert done.code == 0
        assert "the target of 1 case is the index of one choice and says what another" in done.text
    settled = PICK.replace("{{ target }}", "{{ target | int }}")
    put(workspace, "d.jsonl", json.dumps({"q": "Q", "choices": choices, "target": target}), settled)
    assert workspace.planned().cell(0)["targets"] == [index]
    assert "what another" not in workspace.call("check", "specs").text


@pytest.mark.parametrize("written", ["1", '"{{ 1 }}"'])
def test_what_settles_a_target_that_is_a_number_of_the_spec_is_a_text(
    workspace: Workspace, written: str
) -> None:
    """The hint said `| int`, which cannot be put behind a number of TOML."""
    row = {"q": "Q", "choices": ["1", "2"]}
    spec = PICK.replace('"{{ target }}"', written)
    put(workspace, "d.jsonl", json.dumps(row), spec)
    hint = 'target = "{{ 1 | int }}"'
    assert f"write `{hint}` for the index" in workspace.call("check", "specs").text
    put(
        workspace,
        "d.jsonl",
        json.dumps(row),
        PICK.replace('"{{ target }}"', hint.partition("= ")[2]),
    )
    done = workspace.call("check", "specs")
    assert (done.code, "unsure-target" in done.text) == (0, False)


def test_an_index_that_is_one_in_other_rows_is_not_told(workspace: Workspace) -> None:
    """Numeric choices of some rows do not make an index doubtful that is no text in others."""
    rows = [
        {"q": "2 - 1", "choices": ["1", "0", "7", "9"], "target": 0},
        {"q": "which", "choices": ["a", "b", "c", "d"], "target": 3},
        {"q": "sure", "choices": ["no", "yes"], "target": True},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    put(workspace, "d.jsonl", lines, PICK)
    for command in ("check", "plan"):
        assert "what another" not in workspace.call(command, "specs").text


def test_labels_are_zeros_and_ones(workspace: Workspace) -> None:
    """I34: the texts `"0"` and `"1"` both counted as right."""
    for labels in (["0", "1"], [0, 2], ["a", "b"]):
        row = {"q": "Q", "choices": ["a", "b"], "target": labels}
        put(workspace, "d.jsonl", json.dumps(row) + "\n", PICK)
        refused(workspace, "is neither 0 nor 1")
    row = {"q": "Q", "choices": ["a", "b", "c"], "target": [0.0, True, 1]}
    put(workspace, "d.jsonl", json.dumps(row) + "\n", PICK)
    assert workspace.planned().cell(0)["targets"] == ["[0,1,1]"]


def test_a_compressed_file_says_the_same(workspace: Workspace) -> None:
    """I33: forms that agree still ask the same."""
    plain = "x,y\n1,2\n"
    put(workspace, "d.csv.gz", gzip.compress(plain.encode()), SAY)
    assert prompts(workspace) == ["1"]
