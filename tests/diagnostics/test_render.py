from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalc.diagnostics import Diagnostic, Place, Span, render


def at(path: Path, word: str) -> Place:
    start = path.read_bytes().index(word.encode())
    return Place(path, Span(start, start + len(word.encode())))


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_bytes('evalc = 1\n\tkéy = "数学 x" # tail\n'.encode())
    return path


def test_a_code_outside_the_catalogue_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="catalogue"):
        Diagnostic("no-such-code", "message")


def test_nothing_renders_as_nothing() -> None:
    assert render([]) == ""
    assert render([], "github") == render([], "line") == ""


def test_the_caret_stands_below_the_word_after_tabs_and_wide_characters(spec: Path) -> None:
    text = render([Diagnostic("wrong-value", "no", at(spec, "x"))], root=spec.parent)
    source, caret = text.splitlines()[3:5]
    shown = source.replace("数学", "####")
    assert shown.index("x") == caret.index("^")
    assert caret.count("^") == 1


def test_columns_count_characters_not_bytes_or_cells(spec: Path) -> None:
    text = render([Diagnostic("wrong-value", "no", at(spec, "x"))], "line", root=spec.parent)
    assert text.startswith("spec.toml:2:12: error[wrong-value]: no")


def test_a_wide_word_has_two_carets_a_character(spec: Path) -> None:
    text = render([Diagnostic("wrong-value", "no", at(spec, "数学"))])
    assert text.splitlines()[4].count("^") == 4


def test_related_places_notes_and_hint_follow(spec: Path) -> None:
    found = Diagnostic(
        "duplicate-name",
        "twice",
        at(spec, "kéy"),
        notes=("one\ntwo",),
        hint="rename it",
        related=((at(spec, "evalc"), "first here"),),
    )
    lines = render([found], root=spec.parent).splitlines()
    assert lines[5] == " ::: spec.toml:1:1"
    assert lines[8] == "  | ^^^^^ first here"
    assert lines[9:12] == ["  = note: one", "          two", "  = hint: rename it"]


def test_a_place_with_only_a_line_shows_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"a": 1}\n{"a": \n')
    text = render([Diagnostic("wrong-value", "no", Place(rows, line=2))], root=tmp_path)
    assert text.splitlines()[1:4] == [" --> rows.jsonl:2", "  |", '2 | {"a":']


@pytest.mark.parametrize("content", [b"\0\1\2", b""])
def test_a_file_that_is_no_text_or_is_too_short_is_only_named(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    text = render([Diagnostic("wrong-value", "no", Place(path, line=1))], root=tmp_path)
    assert text.splitlines()[1] == " --> weights.bin:1"


def test_a_file_that_is_not_there_is_only_named(tmp_path: Path) -> None:
    place = Place(tmp_path / "gone.toml", Span(3, 5))
    assert "--> gone.toml\n" in render([Diagnostic("wrong-value", "no", place)], root=tmp_path)


def test_a_file_outside_the_root_keeps_its_path(spec: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    text = render([Diagnostic("wrong-value", "no", at(spec, "x"))], "line", root=inner)
    assert text.startswith(spec.as_posix())


def test_a_span_at_the_end_of_the_file_has_one_caret(spec: Path) -> None:
    size = len(spec.read_bytes())
    text = render([Diagnostic("toml-syntax", "no", Place(spec, Span(size - 1, size)))])
    assert text.splitlines()[4].count("^") == 1


def test_errors_and_warnings_are_counted_at_the_end() -> None:
    warning = Diagnostic("wrong-value", "no", severity="warning")
    text = render([Diagnostic("wrong-value", "no"), Diagnostic("wrong-value", "no"), warning])
    assert text.endswith("\n\n2 errors, 1 warning\n")


def test_color_changes_no_words(spec: Path) -> None:
    found = [Diagnostic("wrong-value", "no", at(spec, "x"), hint="yes")]
    colored = render(found, color=True)
    plain = colored
    for code in ("0m", "1;31m", "1;33m", "1;34m", "1m", "1;36m"):
        plain = plain.replace(f"\x1b[{code}", "")
    assert colored != plain == render(found)


def test_json_carries_every_part_and_a_version(spec: Path) -> None:
    found = Diagnostic("wrong-value", "no", at(spec, "x"), notes=("n",), hint="h")
    document = json.loads(render([found], "json", root=spec.parent))
    assert document["schema"] == "evalc.diagnostics/1"
    assert (document["errors"], document["warnings"]) == (1, 0)
    (record,) = document["diagnostics"]
    assert record["place"] == {
        "file": "spec.toml",
        "line": 2,
        "column": 12,
        "end_line": 2,
        "end_column": 13,
        "span": [26, 27],
    }
    assert (record["notes"], record["hint"], record["related"]) == (["n"], "h", [])


def test_github_annotations_escape_what_github_reads(tmp_path: Path) -> None:
    path = tmp_path / "a,b.toml"
    path.write_text("x = 1\n")
    found = Diagnostic("wrong-value", "100%\nno", Place(path, Span(0, 1)), hint="yes")
    assert render([found], "github", root=tmp_path) == (
        "::error file=a%2Cb.toml,line=1,col=1,endLine=1,endColumn=1,title=evalc%3A wrong-value"
        "::100%25%0Ano%0Ahint: yes\n"
    )


def test_a_command_line_is_no_file_of_an_annotation() -> None:
    place = Place(Path("<command line>"), Span(6, 7), text="--set x=1")
    text = render([Diagnostic("bad-set", "no", place)], "github")
    assert text == "::error title=evalc%3A bad-set::no\n"
    assert "--set x=1\n  |       ^" in render([Diagnostic("bad-set", "no", place)])
