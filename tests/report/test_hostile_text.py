"""Hostile text in specs, rows, ids, answers, hooks, names and arguments steers no output.

`benches/hostile_text.py` with some hundreds of inputs, the two reproductions that began it, and
what the page becomes in a browser.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cell_builders import choice_cell, generate_cell
from test_html_in_browser import Reader, driver

import hostile
from evalc.report import build_report, report_markdown
from evalc.report.html import report_page
from evalc.report.junit import junit_xml
from evalc.score import Scoring, score_cell
from workspaces import QUIZ, Workspace, quiz_rows

BENCH = Path(__file__).resolve().parents[2] / "benches" / "hostile_text.py"
PLACES = ["answers,reports", "pinned,wrong_specs,arguments", "wrong_data,hooks", "models"]
__all__ = ["driver"]


@pytest.mark.parametrize("places", PLACES)
def test_nothing_raw_comes_out_wherever_it_was_put_in(places: str) -> None:
    command = [sys.executable, str(BENCH), "--inputs", "60", "--seed", "11", "--only", places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "0 faults" in done.stdout


@pytest.mark.parametrize("github", ["", "true"])
@pytest.mark.parametrize("command", ["check", "plan", "exec", "report"])
def test_an_id_that_stops_commands_stays_in_its_line(
    workspace: Workspace, command: str, github: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", github)
    workspace.write(QUIZ.replace('"quiz.jsonl"', '"quiz.jsonl"\nid = "{{ id }}"'))
    row = {**quiz_rows(1)[0], "id": "k\n::stop-commands::tok\n"}
    workspace.rows("quiz.jsonl", [row, row])
    done = workspace.call(command, "specs")
    assert done.code == 2 and r"k\n::stop-commands::tok\n" in done.err
    assert not hostile.commands(done.text, ours=bool(github))
    workspace.rows("quiz.jsonl", [row])
    done = workspace.call(command, "specs", *(["--cases", "9"] if command == "report" else []))
    assert done.code == 0 and not hostile.commands(done.text, ours=False)


@pytest.mark.parametrize("form", ["terminal", "line", "json", "github"])
def test_a_name_of_a_dataset_that_is_a_command_stays_in_its_line(
    workspace: Workspace, form: str
) -> None:
    workspace.write(QUIZ.replace('dataset = "quiz"', 'dataset = "d\\n::error title=F::x"'))
    done = workspace.call("check", "specs", "--format", form)
    assert (done.code, "unknown-dataset" in done.text) == (2, True)
    assert not hostile.commands(done.text, ours=form == "github")


def made(seed: int) -> tuple[Any, list[Any]]:
    """A report whose every text is hostile, and its cells."""
    rng = random.Random(seed)

    def text() -> str:
        return hostile.hostile(rng, surrogates=True)

    def row(i: int) -> dict[str, Any]:
        return {"row": {}, "prompt": text(), "choices": [text(), text()], "target": 0}

    ids = [f"{i}{text()}" for i in range(60)]
    named = {"model": text(), "task": text(), "case_ids": ids, "row": row}
    logs = [[-1.0, -2.0 * (i % 2)] for i in range(60)]
    quiz = choice_cell(logs, [0] * 60, slices={text(): [text() for _ in ids]}, **named)
    rows = [{"prompt": text()} for _ in ids]
    answers = [[text()] for _ in ids]
    wrote = generate_cell(answers, [text() for _ in ids], rows, **{**named, "task": text()})
    cells = [score_cell(quiz, Scoring(("acc",))), score_cell(wrote, Scoring(("exact_match",)))]
    gates: Any = [
        {"gate": text(), "model": named["model"], "task": named["task"], "metric": "acc",
         "baseline": text(), "state": state, "basis": "none", "alpha": 0.05, "error": 1.0,
         "needed": True, "why": text(), "conditions": []}
        for state in ("fail", "inconclusive", "pass")
    ]  # fmt: skip
    runs = [{"name": text(), "evalc": text(), "models": [], "asked": 3, "seconds": 1.0,
             "predicted_seconds": 1.0, "usd": None, "prefill_tokens": 1,
             "prefill_tokens_unshared": 2, "decode_tokens": 0}]  # fmt: skip
    return build_report(cells, tier=text(), gates=gates, runs=runs, cases=True), cells


@pytest.mark.parametrize("seed", range(8))
def test_renderers_hold_what_a_report_made_of_hostile_text_says(seed: int) -> None:
    report, cells = made(seed)
    assert list(hostile.markdown_faults(report_markdown(report, cases=60))) == []
    assert list(hostile.junit_faults(junit_xml(report))) == []
    assert list(hostile.page_faults(report_page(report, cells=cells))) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_browser_runs_and_asks_for_nothing_that_the_text_wants(
    driver: Any, tmp_path: Path, seed: int
) -> None:
    report, cells = made(seed)
    path = tmp_path / "page.html"
    path.write_text(report_page(report, cells=cells), encoding="utf-8")
    reader = Reader(driver)
    reader.open(path)
    reader.browse()
    for button in reader.all("#list button")[:5]:
        button.click()
        reader.until(lambda: reader.one("#case").is_displayed())
        reader.one("#case-close").click()
    assert reader.script("window.broken") is None
    assert reader.errors() == []
    assert reader.requests() == {path.as_uri()}
    foreign = (
        "document.querySelectorAll('img, iframe, object, embed, base, a:not([href^=\"#\"])').length"
    )
    assert reader.script(foreign) == 0
    shown = reader.script("document.body.innerText")
    assert not hostile.raw(re.sub(r"[\n\t]", "", shown))
