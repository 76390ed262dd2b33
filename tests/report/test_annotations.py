"""Verdicts as GitHub's workflow commands."""

from __future__ import annotations

from pathlib import Path

from reports import gate, judged_report, quiz

from evalc.diagnostics import Place, Span
from evalc.report import build_report
from evalc.report.annotations import gate_annotations


def test_a_gate_is_shown_at_its_line_at_the_level_of_its_verdict(tmp_path: Path) -> None:
    spec = tmp_path / "a" / "spec.toml"
    spec.parent.mkdir()
    spec.write_text("evalc = 1\n[gates.floor]\n")
    places = {"floor": Place(spec, Span(10, 23))}
    lines = gate_annotations(judged_report(), places, tmp_path).splitlines()
    assert [line.split(" ")[0] for line in lines] == [
        "::error", "::error", "::warning", "::notice"
    ]  # fmt: skip
    assert lines[3].startswith(
        "::notice file=a/spec.toml,line=2,title=evalc gate floor (base)%3A pass::quiz.acc: wanted"
    )
    assert lines[0].startswith("::error title=evalc gate drop (base)%3A FAIL::")


def test_what_github_reads_as_its_own_is_escaped() -> None:
    odd = gate("a,b:c%\n::error::x", "fail")
    text = gate_annotations(build_report([], gates=[odd]), {}, Path())
    assert text.count("\n") == 1
    assert "title=evalc gate a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3Ax (base)%3A FAIL::" in text
    assert "(24 %25)" in text


def test_a_gate_that_was_not_judged_is_a_notice_after_the_verdicts(tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("evalc = 1\n[gates.floor]\n")
    report = build_report([], gates=[gate("g")], unjudged=[("floor", "quiz", "task not selected")])
    lines = gate_annotations(report, {"floor": Place(spec, Span(10, 23))}, tmp_path).splitlines()
    assert lines[1:] == [
        "::notice file=spec.toml,line=2,title=evalc gate floor%3A not judged::task not selected"
    ]


def test_without_gates_nothing_is_said() -> None:
    assert gate_annotations(build_report([quiz([1])]), {}, Path()) == ""
