"""One question is asked once, whoever asks it, and keys belong to model and engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalc import _core
from planned_requests import dataset, ir, keys_of, task
from tiny_models import write_rows
from workspaces import QUIZ, Workspace, quiz_rows

ROWS = [{"p": f"Q {n}", "c": ["x", "y"]} for n in range(4)]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", ROWS)


def counts(plan: _core.Plan) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(plan.summary())
    return summary


def test_a_repeated_choice_is_asked_once(bundle: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"p": "Q", "c": ["x", "x", "y"]}])
    plan = _core.Plan.build(ir(bundle, [dataset(path)], [task()]))
    total = counts(plan)["total"]
    assert (total["requests"], total["deduped"], total["to_run"]) == (3, 1, 2)
    first, second, third = memoryview(plan.cell(0)["requests"]).cast("I")
    assert first == second != third


def test_tasks_that_ask_the_same_share_their_requests(bundle: Path, rows: Path) -> None:
    again = task(name="again", prompt="Q{{ p[1:] }}")
    plan = _core.Plan.build(ir(bundle, [dataset(rows)], [task(), again]))
    first, second = counts(plan)["cells"]
    assert (first["deduped"], first["to_run"]) == (0, 8)
    assert (second["requests"], second["deduped"], second["to_run"]) == (8, 8, 0)
    assert second["prefill_tokens"] == 0
    assert plan.cell(0)["requests"] == plan.cell(1)["requests"]


def test_keys_are_sorted_unique_and_begin_with_model_and_engine(bundle: Path, rows: Path) -> None:
    keys = keys_of(_core.Plan.build(ir(bundle, [dataset(rows)], [task()])))
    assert keys == sorted(set(keys))
    assert len({key[:8] for key in keys}) == 1


@pytest.mark.parametrize("change", ["model_id", "engine_id"])
def test_another_model_or_engine_shares_no_key(bundle: Path, rows: Path, change: str) -> None:
    plain = keys_of(_core.Plan.build(ir(bundle, [dataset(rows)], [task()])))
    other = ir(bundle, [dataset(rows)], [task()], **{change: "33" * 32})
    changed = keys_of(_core.Plan.build(other))
    assert not set(plain) & set(changed)
    assert {key[:8] for key in plain}.isdisjoint(key[:8] for key in changed)


def test_what_names_things_is_in_no_key(bundle: Path, rows: Path) -> None:
    plain = _core.Plan.build(ir(bundle, [dataset(rows)], [task()]))
    data = dataset(rows, name="d", origin="elsewhere", id="{{ p }}")
    renamed = task(name="other", cluster="{{ p }}", slices=["{{ p }}"], target="{{ 1 }}")
    other = _core.Plan.build(ir(bundle, [data], [renamed], name="x", max_length=200))
    assert plain.keys() == other.keys()


def test_a_second_folder_of_specs_asks_only_what_is_new(workspace: Workspace) -> None:
    workspace.quiz(3)
    assert workspace.planned().to_run == 12
    assert workspace.call("exec", "specs", "--no-report").code == 0
    other = Workspace(workspace.root / "other", workspace.model)
    other.root.mkdir()
    other.write(QUIZ.replace("quiz]", "test]").replace('"quiz"', '"test"'))
    other.rows("quiz.jsonl", quiz_rows(5))
    done = workspace.call("plan", other.specs, "--json")
    total = done.json["total"]
    assert (total["requests"], total["cached"], total["to_run"]) == (20, 12, 8)


def test_subtracting_takes_one_byte_for_each_key(bundle: Path, rows: Path) -> None:
    plan = _core.Plan.build(ir(bundle, [dataset(rows)], [task()]))
    with pytest.raises(ValueError, match="keys"):
        plan.subtract(b"\1")
    plan.subtract(b"\1\0" * 4)
    total = counts(plan)["total"]
    assert (total["cached"], total["to_run"]) == (4, 4)
    plan.subtract(b"\0" * 8)
    assert counts(plan)["total"]["cached"] == 0
