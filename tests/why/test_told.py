"""What `plan` told is told again while its footprint holds, and nothing is imported for it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalc.plan import cost
from evalc.run import session
from evalc.store import Store, footprint, marks
from evalc.store.footprint import Footprint
from tiny_models import write_rows
from workspaces import QUIZ, SUMS, Workspace, quiz_rows

Worked = list[int]
SETTLED = 2 * footprint.TICK_NS / 1e9


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Worked:
    """One entry for every time that a request was worked out instead of told again."""
    made: Worked = []
    outlined = session.outlined

    def counted(*arguments: Any) -> Any:
        made.append(len(made))
        return outlined(*arguments)

    monkeypatch.setattr(session, "outlined", counted)
    return made


@pytest.fixture
def told(ran: Workspace, tmp_path: Path) -> Workspace:
    """A workspace with a model of its own, whose plan is known."""
    made = Workspace(ran.root, Path(shutil.copytree(ran.model, tmp_path / "model")))
    made.both(9)
    time.sleep(SETTLED)
    assert made.call("plan").code == 0
    assert list((made.cache / "memo").glob("*.told"))
    return made


def scratch(workspace: Workspace, *arguments: str) -> Any:
    """What a plan says when nothing is remembered of an earlier one."""
    for pattern in ("*.told", "*.outline"):
        for file in (workspace.cache / "memo").glob(pattern):
            file.unlink()
    return workspace.call("plan", "--json", *arguments).json


WATCHED = """
import sys
from evalc.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"pydantic", "numpy", "tomli", "evalc.spec", "evalc.plan"}
    heavy |= {"difflib", "subprocess", "tempfile", "traceback"}
    print(sorted(set(sys.modules) & heavy), file=sys.stderr)
