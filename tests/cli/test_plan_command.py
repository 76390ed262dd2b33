"""`evalc plan`: what it counts, what it says, and how it ends."""

from __future__ import annotations

import json

import pytest

from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

COUNTS = (
    "cases",
    "requests",
    "deduped",
    "cached",
    "to_run",
    "prefill_tokens",
    "prefill_tokens_unshared",
    "decode_tokens_bound",
)
PRICE = "[cost]\nusd_per_hour = 3600.0\n"


@pytest.fixture
def planned(workspace: Workspace) -> Workspace:
    workspace.both()
    workspace.write(QUIZ, SUMS, PRICE)
    return workspace


def test_the_json_of_a_plan_holds_counts_and_estimates_by_task_and_in_total(
    planned: Workspace,
) -> None:
    done = planned.call("plan", "specs", "--json")
    assert (done.code, done.err) == (0, "")
    plan = done.json
    assert plan["schema"] == "evalc.plan/1"
    assert (plan["tier"], plan["nothing_to_run"]) == ("full", False)
    assert [(c["model"], c["task"]) for c in plan["cells"]] == [("m", "quiz"), ("m", "sums")]
    for count in COUNTS:
        assert plan["total"][count] == sum(cell[count] for cell in plan["cells"]), count
    quiz, sums = plan["cells"]
    assert [quiz[count] for count in COUNTS[:5]] == [6, 24, 0, 0, 24]
    assert [sums[count] for count in COUNTS[:5]] == [6, 6, 0, 0, 6]
    assert (quiz["decode_tokens_bound"], sums["decode_tokens_bound"]) == (0, 24)
    assert 0 < quiz["prefill_tokens"] < quiz["prefill_tokens_unshared"]
    estimates = [cell["estimate"] for cell in plan["cells"]]
    for key in ("flops", "seconds", "usd"):
        whole = sum(estimate[key] for estimate in estimates)
        assert plan["total"]["estimate"][key] == pytest.approx(whole)
        assert whole > 0
    assert plan["total"]["estimate"]["usd"] == pytest.approx(plan["total"]["estimate"]["seconds"])
    assert {estimate["basis"] for estimate in estimates} == {"guess"}


def test_without_a_price_there_is_no_money(workspace: Workspace) -> None:
    workspace.quiz()
    plan = workspace.call("plan", "specs", "--json").json
    assert plan["total"]["estimate"]["usd"] is None
    table = workspace.call("plan", "specs").out
    assert next(line for line in table.splitlines() if line.startswith("total")).endswith("-")


def test_the_table_names_its_columns_tasks_and_total(planned: Workspace) -> None:
    done = planned.call("plan", "specs")
    head, quiz, sums, total, *_ = done.out.splitlines()
    for name in ("cases", "requests", "deduped", "cached", "to run", "prefill", "unshared",
                 "decode", "time", "USD"):  # fmt: skip
        assert name in head
    assert quiz.split()[:7] == ["m", "quiz", "6", "24", "0", "0", "24"]
    assert sums.split()[:7] == ["m", "sums", "6", "6", "0", "0", "6"]
    assert total.split()[:6] == ["total", "12", "30", "0", "0", "30"]
    assert "marks a guess" in done.out


def test_a_plan_asks_and_records_nothing(planned: Workspace) -> None:
    assert planned.call("plan", "specs").code == 0
    assert planned.untouched()


def test_the_exit_code_tells_whether_work_remains(planned: Workspace) -> None:
    assert planned.call("plan", "specs").code == 0
    assert planned.call("plan", "specs", "--detailed-exitcode").code == 6
    assert planned.call("exec", "specs", "--no-report").code == 0
    done = planned.call("plan", "specs", "--detailed-exitcode")
    assert done.code == 0
    assert "nothing to run" in done.out
    plan = planned.call("plan", "specs", "--json").json
    assert plan["nothing_to_run"]
    assert plan["total"]["cached"] == 30
    assert plan["total"]["prefill_tokens"] == 0


def test_a_run_that_was_measured_is_no_guess_any_more(planned: Workspace) -> None:
    assert planned.call("exec", "specs", "--no-report").code == 0
    planned.rows("quiz.jsonl", quiz_rows(8))
    planned.rows("sums.jsonl", sum_rows(8))
    done = planned.call("plan", "specs", "--json")
    total = done.json["total"]
    assert (total["cached"], total["to_run"]) == (30, 10)
    assert total["estimate"]["basis"] == "measured"


def test_an_override_changes_the_plan_as_an_edit_would(planned: Workspace) -> None:
    override = "tasks.sums.generate.max_new_tokens=9"
    plan = planned.call("plan", "specs", "--json", "--set", override).json
    assert plan["cells"][1]["decode_tokens_bound"] == 54


def test_a_selection_narrows_the_plan(planned: Workspace) -> None:
    def tasks(*options: str) -> list[str]:
        plan = planned.call("plan", "specs", "--json", *options).json
        return [cell["task"] for cell in plan["cells"]]

    assert tasks("--task", "sums") == ["sums"]
    assert tasks("--task", "q*") == ["quiz"]
    assert tasks("--model", "m", "--task", "quiz", "--task", "sums") == ["quiz", "sums"]


def test_a_tier_plans_a_part_of_the_cases(planned: Workspace) -> None:
    planned.write(QUIZ, SUMS, "[tiers.smoke]\ncases = 2\n")
    plan = planned.call("plan", "specs", "--json", "--tier", "smoke").json
    assert (plan["tier"], plan["total"]["cases"]) == ("smoke", 4)


SPLIT = 'tasks.quiz.delimiter=""'


def test_models_that_read_alike_are_warned_of_once(workspace: Workspace) -> None:
    workspace.write(f"[models.n]\npath = {json.dumps(str(workspace.model))}\n", QUIZ)
    workspace.rows("quiz.jsonl", [{"question": "th", "choices": ["em", "x"], "answer": 0}])
    done = workspace.call("plan", "specs", "--set", SPLIT)
    assert done.out.count("starts inside a token") == 1


def test_a_choice_inside_a_token_is_warned_of(workspace: Workspace) -> None:
    workspace.quiz()
    workspace.rows("quiz.jsonl", [{"question": "th", "choices": ["e", "x"], "answer": 0}])
    done = workspace.call("plan", "specs", "--set", SPLIT)
    assert done.code == 2, "the first choice adds no token"
    workspace.rows("quiz.jsonl", [{"question": "th", "choices": ["em", "x"], "answer": 0}])
    done = workspace.call("plan", "specs", "--set", SPLIT)
    assert "warning: quiz: in 1 case the continuation starts inside a token" in done.out
    assert "`th` goes on with `em` in row" in done.out
    assert "`th` goes on with `em`" in workspace.call("report", "--set", SPLIT).out


def test_several_files_and_folders_are_one_spec(workspace: Workspace) -> None:
    workspace.write(QUIZ, name="quiz.toml")
    workspace.write(SUMS, name="sums.toml", header=False)
    workspace.rows("quiz.jsonl", quiz_rows(2))
    workspace.rows("sums.jsonl", sum_rows(2))
    one = workspace.call("plan", "specs", "--json").json
    two = workspace.call("plan", "specs/quiz.toml", "specs/sums.toml", "--json").json
    assert one == two
    assert workspace.call("plan", "--json").json == one, "`specs` is the default"


def test_the_cache_option_is_where_things_are_kept(workspace: Workspace) -> None:
    workspace.quiz()
    assert workspace.call("plan", "specs", "--cache", "mine").code == 0
    assert (workspace.root / "mine" / "store" / "data.mdb").is_file()
    assert not (workspace.cache / "store").exists()
