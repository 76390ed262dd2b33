"""Remaining cases are grouped by why they have no answer, in plan's JSON and in its table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evalc.plan.tokenizers import bundle
from evalc.store.environment import RECORDS
from tiny_models import CHATML, write_adapter, write_model, write_rows
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

SHOTS = """
[datasets.shots]
path = "shots.jsonl"
"""
WITH_SHOTS = QUIZ + (
    'fewshot = { dataset = "shots", k = 2, select = "first", separator = "\\n\\n",'
    ' template = "{{ question }} {{ answer }}" }\n'
)
NAMED = QUIZ.replace('path = "quiz.jsonl"', 'path = "quiz.jsonl"\nid = "{{ name }}"')


def reasons(workspace: Workspace, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    """Reasons by task, as `plan --json` gives them."""
    done = workspace.call("plan", "--json", *arguments)
    assert done.code == 0, done.text
    return {cell["task"]: cell["reasons"] for cell in done.json["cells"]}


def asked(workspace: Workspace, *arguments: str) -> None:
    done = workspace.call("exec", "--no-report", *arguments)
    assert done.code == 0, done.text


def named(found: list[dict[str, Any]]) -> list[tuple[str, str | None, int]]:
    return [(reason["reason"], reason["detail"], reason["cases"]) for reason in found]


def keys(reason: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(change["component"], change["key"]) for change in reason["changes"]]


def test_what_was_never_planned_is_a_new_task(workspace: Workspace) -> None:
    workspace.both()
    found = reasons(workspace)
    assert named(found["quiz"]) == [("never asked", "new task", 6)]
    assert "why 12 cases: never asked (new task): quiz, sums" in workspace.call("plan").out


def test_nothing_remains_without_a_reason_and_nothing_cached_has_one(ran: Workspace) -> None:
    assert reasons(ran) == {"quiz": [], "sums": []}
    assert "why" not in ran.call("plan").out


def test_an_edited_prompt_is_named_with_its_old_and_new_digest(ran: Workspace) -> None:
    ran.write(QUIZ.replace("{{ question }}", "Q: {{ question }}"), SUMS)
    found = reasons(ran)
    (reason,) = found["quiz"]
    assert named([reason]) == [("template", None, 6)]
    assert keys(reason) == [("template", "prompt")]
    assert reason["old"] != reason["new"]
    assert {len(reason["old"]), len(reason["new"])} == {12}
    assert found["sums"] == []
    assert f"template (prompt) changed, {reason['old']} -> {reason['new']}" in ran.call("plan").out


def test_choices_delimiter_and_description_are_parts_of_the_template(ran: Workspace) -> None:
    edits = {
        "choices": "tasks.quiz.choices=['black', 'pink', 'grey', 'cyan']",
        "delimiter": "tasks.quiz.delimiter=': '",
        "description": "tasks.quiz.description='Say it.'",
    }
    for key, edit in edits.items():
        (reason,) = reasons(ran, "--set", edit)["quiz"]
        assert keys(reason) == [("template", key)]


def test_choices_in_another_order_ask_nothing_and_have_no_reason(ran: Workspace) -> None:
    edit = 'tasks.quiz.choices="{{ choices | reverse }}"'
    assert reasons(ran, "--set", edit)["quiz"] == []


def test_an_empty_delimiter_is_not_the_default_one(ran: Workspace) -> None:
    (reason,) = reasons(ran, "--set", "tasks.quiz.delimiter=''")["quiz"]
    assert keys(reason) == [("template", "delimiter")]
    assert reason["old"] is None


def test_another_dtype_is_named_in_plain_words(ran: Workspace) -> None:
    (reason,) = reasons(ran, "--set", "models.m.dtype=bfloat16")["quiz"]
    assert (reason["reason"], reason["old"], reason["new"]) == ("dtype", "float32", "bfloat16")


def test_generation_settings_that_act_are_a_reason(ran: Workspace) -> None:
    (reason,) = reasons(ran, "--set", "tasks.sums.generate.max_new_tokens=5")["sums"]
    assert named([reason]) == [("settings", None, 6)]


def test_other_weights_and_an_adapter_are_told_apart(workspace: Workspace, tmp_path: Path) -> None:
    mine = Workspace(tmp_path, shutil.copytree(workspace.model, tmp_path / "mine"))
    mine.quiz()
    asked(mine)
    adapter = write_adapter(tmp_path / "adapter")
    (reason,) = reasons(mine, "--set", f"models.m.adapter={json.dumps(str(adapter))}")["quiz"]
    assert (reason["reason"], reason["old"]) == ("adapter", None)
    write_model(tmp_path / "mine", seed=8)
    (reason,) = reasons(mine)["quiz"]
    assert reason["reason"] == "model weights"


def test_several_changes_are_one_reason_that_names_them_all(ran: Workspace) -> None:
    (reason,) = reasons(
        ran, "--set", "models.m.dtype=bfloat16", "--set", "tasks.quiz.description='Say it.'"
    )["quiz"]
    assert reason["reason"] == "template + dtype"
    assert keys(reason) == [("template", "description"), ("dtype", None)]


def test_an_added_row_is_a_new_case_and_the_others_stay_answered(ran: Workspace) -> None:
    ran.rows("quiz.jsonl", quiz_rows(8))
    assert named(reasons(ran)["quiz"]) == [("never asked", "new case", 2)]


def test_an_edited_row_under_a_stable_id_is_a_changed_row(workspace: Workspace) -> None:
    rows = [{**row, "name": f"n{i}"} for i, row in enumerate(quiz_rows(6))]
    workspace.write(NAMED)
    workspace.rows("quiz.jsonl", rows)
    asked(workspace)
    rows[3]["question"] = "Which one is it?"
    workspace.rows("quiz.jsonl", rows)
    (reason,) = reasons(workspace)["quiz"]
    assert named([reason]) == [("row", None, 1)]


def test_a_row_is_not_blamed_for_what_the_template_did(workspace: Workspace) -> None:
    rows = [{**row, "name": f"n{i}"} for i, row in enumerate(quiz_rows(6))]
    workspace.write(NAMED)
    workspace.rows("quiz.jsonl", rows)
    asked(workspace)
    rows[3]["question"] = "Which one is it?"
    workspace.rows("quiz.jsonl", rows)
    found = reasons(workspace, "--set", "tasks.quiz.description='Say it.'")["quiz"]
    assert named(found) == [("template", None, 5), ("row + template", None, 1)]


def test_a_renamed_task_is_compared_with_what_it_was_called(ran: Workspace) -> None:
    ran.write(QUIZ.replace("[tasks.quiz]", "[tasks.trivia]"), SUMS)
    assert reasons(ran)["trivia"] == []
    (reason,) = reasons(ran, "--set", "models.m.dtype=bfloat16")["trivia"]
    assert reason["reason"] == "dtype"


def test_a_second_model_is_new_to_a_known_task(ran: Workspace, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=9)
    ran.write(QUIZ, SUMS, f"[models.n]\npath = {json.dumps(str(other))}\n")
    document = ran.call("plan", "--json").json
    details = {
        (cell["model"], reason["detail"])
        for cell in document["cells"]
        for reason in cell["reasons"]
    }
    assert details == {("n", "new model")}


def test_shots_count_as_they_are_rendered(workspace: Workspace) -> None:
    workspace.write(WITH_SHOTS, SHOTS)
    workspace.rows("quiz.jsonl", quiz_rows(6))
    shots = [{**row, "question": f"shot {i}?"} for i, row in enumerate(quiz_rows(4))]
    write_rows(workspace.specs / "shots.jsonl", shots)
    asked(workspace)
    shots[3]["question"] = "never drawn"
    write_rows(workspace.specs / "shots.jsonl", shots)
    (reason,) = reasons(workspace, "--set", "tasks.quiz.prompt='{{ question }}!'")["quiz"]
    assert reason["reason"] == "template"
    shots[0]["question"] = "drawn"
    write_rows(workspace.specs / "shots.jsonl", shots)
    (reason,) = reasons(workspace)["quiz"]
    assert reason["reason"] == "few-shot"


def test_an_edited_case_leaves_the_shots_of_its_own_table_alone(workspace: Workspace) -> None:
    own = WITH_SHOTS.replace('dataset = "shots"', 'dataset = "quiz"')
    workspace.write(own)
    workspace.rows("quiz.jsonl", rows := quiz_rows(12))
    asked(workspace)
    rows[9]["question"] = "Which one is it?"
    workspace.rows("quiz.jsonl", rows)
    found = reasons(workspace, "--set", "tasks.quiz.prompt='{{ question }}!'")["quiz"]
    assert named(found) == [("template", None, 11), ("never asked", "new case", 1)]


def test_chat_is_a_part_of_the_template_and_hides_no_shots(
    workspace: Workspace, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "talker", chat=CHATML)
    bundle(model, tmp_path / "cache", False, None)
    chat = Workspace(tmp_path, model)
    chat.write(WITH_SHOTS, SHOTS)
    chat.rows("quiz.jsonl", quiz_rows(6))
    write_rows(chat.specs / "shots.jsonl", sum_shots := quiz_rows(3))
    asked(chat, "--set", "models.m.chat=true")
    (reason,) = reasons(chat, "--set", "models.m.chat=true", "--set", "models.m.system='Hm.'")[
        "quiz"
    ]
    assert keys(reason) == [("template", "chat")]
    sum_shots[0]["question"] = "another?"
    write_rows(chat.specs / "shots.jsonl", sum_shots)
    (reason,) = reasons(chat, "--set", "models.m.chat=true")["quiz"]
    assert reason["reason"] == "few-shot"


def test_a_record_that_has_gone_is_called_so(ran: Workspace) -> None:
    planned = ran.planned()
    with ran.store() as store:
        # put into quarantine by the next look
        store.write_sealed(RECORDS, [(planned.keys[:32], b"damaged")])
    found = [reason for task in reasons(ran).values() for reason in task]
    assert named(found) == [("record gone", "removed from the cache, or damaged", 1)]


def test_cases_that_a_run_never_reached_are_told_from_new_ones(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.both()
    interrupted(workspace, monkeypatch)
    details = {reason["detail"] for task in reasons(workspace).values() for reason in task}
    assert details == {"left by an unfinished run"}


def interrupted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of which Ctrl-C is pressed at the second commit, of packs with one request or so."""
    commits = 0
    commit = type(workspace.store()).commit

    def stopping(self: Any, keys: list[bytes], payloads: list[bytes]) -> None:
        nonlocal commits
        commits += 1
        if commits > 1:
            raise KeyboardInterrupt
        commit(self, keys, payloads)

    with monkeypatch.context() as patch:
        patch.setattr("evalc.store.Store.commit", stopping)
        patch.setattr("evalc.run.turns.PACK_REQUESTS", {"cpu": 4, "cuda": 4})
        assert workspace.call("exec", "--no-report").code == 130


