"""A pinned plan runs exactly what was planned, or says what has changed and runs nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evalc.plan.provenance import digest
from tiny_models import write_model
from workspaces import QUIZ, SUMS, Done, Workspace, quiz_rows

STALE = 5


@pytest.fixture
def pinned(workspace: Workspace) -> Workspace:
    """A workspace with a quiz, sums and the plan of both in `p.plan`."""
    workspace.both()
    done = workspace.call("plan", "--out", "p.plan")
    assert done.code == 0, done.text
    return workspace


def refused(workspace: Workspace, *words: str) -> Done:
    """`exec p.plan` ends with 5, says `words`, and asks nothing."""
    with workspace.store() as store:
        before = store.records()
    done = workspace.call("exec", "p.plan")
    assert done.code == STALE, done.text
    assert "error[stale-plan]: the pinned plan `p.plan` is stale" in done.err
    for word in words:
        assert word in done.err
    with workspace.store() as store:
        assert store.records() == before
    return done


def test_a_fresh_plan_runs_and_reports(pinned: Workspace) -> None:
    done = pinned.call("exec", "p.plan")
    assert done.code == 0, done.text
    assert "exact_match" in done.out
    assert pinned.planned().to_run == 0


def test_selection_and_overrides_are_part_of_the_file(workspace: Workspace) -> None:
    workspace.both()
    workspace.call(
        *("plan", "--out", "p.plan", "--task", "sums"),
        *("--set", "tasks.sums.generate.max_new_tokens=2"),
    )
    done = workspace.call("exec", "p.plan", "--json")
    assert done.code == 0, done.text
    narrowed = workspace.planned("tasks.sums.generate.max_new_tokens=2", tasks=("sums",))
    assert narrowed.to_run == 0
    assert workspace.planned(tasks=("quiz",)).to_run == 24


def test_a_plan_can_be_run_from_another_folder(
    pinned: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = Workspace(elsewhere, pinned.model)
    done = other.call("exec", pinned.root / "p.plan", "--no-report")
    assert done.code == 0, done.text
    assert pinned.planned().to_run == 0


def test_relative_paths_in_overrides_start_where_the_plan_was_made(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace.quiz()
    workspace.rows("../more.jsonl", quiz_rows(3))
    done = workspace.call("plan", "--out", "p.plan", "--set", "datasets.quiz.path=more.jsonl")
    assert done.code == 0, done.text
    other = Workspace(tmp_path_factory.mktemp("elsewhere"), workspace.model)
    done = other.call("exec", workspace.root / "p.plan", "--no-report")
    assert done.code == 0, done.text


def test_a_comment_and_a_new_tag_make_no_plan_stale(pinned: Workspace) -> None:
    pinned.write(QUIZ + 'tags = ["new"]\n', SUMS, "# a comment\n")
    assert pinned.call("exec", "p.plan", "--no-report").code == 0


def test_an_edited_task_is_named_with_its_line_and_the_spec_file(pinned: Workspace) -> None:
    pinned.write(QUIZ.replace("{{ question }}", "Q: {{ question }}"), SUMS)
    done = refused(pinned, "`prompt` of task `quiz` has changed", "specs/spec.toml:10:11")
    assert f"edited since: `{pinned.specs / 'spec.toml'}`" in done.err
    assert "task `sums`" not in done.err


def test_an_edited_data_file_is_named(pinned: Workspace) -> None:
    pinned.rows("quiz.jsonl", quiz_rows(7))
    refused(pinned, "the data of dataset `quiz` has changed", "quiz.jsonl")


def test_other_rows_of_the_same_file_are_named(pinned: Workspace) -> None:
    pinned.write(QUIZ.replace('path = "quiz.jsonl"', 'path = "quiz.jsonl"\nrows = "0:3"'), SUMS)
    refused(pinned, "`rows` of dataset `quiz` has changed")


def test_other_weights_are_named(workspace: Workspace, tmp_path: Path) -> None:
    mine = Workspace(tmp_path, shutil.copytree(workspace.model, tmp_path / "mine"))
    mine.quiz()
    mine.call("plan", "--out", "p.plan")
    write_model(tmp_path / "mine", seed=8)
    refused(mine, "`model weights` of model `m` has changed")


def test_another_dtype_is_named(pinned: Workspace) -> None:
    pinned.write('dtype = "bfloat16"\n', QUIZ, SUMS)
    refused(pinned, "`dtype` of model `m` has changed", "it was `float32`, it is `bfloat16`")


def test_another_selection_is_named(workspace: Workspace) -> None:
    workspace.both()
    workspace.write(QUIZ, SUMS, '[suites.s]\nmodels = ["m"]\ntasks = ["quiz"]\n')
    workspace.call("plan", "--out", "p.plan", "--suite", "s")
    workspace.write(QUIZ, SUMS, '[suites.s]\nmodels = ["m"]\ntasks = ["sums"]\n')
    refused(
        workspace,
        "task `quiz` on model `m` is no longer selected",
        "task `sums` on model `m` is selected now",
    )


def test_another_budget_of_a_tier_is_named(workspace: Workspace) -> None:
    workspace.both()
    workspace.write(QUIZ, SUMS, "[tiers.smoke]\ncases = 2\n")
    workspace.call("plan", "--out", "p.plan", "--tier", "smoke")
    workspace.write(QUIZ, SUMS, "[tiers.smoke]\ncases = 3\n")
    refused(workspace, "the tier is another one")


def test_another_gate_or_baseline_is_named(workspace: Workspace) -> None:
    tiers = '[tiers.quick]\nstop = "decided"\n'
    drop = '[gates.drop]\nmetric = "quiz.acc"\nbaseline = "main"\nmax_drop = 0.1\n'
    workspace.quiz(4)
    assert workspace.call("exec", "--record", "main", "--no-report").code == 0
    workspace.rows("quiz.jsonl", quiz_rows(8))
    workspace.write(QUIZ, tiers, drop)
    assert workspace.call("plan", "--tier", "quick", "--out", "p.plan").code == 0
    workspace.write(QUIZ, tiers, drop.replace("0.1", "0.9"))
    refused(workspace, "`max_drop` of gate `drop` has changed", "spec.toml:19")
    workspace.write(QUIZ, tiers, drop, drop.replace("drop]", "other]"))
    refused(workspace, "gate `other` is judged now")
    workspace.write(QUIZ, tiers.replace("decided", "never"), drop)
    refused(workspace, "the tier has another `stop`")
    workspace.write(QUIZ, tiers, drop)
    for count, words in ((4, None), (2, "the result that gate `drop` compares with has changed")):
        workspace.rows("quiz.jsonl", quiz_rows(count))
        workspace.write(QUIZ)
        assert workspace.call("exec", "--record", "main", "--no-report").code == 0
        workspace.rows("quiz.jsonl", quiz_rows(8))
        workspace.write(QUIZ, tiers, drop)
        if words is not None:
            refused(workspace, words)
        else:
            assert workspace.call("plan", "--show", "p.plan", "--detailed-exitcode").code == 6
    workspace.call("plan", "--tier", "quick", "--out", "p.plan")
    assert workspace.call("exec", "p.plan", "--no-report").code == 0


def test_answers_that_came_since_are_counted(pinned: Workspace) -> None:
    pinned.call("exec", "--no-report", "--task", "sums")
    refused(pinned, "6 of its 30 requests have been answered since")
    pinned.call("exec", "--no-report")
    refused(pinned, "30 of its 30 requests have been answered since")


def test_records_that_are_gone_are_counted(workspace: Workspace) -> None:
    workspace.both()
    workspace.call("exec", "--no-report", "--task", "sums")
    workspace.call("plan", "--out", "p.plan")
    shutil.rmtree(workspace.cache / "store")
    refused(workspace, "6 records that it counted on have gone from the cache")


def test_specs_that_cannot_be_planned_any_more_make_a_plan_stale(pinned: Workspace) -> None:
    (pinned.specs / "quiz.jsonl").unlink()
    refused(pinned, "missing-data")
    shutil.rmtree(pinned.specs)
    refused(pinned, "unreadable-spec")


def test_the_refusal_is_data_with_json(pinned: Workspace) -> None:
    pinned.rows("quiz.jsonl", quiz_rows(7))
    done = pinned.call("exec", "p.plan", "--json")
    assert done.code == STALE
    assert [found["code"] for found in done.json["diagnostics"]] == ["stale-plan", "stale-plan"]


def test_a_plan_is_shown_stale_or_not_and_the_first_one_too(pinned: Workspace) -> None:
    shown = pinned.call("plan", "--show", "p.plan")
    assert shown.code == 0, shown.text
    assert "can be run as it is" in shown.err
    pinned.call("exec", "p.plan", "--no-report")
    again = pinned.call("plan", "--show", "p.plan")
    assert again.out == shown.out
    assert "`p.plan` is stale" in again.err
    shutil.rmtree(pinned.specs)
    shutil.rmtree(pinned.cache)
    without = pinned.call("plan", "--show", "p.plan")
    assert (without.code, without.out) == (0, shown.out)
    assert pinned.call("plan", "--show", "p.plan", "--detailed-exitcode").code == STALE


def test_a_shown_plan_is_the_json_that_was_planned(pinned: Workspace) -> None:
    planned = pinned.call("plan", "--json").json
    shown = pinned.call("plan", "--show", "p.plan", "--json").json
    assert shown.pop("pinned") == {"stale": False, "changes": []}
    assert shown == planned
    pinned.rows("quiz.jsonl", quiz_rows(7))
    shown = pinned.call("plan", "--show", "p.plan", "--json").json
    assert shown["pinned"]["stale"]
    assert "data of dataset" in shown["pinned"]["changes"][0]["message"]


def test_json_says_when_there_is_nothing_to_do(pinned: Workspace) -> None:
    assert pinned.call("plan", "--show", "p.plan", "--detailed-exitcode").code == 6
    pinned.call("exec", "p.plan", "--no-report")
    done = pinned.call("plan", "--json", "--out", "q.plan", "--detailed-exitcode")
    assert (done.code, done.json["nothing_to_run"]) == (0, True)
    assert pinned.call("plan", "--show", "q.plan", "--json").json["nothing_to_run"]
    ran = pinned.call("exec", "q.plan", "--no-report")
    assert ran.code == 0
    assert "nothing to run" in ran.err


def test_a_plan_can_be_kept_anywhere_and_written_over(pinned: Workspace) -> None:
    before = (pinned.root / "p.plan").read_text()
    assert pinned.call("plan", "--out", "p.plan").code == 0
    assert (pinned.root / "p.plan").read_text() == before
    done = pinned.call("plan", "--out", "missing/p.plan")
    assert done.code == 2
    assert "plan-unwritable" in done.err


def test_nothing_is_selected_beside_a_pinned_plan(pinned: Workspace) -> None:
    for arguments in (["--task", "quiz"], ["--set", "tasks.quiz.description=x"], ["specs"]):
        done = pinned.call("exec", "p.plan", *arguments)
        assert done.code == 2
        assert "plan-options" in done.err


def broken(content: dict[str, Any]) -> dict[str, str]:
    """Texts that are no pinned plan, by what is wrong with them."""
    text = json.dumps(content)
    return {
        "not JSON": text[: len(text) // 2],
        "not a pinned plan": "{}",
        "another version": json.dumps({**content, "schema": "evalc.pinned/9"}),
        "was changed": text.replace("quiz", "quix"),
    }


def test_a_malformed_plan_is_a_diagnostic(pinned: Workspace) -> None:
    content = json.loads((pinned.root / "p.plan").read_text())
    for what, text in broken(content).items():
        (pinned.root / "p.plan").write_text(text)
        for arguments in (["exec", "p.plan"], ["plan", "--show", "p.plan"]):
            done = pinned.call(*arguments)
            assert done.code == 2
            assert "bad-plan" in done.err
            assert what in done.err
    (pinned.root / "p.plan").write_bytes(b"{\xff")
    assert pinned.call("exec", "p.plan").code == 2
    (pinned.root / "p.plan").unlink()
    assert "cannot be read" in pinned.call("plan", "--show", "p.plan").err


def test_a_cache_that_was_named_is_part_of_the_file(pinned: Workspace, tmp_path: Path) -> None:
    shutil.copytree(pinned.cache, tmp_path / "named")
    pinned.call("plan", "--out", "p.plan", "--cache", "named")
    assert pinned.call("exec", "p.plan", "--no-report").code == 0
    assert pinned.planned().to_run == 30
    done = pinned.call("exec", "p.plan", "--cache", "named")
    assert done.code == STALE


def test_an_interrupted_run_of_a_plan_can_be_gone_on_with(
    pinned: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("evalc.run.turns.PACK_REQUESTS", {"cpu": 4, "cuda": 4})
        patch.setattr("evalc.plan.why.record", _stop)
        assert pinned.call("exec", "p.plan").code == 130
    done = refused(pinned, "have been answered since", "run `evalc exec` with the same selection")
    assert done.code == STALE


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("ask",), None, "ask"),
        (("ask", "paths"), [], "ask.paths"),
        (("ask", "paths"), ["a\0b"], "ask.paths.0"),
        (("ask", "no_hooks"), "no", "ask.no_hooks"),
        (("pins", "cells"), [["m"]], "pins.cells.0"),
        (("pins", "keys", "count"), -1, "pins.keys.count"),
        (("pins", "remaining"), {}, "pins.remaining"),
        (("plan", "total"), "x", "plan.total"),
        (("plan", "cells"), [{}], "plan.cells.0"),
        (("plan", "total", "estimate", "usd"), "1", "plan.total.estimate.usd"),
        (("evalc",), 1, "evalc"),
    ],
)
def test_a_plan_that_was_written_by_hand_is_checked_for_its_shape(
    pinned: Workspace, path: tuple[str, ...], value: Any, where: str
) -> None:
    by_hand(pinned, path, value)
    for command in (("exec", "p.plan"), ("plan", "--show", "p.plan")):
        done = pinned.call(*command)
        assert done.code == 2, done.text
        assert "[bad-plan]" in done.err and f"its `{where}" in done.err


@pytest.mark.parametrize("bits", ["", "!", "eA==", "A" * 3])
def test_a_plan_that_does_not_say_what_was_missing_is_stale(pinned: Workspace, bits: str) -> None:
    by_hand(pinned, ("pins", "remaining", "bits"), bits)
    refused(pinned, "records that it counted on have gone from the cache")


def by_hand(pinned: Workspace, path: tuple[str, ...], value: Any) -> None:
    """Change a member of the pinned plan, and its digest with it."""
    file = pinned.root / "p.plan"
    content = json.loads(file.read_text())
    del content["digest"]
    inner = content
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    file.write_text(json.dumps({**content, "digest": digest(content)}))