"""


def test_a_plan_that_is_told_again_imports_nothing_that_plans(told: Workspace) -> None:
    again = told.python(WATCHED, "plan", "--json")
    assert (again.code, again.err) == (0, "[]\n")
    assert again.json == scratch(told)
    anew = told.python(WATCHED, "plan", "--json", "--rehash")
    assert "evalc.plan" in anew.err


def test_tables_and_exit_codes_are_those_of_the_first_time(told: Workspace, worked: Worked) -> None:
    again = told.call("plan", "--detailed-exitcode")
    assert worked == []
    scratch(told)
    assert told.call("plan", "--detailed-exitcode") == again


def add_a_spec(workspace: Workspace) -> None:
    workspace.write(SUMS.replace("sums]", "more]"), name="more.toml", header=False)


def add_a_comment(workspace: Workspace) -> None:
    with (workspace.specs / "spec.toml").open("a") as stream:
        stream.write("# nothing else\n")


def edit_a_row_and_restore_its_times(workspace: Workspace) -> None:
    path = workspace.specs / "quiz.jsonl"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"Q 3:", b"Q z:"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_the_data_by_a_link(workspace: Workspace) -> None:
    other = write_rows(workspace.root / "other.jsonl", quiz_rows(3))
    (workspace.specs / "quiz.jsonl").unlink()
    (workspace.specs / "quiz.jsonl").symlink_to(other)


def edit_the_config(workspace: Workspace) -> None:
    path = workspace.model / "config.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps({**config, "rope_theta": 12345.0}))


def add_weights(workspace: Workspace) -> None:
    (first, *_) = sorted(workspace.model.glob("*.safetensors"))
    (workspace.model / "more.safetensors").write_bytes(first.read_bytes())


def edit_the_tokenizer(workspace: Workspace) -> None:
    path = workspace.model / "tokenizer_config.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps({**config, "model_max_length": 77}))


def measure_a_speed(workspace: Workspace) -> None:
    planned = workspace.planned()
    (model,) = planned.models
    hardware = session.env.hardware(model.source.device)
    with workspace.store() as store:
        cost.record(store, model.identity, hardware, cost.Speed(1e9, 1.0, 10.0, 1.0))


def fill_the_cache(workspace: Workspace) -> None:
    assert workspace.call("exec", "--no-report").code == 0


def take_the_cache_away(workspace: Workspace) -> None:
    for file in (workspace.cache / "store").iterdir():
        file.unlink()


SEEN: list[Callable[[Workspace], None]] = [
    add_a_spec,
    edit_a_row_and_restore_its_times,
    replace_the_data_by_a_link,
    edit_the_config,
    add_weights,
    measure_a_speed,
    fill_the_cache,
    take_the_cache_away,
]
"""Changes after which a plan says something else."""
UNSEEN: list[Callable[[Workspace], None]] = [
    add_a_comment,
    edit_the_tokenizer,
]
"""Changes that have to be looked into, though the plan comes out the same."""


@pytest.mark.parametrize("change", [*SEEN, *UNSEEN], ids=lambda change: change.__name__)
def test_whatever_changes_is_worked_out_anew(
    told: Workspace, worked: Worked, change: Callable[[Workspace], None]
) -> None:
    before = told.call("plan", "--json").json
    assert worked == []
    change(told)
    after = told.call("plan", "--json").json
    assert len(worked) == 1
    assert (after != before) == (change in SEEN)
    assert after == scratch(told)


def test_another_request_is_another_plan(told: Workspace, worked: Worked) -> None:
    asked: list[tuple[str, ...]] = [
        ("--task", "sums"),
        ("--set", "tasks.sums.generate.max_new_tokens=2"),
        ("specs/spec.toml",),
        ("--no-hooks",),
        ("--tier", "full"),
    ]
    for number, arguments in enumerate(asked, 1):
        first = told.call("plan", "--json", *arguments).json
        assert len(worked) == number, arguments
        assert told.call("plan", "--json", *arguments).json == first
        assert len(worked) == number, arguments


def test_relative_paths_belong_to_the_working_directory(told: Workspace, worked: Worked) -> None:
    (told.root / "a").mkdir()
    (told.root / "a" / "specs").symlink_to(told.specs)
    elsewhere = Workspace(told.root / "a", told.model)
    assert elsewhere.call("plan", "--json", "--cache", "../cache").code == 0
    assert len(worked) == 1


def test_a_day_later_it_is_worked_out_once_so_that_uses_are_noted(
    told: Workspace, worked: Worked, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = marks.today() + 1
    monkeypatch.setattr("evalc.plan.uses.today", lambda: tomorrow)
    names = session.uses(told.planned().ir, told.cache)
    with told.store() as store:
        for name in names:
            store.remember(name, str(tomorrow).encode())
    assert told.call("plan").code == 0
    assert told.call("plan").code == 0
    assert len(worked) == 1


def test_what_was_written_a_moment_ago_is_not_vouched_for(
    told: Workspace, worked: Worked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "TICK_NS", 3_600_000_000_000)
    told.write(QUIZ, SUMS, "# an hour is a moment here\n")
    for count in (1, 2):
        assert told.call("plan").code == 0
        assert len(worked) == count


def test_a_plan_with_prepared_data_is_worked_out_each_time(told: Workspace, worked: Worked) -> None:
    (told.specs / "hooks.py").write_text("def rows(row):\n    return row\n")
    quiz = QUIZ.replace('"quiz.jsonl"', '"quiz.jsonl"\nprepare = "hooks:rows"')
    told.write(quiz, SUMS)
    time.sleep(SETTLED)
    for count in (1, 2):
        done = told.call("plan")
        assert done.code == 0, done.err
        assert len(worked) == count


def test_a_damaged_file_and_one_of_another_evalc_are_not_believed(
    told: Workspace, worked: Worked, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = (told.cache / "memo").glob("*.told")
    file.write_bytes(file.read_bytes()[:-1])
    assert told.call("plan").code == 0
    assert len(worked) == 1
    monkeypatch.setattr("evalc.run.plan_memo.PACKAGE", told.specs)
    assert told.call("plan").code == 0
    assert len(worked) == 2


@pytest.mark.parametrize("name", ["file", "absent", "link", "folder"])
def test_a_footprint_ends_with_every_path_of_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "file").write_text("x")
    (folder / "link").symlink_to(tmp_path / "target")
    time.sleep(SETTLED)
    with Store.open(tmp_path / "store") as store:
        files = [tmp_path / "file", tmp_path / "absent"]
        found = Footprint.taken(files, [folder], [b"note"], store, time.time_ns())
        assert found is not None
        again = Footprint(**json.loads(json.dumps(found.as_json())))
        assert again.holds(store)
        made = {
            "file": tmp_path / "file",
            "absent": tmp_path / "absent",
            "link": tmp_path / "target",
            "folder": folder / "new",
        }
        made[name].write_text("y")
        assert not again.holds(store)


def test_a_footprint_ends_with_a_note_and_with_a_revision(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        first = Footprint.taken([], [], [b"note"], store, time.time_ns())
        assert first is not None
        store.remember(b"another note", b"x")
        assert first.holds(store)
        store.remember(b"note", b"x")
        assert not first.holds(store)
        second = Footprint.taken([], [], [b"note"], store, time.time_ns())
        assert second is not None
        store.commit([bytes(32)], [b"x"])
        assert not second.holds(store)