def test_an_interrupted_run_leaves_the_reason_of_the_cases_it_did_not_reach(
    ran: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran.write(QUIZ.replace("{{ question }}", "Q: {{ question }}"), SUMS)
    (before,) = reasons(ran)["quiz"]
    interrupted(ran, monkeypatch)
    (after,) = reasons(ran)["quiz"]
    assert before["cases"] > after["cases"] > 0
    assert (after["old"], after["new"]) == (before["old"], before["new"])


def test_a_smaller_run_in_between_forgets_no_case(workspace: Workspace) -> None:
    tier = "[tiers.smoke]\ncases = 2\n"
    workspace.write(QUIZ, tier)
    workspace.rows("quiz.jsonl", quiz_rows(6))
    asked(workspace)
    edited = QUIZ.replace("{{ question }}", "Q: {{ question }}")
    workspace.write(edited, tier)
    asked(workspace, "--tier", "smoke")
    assert named(reasons(workspace)["quiz"]) == [("template", None, 4)]


def test_rows_of_sums_are_cases_of_their_own(workspace: Workspace) -> None:
    workspace.write(SUMS, SUMS.replace("sums]", "more]").replace("[datasets.more]", "[datasets.b]"))
    workspace.rows("sums.jsonl", sum_rows(3))
    found = reasons(workspace)
    assert {task: [r["cases"] for r in rs] for task, rs in found.items()} == {
        "sums": [3],
        "more": [3],
    }, "a case that another task asks too remains in both"
