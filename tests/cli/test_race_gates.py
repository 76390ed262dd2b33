"""Races end to end: `among` finds the best of several models and stops asking the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiny_models import write_noisy
from workspaces import QUIZ, Workspace, quiz_rows

CASES = 200
TIERS = """
[tiers.quick]
stop = "decided"
[tiers.small]
cases = 40
stop = "decided"
"""


def noisy(workspace: Workspace, name: str, scale: float) -> Path:
    """A copy of the model with noise on its weights."""
    # with other seeds the copies pick the same colour as the model in nearly every row
    return write_noisy(workspace.model, workspace.root / name, scale, seed=4)


def write(workspace: Workspace, *more: str, **models: Path) -> None:
    tables = [f"[models.{name}]\npath = {json.dumps(str(p))}\n" for name, p in models.items()]
    (workspace.specs / "spec.toml").write_text("evalc = 1\n" + "".join([*tables, QUIZ, *more]))


def best(**keys: object) -> str:
    given = {"metric": "quiz.acc", "among": ["m*"], **keys}
    return "\n[gates.best]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in given.items())


def requests(workspace: Workspace) -> int:
    with workspace.store() as store:
        return store.records()


@pytest.fixture
def racing(workspace: Workspace) -> dict[str, Path]:
    """Three models: `m1` is right in every row, as the rows were written from what it picks."""
    rows = quiz_rows(CASES)
    workspace.rows("quiz.jsonl", rows)
    write(workspace, m1=workspace.model)
    told = workspace.call("exec", "--json", "--cache", workspace.root / "first").json
    cases = told["results"][0]["cases"]
    ids = {json.dumps(case["id"]): case["picked"] for case in cases}
    assert len(ids) == CASES
    picks = [case["picked"] for case in cases]
    workspace.rows(
        "quiz.jsonl", [{**row, "answer": picked} for row, picked in zip(rows, picks, strict=True)]
    )
    return {
        "m1": workspace.model,
        "m2": noisy(workspace, "m2", 2.0),
        "m3": noisy(workspace, "m3", 3.0),
    }


def test_a_race_asks_only_those_that_can_still_win(
    workspace: Workspace, racing: dict[str, Path]
) -> None:
    write(workspace, TIERS, best(), **racing)
    done = workspace.call("exec", "--tier", "quick", "--json")
    assert done.code == 0, done.text
    (entry,) = done.json["gates"]
    standings = {each["model"]: each["standing"] for each in entry["candidates"]}
    seen = {each["model"]: each["seen"] for each in entry["candidates"]}
    assert (entry["state"], entry["model"], entry["basis"]) == ("pass", "m1", "evidence")
    assert standings == {"m1": "best", "m2": "out", "m3": "out"}
    assert seen["m3"] < CASES / 2
    assert requests(workspace) == 4 * sum(seen.values())
    assert "m1: best of 3" in workspace.call("report", "--tier", "quick").text
    assert "m1: best of 3" in workspace.call("report", "--tier", "quick", "--markdown").out


def test_a_race_that_goes_on_comes_to_the_same_standings(
    workspace: Workspace, racing: dict[str, Path]
) -> None:
    write(workspace, TIERS, best(), **racing)
    direct = workspace.call(
        "exec", "--tier", "quick", "--json", "--cache", workspace.root / "other"
    )
    assert workspace.call("exec", "--tier", "small", "--no-report").code == 0
    before = requests(workspace)
    again = workspace.call("exec", "--tier", "quick", "--json")
    assert again.json["gates"] == direct.json["gates"]
    assert requests(workspace) >= before
    third = workspace.call("exec", "--tier", "quick")
    assert "nothing to run" in third.text


def test_a_race_that_its_budget_leaves_open_is_inconclusive_or_escalates(
    workspace: Workspace, racing: dict[str, Path]
) -> None:
    racing["m3"] = noisy(workspace, "m4", 0.0)
    write(workspace, TIERS, best(), **racing)
    assert workspace.call("exec", "--tier", "small").code == 4
    write(workspace, TIERS, best(on_inconclusive="warn"), **racing)
    assert workspace.call("exec", "--tier", "small").code == 0
    write(workspace, TIERS, best(on_inconclusive="escalate:quick"), **racing)
    done = workspace.call("exec", "--tier", "small", "--json")
    assert "goes on to `quick`" in done.err
    (entry,) = done.json["gates"]
    equals = {e["model"] for e in entry["candidates"] if e["standing"] == "best"}
    assert (done.code, equals) == (0, {"m1", "m3"})


def test_a_race_needs_all_its_candidates(workspace: Workspace, racing: dict[str, Path]) -> None:
    write(workspace, TIERS, best(), **racing)
    done = workspace.call("exec", "--tier", "small", "--model", "m1", "--json")
    assert done.code == 0
    assert "gates" not in done.json


def test_a_race_of_one_is_refused(workspace: Workspace, racing: dict[str, Path]) -> None:
    write(workspace, TIERS, best(among=["m1"]), **racing)
    done = workspace.call("plan")
    assert done.code == 2
    assert "wrong-value" in done.err
    assert "a race needs two" in done.err
