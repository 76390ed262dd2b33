"""The Python API: what the commands do, from Python, silently, and as often as one likes."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils import logging

import evalc
from evalc.run.evaluation import Evaluation
from evalc.run.frames import Table
from evalc.store import Store
from workspaces import QUIZ, ROOT, Workspace

DEMO = """
import os, sys
for stream in (1, 2):
    os.close(stream)
sys.stdout = sys.stderr = None
import evalc
ev = evalc.load(sys.argv[1], cache=sys.argv[2], set={"models.m.dtype": "float32"})
run = ev.run()
with open(sys.argv[3], "w") as file:
    file.write(f"{run.asked} {run.report.value('quiz', 'acc')} {run.passed}")
"""


@pytest.fixture
def both(workspace: Workspace) -> Workspace:
    workspace.both()
    return workspace


def loaded(workspace: Workspace, **options: Any) -> Evaluation:
    return evalc.load(workspace.specs, cache=workspace.cache, **options)


def test_a_plan_a_run_and_a_report_say_what_the_commands_say(
    both: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    ev = loaded(both)
    plan = ev.plan()
    assert (plan.total.cases, plan.total.to_run, plan.total.cached) == (12, 30, 0)
    assert plan.as_json == both.call("plan", "--json", "specs").json
    assert sum(reason["cases"] for reason in plan.reasons("quiz")) == 6
    run = ev.run()
    assert run.asked == 30
    assert ev.plan().total.to_run == 0
    assert ev.run().asked == 0
    report = both.call("report", "--json", "specs").json
    assert ev.report().as_json == report
    assert {**run.report.as_json, "plan": None} == {**report, "plan": None}
    value = next(m["value"] for m in report["results"][0]["metrics"] if m["metric"] == "acc")
    assert run.report.value("quiz", "acc") == value
    assert capfd.readouterr() == ("", "")


def test_tables_have_a_row_for_each_case_metric_and_cell(both: Workspace) -> None:
    ev = loaded(both)
    report = ev.run().report
    cases = report.cases("quiz").rows
    assert [row["id"] for row in cases] == [
        row["id"] for row in report.as_json["results"][0]["cases"]
    ]
    assert all({"target", "acc", "acc_norm", "picked"} <= row.keys() for row in cases)
    assert [(r["task"], r["metric"]) for r in report.table()] == [
        ("quiz", "acc"),
        ("quiz", "acc_norm"),
        ("sums", "exact_match"),
    ]
    assert [(row["task"], row["to_run"]) for row in ev.plan().table()] == [("quiz", 0), ("sums", 0)]


def test_without_pandas_a_frame_is_refused_and_rows_are_not(
    both: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = loaded(both).plan().table()
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(evalc.Faults, match=name):
            getattr(table, f"to_{name}")()
    assert len(table) == 2


def test_a_notebook_shows_tables_whose_texts_are_no_mark_up(both: Workspace) -> None:
    both.rows("sums.jsonl", [{"question": "<b>1\x1b[31m</b>", "answer": "<script>&"}] * 3)
    ev = loaded(both)
    run = ev.run()
    assert "<td>sums</td>" in ev.plan()._repr_html_()
    shown = run.report.cases("sums")._repr_html_()
    assert "&lt;script&gt;&amp;" in shown
    assert "<script>" not in shown
    assert shown.count("<tr>") == 4
    assert run.report._repr_html_().count("<tr>") == 4
    assert "<p>20 more rows</p>" in Table([{"n": n} for n in range(120)])._repr_html_()
    run.report.html(both.root / "report.html")
    assert "<html" in (both.root / "report.html").read_text()


def test_nothing_is_written_to_closed_streams(both: Workspace) -> None:
    out = both.root / "out"
    command = [sys.executable, "-c", DEMO, str(both.specs), str(both.cache), str(out)]
    done = subprocess.run(command, env=both.environment(), check=False)
    assert done.returncode == 0
    asked, value, passed = out.read_text().split()
    assert (asked, passed) == ("30", "True")
    assert 0 <= float(value) <= 1


def test_what_is_wrong_is_an_exception_with_its_diagnostics(both: Workspace) -> None:
    with pytest.raises(evalc.Faults) as caught:
        loaded(both, tasks=["quizz"])
    assert [found.code for found in caught.value.diagnostics] == ["unknown-task"]
    with pytest.raises(evalc.Faults) as caught:
        loaded(both, set={"tasks.quiz.metrics": ["akk"]})
    assert caught.value.diagnostics[0].code == "unknown-metric"
    report = loaded(both).report()
    for wrong in (lambda: report.value("quizz", "acc"), lambda: report.value("quiz", "akk")):
        with pytest.raises(evalc.Faults, match="has no"):
            wrong()


def test_what_no_code_forbids_cannot_be_allowed(both: Workspace) -> None:
    ev = loaded(both, no_code=True)
    for wrong in (ev.run, ev.report):
        with pytest.raises(ValueError, match="no_code forbids"):
            wrong(allow_code_execution=True)
    assert ev.run().asked == 30


def test_a_warning_is_heard_in_one_line_with_its_place(both: Workspace) -> None:
    both.write(QUIZ.replace('"{{ question }}"', "'{{ question }}\\n'"))
    heard: list[str] = []
    with evalc.listen(heard.append):
        loaded(both).plan()
    assert any("warning[literal-escape]" in line and "spec.toml:" in line for line in heard)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, True),
        (3, 3),
        (0.25, 0.25),
        ('a "b"\n\x7f\x1f\u00e9', 'a "b"\n\x7f\x1f\u00e9'),
        (["x", "y"], ["x", "y"]),
        ({"max_new_tokens": 3, "a b": [1]}, {"max_new_tokens": 3, "a b": [1]}),
        (Path("models/x"), "models/x"),
    ],
)
def test_a_value_of_python_is_the_same_value_in_a_spec(value: object, told: object) -> None:
    from evalc.run.evaluation import _toml
    from evalc.spec.overrides import _parsed

    parsed = _parsed(f"a.b={_toml(value)}")
    assert not isinstance(parsed, str)
    assert parsed[1] == told
    with pytest.raises(TypeError):
        _toml(object())


def test_a_listener_hears_what_the_terminal_would_and_is_of_its_own_thread(both: Workspace) -> None:
    ev = loaded(both)
    ev.run()
    heard: list[str] = []
    with evalc.listen(heard.append):
        ev.run()
        thread = threading.Thread(target=ev.run)
        thread.start()
        thread.join()
    assert heard == ["nothing to run: every answer is in the cache"]


def test_threads_and_a_running_loop_may_run_evaluations(both: Workspace) -> None:
    ev = loaded(both)
    found: list[object] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        first = ev.plan().total.to_run  # in the loop's own thread
        runs = [loop.run_in_executor(None, ev.run) for _ in range(3)]
        found.extend(
            [first, *(run.report.as_json["results"] for run in await asyncio.gather(*runs))]
        )

    asyncio.run(work())
    assert found[0] == 30
    assert found[1] == found[2] == found[3]
    assert loaded(both).plan().total.to_run == 0


def test_a_report_that_was_written_is_read_and_compared(both: Workspace) -> None:
    ev = loaded(both)
    report = ev.run().report
    report.write(both.root / "report.json")
    again = evalc.read_report(both.root / "report.json")
    assert again == report
    found = evalc.diff(again, report)
    assert {entry["changed"] for entry in found["comparisons"]} == {0}
    with pytest.raises(evalc.Faults, match="cannot be written"):
        report.write(both.root / "no" / "report.json")
    with pytest.raises(evalc.Faults, match="cannot be read"):
        evalc.read_report(both.root / "none.json")


def test_evalc_itself_names_its_api_and_imports_nothing_for_it() -> None:
    script = (
        "import sys, evalc\n"
        "heavy = {'numpy', 'pydantic', 'torch', 'evalc.run', 'evalc.spec'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(n for n in dir(evalc) if n[0] != '_'))"
    )
    environment = {"PYTHONPATH": str(ROOT / "python"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    names = ["Faults", "diff", "listen", "load", "read_report"]
    public = [n for n in names if n in done.stdout]
    assert done.stdout.startswith("[]")
    assert public == names
    rooms = {path.name for path in (ROOT / "python" / "evalc").iterdir() if path.is_dir()}
    assert not rooms & set(evalc.__all__)
    with pytest.raises(AttributeError):
        evalc.nothing  # noqa: B018
    assert json.dumps(sorted(evalc.__all__))


def surroundings() -> tuple[object, ...]:
    return (
        torch.get_float32_matmul_precision(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
    )


def test_what_a_training_loop_has_set_changes_no_answer_and_stays(both: Workspace) -> None:
    loaded(both).run()
    usual = both.records()
    before = surroundings()
    other = evalc.load(both.specs, cache=both.root / "other")
    shutil.copytree(both.cache / "tokenizers", both.root / "other" / "tokenizers")
    torch.set_float32_matmul_precision("medium")
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.device("meta"):
            own = surroundings()
            assert other.run().asked == 30
            assert surroundings() == own
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.set_default_dtype(torch.float32)
    with Store.open(both.root / "other" / "store") as store:
        assert store.read(list(usual)) == [read(both, key) for key in usual]
    assert surroundings() == before
    weight = torch.nn.Parameter(torch.ones(2))
    (weight * 2).sum().backward()  # gradients are made as before
    assert weight.grad is not None


def read(workspace: Workspace, key: bytes) -> bytes | None:
    with workspace.store() as store:
        return store.read([key])[0]
