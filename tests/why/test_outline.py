"""The outline of a plan is told again as long as nothing changed, and never for longer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalc.plan import planned as planning
from evalc.run.plan_memo import ToldFile
from evalc.store import Store
from evalc.store.environment import CITATIONS, RECORDS, WHY
from workspaces import QUIZ, SUMS, Workspace, quiz_rows

Plans = list[int]


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in front of an outline (tests/why/test_told.py) answers nothing here."""
    monkeypatch.setattr(ToldFile, "recall", lambda _: None)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Plans:
    """One entry for every plan that the core was asked for."""
    made: Plans = []
    build = planning._built

    def counted(*arguments: Any) -> Any:
        made.append(len(made))
        return build(*arguments)

    monkeypatch.setattr(planning, "_built", counted)
    return made


@pytest.fixture
def told(ran: Workspace) -> Workspace:
    """A workspace that has run, with another task, whose outline is known."""
    ran.rows("quiz.jsonl", quiz_rows(9))
    assert ran.call("plan").code == 0
    return ran


def scratch(workspace: Workspace, *arguments: str) -> Any:
    """What a plan says without any outline."""
    for file in (workspace.cache / "memo").glob("*.outline"):
        file.unlink()
    return workspace.call("plan", "--json", *arguments).json


def test_an_unchanged_plan_is_told_again_without_planning(told: Workspace, plans: Plans) -> None:
    again = told.call("plan", "--json")
    assert plans == []
    assert again.json == scratch(told)
    assert plans == [0]
    assert again.json["cells"][0]["to_run"] == 12


def edit_row(workspace: Workspace) -> None:
    rows = quiz_rows(9)
    workspace.rows("quiz.jsonl", [*rows[:8], {**rows[8], "question": "Q x: which?"}])


def restore_times(workspace: Workspace) -> None:
    """Another row of the same length under the same size and modification time."""
    path = workspace.specs / "quiz.jsonl"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"Q 3:", b"Q z:"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_task(workspace: Workspace) -> None:
    workspace.write(QUIZ.replace("[tasks.quiz]", "[tasks.other]"), SUMS)


def edit_template(workspace: Workspace) -> None:
    workspace.write(QUIZ.replace("{{ question }}", "{{ question }} "), SUMS)


def damage_a_record(workspace: Workspace) -> None:
    with workspace.store() as store:
        key = next(iter(store.scan(RECORDS)))[0][0]
        store.write_sealed(RECORDS, [(key, b"damaged")])


def remove_a_record(workspace: Workspace) -> None:
    with workspace.store() as store:
        store.remove(RECORDS, [next(iter(store.scan(RECORDS)))[0][0]])


def forget_why(workspace: Workspace) -> None:
    with workspace.store() as store:
        store.remove(WHY, [name for batch in store.scan(WHY) for name, _ in batch])


CHANGES: list[Callable[[Workspace], None]] = [
    edit_row,
    restore_times,
    rename_task,
    edit_template,
    damage_a_record,
    remove_a_record,
    forget_why,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_is_planned_anew(
    told: Workspace, plans: Plans, change: Callable[[Workspace], None]
) -> None:
    before = told.call("plan", "--json").json
    change(told)
    assert plans == []
    after = told.call("plan", "--json").json
    assert plans == [0]
    assert after != before
    assert after == scratch(told)


def test_a_run_in_between_is_seen(told: Workspace, plans: Plans) -> None:
    assert told.call("exec", "--no-report").code == 0
    assert len(plans) == 1, "exec always plans"
    assert told.call("plan", "--json").json["total"]["to_run"] == 0
    assert len(plans) == 2
    assert told.call("plan", "--detailed-exitcode").code == 0
    assert len(plans) == 2
    assert told.call("exec", "--no-report").code == 0
    assert len(plans) == 3


def test_another_selection_has_another_outline(told: Workspace, plans: Plans) -> None:
    assert told.call("plan", "--json", "--task", "sums").json["total"]["cases"] == 6
    assert told.call("plan", "--json").json["total"]["cases"] == 15
    assert told.call("plan", "--json", "--task", "sums").json["total"]["cases"] == 6
    assert len(plans) == 1


def test_rehash_and_a_damaged_outline_plan_anew(told: Workspace, plans: Plans) -> None:
    assert told.call("plan", "--rehash").code == 0
    assert len(plans) == 1
    (file,) = (told.cache / "memo").glob("*.outline")
    for content in (b"", file.read_bytes()[:-1], b"{}"):
        file.write_bytes(content)
        assert told.call("plan").code == 0
    assert len(plans) == 4
    assert told.call("plan").code == 0
    assert len(plans) == 4


def test_a_pinned_plan_goes_by_no_outline(told: Workspace, plans: Plans) -> None:
    assert told.call("plan", "--out", "pinned.plan").code == 0
    assert len(plans) == 1


def test_every_change_of_records_and_why_log_is_another_revision(tmp_path: Path) -> None:
    seen: list[bytes | None] = []
    key = bytes(32)
    with Store.open(tmp_path) as store:
        steps: list[Callable[[], object]] = [
            lambda: None,
            lambda: store.commit([key], [b"x"]),
            lambda: store.write_sealed(WHY, [(b"head:x", b"y")]),
            lambda: store.set_aside(RECORDS, [key]),
            lambda: store.remove(WHY, [b"head:x"]),
        ]
        for step in steps:
            step()
            seen.append(store.revision())
        store.remember(b"a fact", b"x")
        store.write_run(b"run", b"{}", [(key, b"x")])
        store.remove(CITATIONS, [key])
        assert store.revision() == seen[-1]
    assert None not in seen
    assert len(set(seen)) == len(steps)
    with Store.open(tmp_path) as store:
        assert store.revision() == seen[-1]


def test_a_store_that_is_new_again_is_another_revision(tmp_path: Path) -> None:
    revisions = set()
    for name in ("a", "b"):
        with Store.open(tmp_path / name) as store:
            revisions.add(store.revision())
    assert len(revisions) == 2
