"""An edit re-runs exactly the cases whose requests it changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger import asked, fresh, plan, remaining, report, results, to_run

from evalc.plan.tokenizers import bundle
from tiny_models import CHATML, MERGES, write_model, write_rows
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

SHOTS = """
[datasets.shots]
path = "shots.jsonl"
[tasks.shots]
dataset  = "sums"
type     = "generate"
prompt   = "{{ question }} ="
target   = "{{ answer }}"
generate = { max_new_tokens = 3 }
metrics  = ["exact_match"]
[tasks.shots.fewshot]
dataset   = "shots"
k         = 2
select    = "random"
seed      = 1
template  = "{{ question }} = {{ answer }}"
separator = "; "
"""
QUIZ_CELL, SUMS_CELL, SHOTS_CELL = ("m", "quiz"), ("m", "sums"), ("m", "shots")


@pytest.fixture
def three(workspace: Workspace) -> Workspace:
    """A quiz (24 requests), sums (6) and sums after two shots (6), all answered."""
    workspace.both()
    workspace.write(QUIZ, SUMS, SHOTS)
    shots = [{"question": f"{n} + 50", "answer": str(n + 50)} for n in range(40)]
    write_rows(workspace.specs / "shots.jsonl", shots)
    assert asked(workspace) == 36
    return workspace


EDITS = {
    "whitespace in the prompt": ("tasks.sums.prompt='{{ question }}  ='", {SUMS_CELL: 6}),
    "whitespace at the end": ("tasks.sums.prompt='{{ question }} = '", {SUMS_CELL: 6}),
    "longest answer": ("tasks.sums.generate.max_new_tokens=5", {SUMS_CELL: 6}),
    "stop": ("tasks.sums.generate.stop=['.']", {SUMS_CELL: 6}),
    "temperature": ("tasks.sums.generate.temperature=0.5", {SUMS_CELL: 6}),
    "seed of the shots": ("tasks.shots.fewshot.seed=2", {SHOTS_CELL: 6}),
    "number of shots": ("tasks.shots.fewshot.k=1", {SHOTS_CELL: 6}),
    "separator of the shots": ("tasks.shots.fewshot.separator='\n'", {SHOTS_CELL: 6}),
    "seed of a greedy task": ("tasks.sums.generate.seed=7", {}),
    "repeats of a greedy task": ("tasks.sums.generate.repeats=3", {}),
    "one choice": (
        "tasks.quiz.choices=['red', 'green', 'blue', 'black']",
        {QUIZ_CELL: 6},
    ),
    "target": ("tasks.quiz.target='{{ 3 - answer }}'", {}),
    "delimiter": ("tasks.quiz.delimiter='  '", {QUIZ_CELL: 24}),
    "sample": ("datasets.quiz.rows='0:3'", {}),
}


@pytest.mark.parametrize(("edit", "expected"), EDITS.values(), ids=EDITS)
def test_an_edited_key_reaches_exactly_its_own_requests(
    three: Workspace, edit: str, expected: dict[tuple[str, str], int]
) -> None:
    """I4, lm-eval #4123 (prompt), #3881 (generation settings), #4084 (shots): stale answers."""
    assert remaining(three, "--set", edit) == expected
    assert asked(three, "--set", edit) == sum(expected.values())
    assert asked(three) == 0, "the answers of before are still there"


def test_one_edited_row_is_one_case(three: Workspace) -> None:
    """I4, lm-eval #4123: a corrected row is asked again, and no other."""
    rows = quiz_rows(6)
    rows[4]["question"] += "?"
    three.rows("quiz.jsonl", rows)
    assert remaining(three) == {QUIZ_CELL: 4}
    assert asked(three) == 4


def test_an_edited_shot_reaches_only_the_tasks_that_draw_it(three: Workspace) -> None:
    """I4, lm-eval #4084: shots act through the prompts that hold them."""
    shots = [{"question": f"{n} + 51", "answer": str(n + 51)} for n in range(40)]
    write_rows(three.specs / "shots.jsonl", shots)
    assert remaining(three) == {SHOTS_CELL: 6}
    assert asked(three) == 6


@pytest.fixture
def talking(workspace: Workspace) -> Workspace:
    """A model with a chat template of its own, asked with and without it."""
    model = write_model(workspace.root / "talker", chat=CHATML)
    made = Workspace(workspace.root, model)
    made.both()
    chat = f"[models.chat]\npath = {json.dumps(str(model))}\nchat = true\n"
    made.write(QUIZ, SUMS, chat)
    bundle(model, made.cache, False, None)
    return made


def test_a_chat_template_reaches_only_the_model_that_chats(talking: Workspace) -> None:
    """I4, lm-eval #3881: an edited chat template is another prompt."""
    assert asked(talking) == 60
    template = talking.model / "chat_template.jinja"
    template.write_text(CHATML.replace("<|start|>assistant", "<|start|>helper"))
    assert remaining(talking) == {("chat", "quiz"): 24, ("chat", "sums"): 6}
    assert asked(talking) == 30
    template.write_text("{# a comment #}" + CHATML)
    assert asked(talking) == 0, "the template of before, but for a comment"


def test_a_tokenizer_reaches_only_the_texts_that_it_cuts_otherwise(
    workspace: Workspace, tmp_path: Path
) -> None:
    """I4, lm-eval #4105: a tokenizer file acts through token ids, and nowhere else."""
    mine = Workspace(workspace.root, shutil.copytree(workspace.model, tmp_path / "mine"))
    rows = sum_rows(6)
    rows[1]["question"] += " x"
    rows[4]["question"] += " x"
    mine.write(SUMS)
    mine.rows("sums.jsonl", rows)
    assert asked(mine) == 6
    path = mine.model / "tokenizer.json"
    fields = json.loads(path.read_text())
    assert " x" in MERGES
    kept = [merge for merge in fields["model"]["merges"] if merge not in (["Ġ", "x"], "Ġ x")]
    assert len(kept) == len(fields["model"]["merges"]) - 1
    fields["model"]["merges"] = kept
    path.write_text(json.dumps(fields))
    assert remaining(mine) == {SUMS_CELL: 2}
    assert asked(mine) == 2


def reordered(text: str) -> str:
    """The keys of every table of the quiz in another order."""
    head, _, body = text.partition("[tasks.quiz]\n")
    return head + "[tasks.quiz]\n" + "".join(sorted(body.splitlines(keepends=True)))


SUITE_AND_TIER = '[suites.s]\nmodels=["m"]\ntasks=["quiz"]\n[tiers.smoke]\ncases=2\n'
HARMLESS: dict[str, Callable[[], tuple[str, ...]]] = {
    "comment": lambda: ("# why\n", QUIZ.replace("\n", "  # said\n", 1), SUMS),
    "formatting": lambda: (QUIZ.replace("= ", "=    "), "\n\n", SUMS.replace("    = ", "=")),
    "order of keys": lambda: (reordered(QUIZ), SUMS),
    "order of tables": lambda: (SUMS, QUIZ),
    "name of a task": lambda: (QUIZ.replace("tasks.quiz", "tasks.trivia"), SUMS),
    "name of a dataset": lambda: (
        QUIZ.replace("datasets.quiz", "datasets.rows").replace('= "quiz"', '= "rows"'),
        SUMS,
    ),
    "tag": lambda: (QUIZ + 'tags = ["new"]\n', SUMS),
    "suite and tier": lambda: (QUIZ, SUMS, SUITE_AND_TIER),
    "an escape for a letter": lambda: (
        QUIZ.replace('"{{ question }}"', '"{{ \\u0071uestion }}"'),
        SUMS,
    ),
}


@pytest.mark.parametrize("edit", HARMLESS.values(), ids=HARMLESS)
def test_what_no_prompt_shows_re_runs_nothing(
    workspace: Workspace, edit: Callable[[], tuple[str, ...]]
) -> None:
    """I5, lm-eval #4123: keys from a rendered configuration change with its comments and names."""
    workspace.both()
    assert asked(workspace) == 30
    workspace.write(*edit())
    assert asked(workspace) == 0


COUNTED = """\
from pathlib import Path

def judge(case):
    with Path(__file__).with_name("calls").open("a") as file:
        file.write("judge\\n")
    return 0.25
"""


@pytest.fixture
def scored(workspace: Workspace) -> Workspace:
    """Three sums, answered, and scored once by a hook that counts its calls."""
    workspace.write(SUMS.replace('["exact_match"]', '["immune_scorer:judge"]'))
    workspace.rows("sums.jsonl", sum_rows(3))
    (workspace.specs / "immune_scorer.py").write_text(COUNTED)
    assert asked(workspace) == 3
    assert judged(workspace) == (0.25, 3)
    return workspace


def judged(workspace: Workspace) -> tuple[float, int]:
    """The mean of the first metric, and how many cases the hook was called for.

    In a process that has not imported the scorer before.
    """
    calls = workspace.specs / "calls"
    calls.write_text("")
    done = workspace.run("report", "--json")
    assert done.code == 0, done.text
    metric, *_ = done.json["results"][0]["metrics"]
    return float(metric["value"]), len(calls.read_text().split())


def test_an_edited_scorer_scores_again_and_asks_nothing(scored: Workspace) -> None:
    """I6, deepeval #3047: a cached score outlived the scorer that gave it."""
    records = scored.records()
    assert judged(scored) == (0.25, 0)
    scorer = scored.specs / "immune_scorer.py"
    scorer.write_text(COUNTED.replace("0.25", "0.75"))
    assert to_run(scored) == 0
    assert judged(scored) == (0.75, 3), "all cases, and by the new source"
    assert judged(scored) == (0.75, 0)
    scorer.write_text(COUNTED)
    assert judged(scored) == (0.25, 0)
    assert scored.records() == records


def test_an_edit_beside_a_scorer_scores_nothing_again(scored: Workspace) -> None:
    """I6: nor is a score computed anew for what no scorer sees."""
    (scored.specs / "other.py").write_text("# nothing imports this\n")
    spec = scored.specs / "spec.toml"
    spec.write_text("# said\n" + spec.read_text().replace("tasks.sums", "tasks.additions"))
    assert judged(scored) == (0.25, 0)
    assert asked(scored) == 0


def test_a_new_metric_beside_a_hook_runs_alone(scored: Workspace) -> None:
    """I7: what is there already is not computed again for what is new beside it."""
    spec = scored.specs / "spec.toml"
    both = '["immune_scorer:judge", "f1", "immune_jury:sit"]'
    spec.write_text(spec.read_text().replace('["immune_scorer:judge"]', both))
    (scored.specs / "immune_jury.py").write_text(
        COUNTED.replace("judge", "sit").replace("0.25", "0.5")
    )
    assert judged(scored) == (0.25, 3), "the calls are those of the new hook"
    assert set((scored.specs / "calls").read_text().split()) == {"sit"}
    assert judged(scored) == (0.25, 0)
    assert asked(scored) == 0


def test_a_new_metric_is_computed_from_the_records(workspace: Workspace) -> None:
    """I7, evalscope #767: a metric added later made it ask the model again."""
    workspace.both()
    assert asked(workspace) == 30
    runs = len(report(workspace)["runs"])
    for edit in ('tasks.quiz.metrics=["acc_bytes", "acc"]', 'tasks.sums.metrics=["f1"]'):
        assert asked(workspace, "--set", edit) == 0
    found = results(workspace, "--set", 'tasks.quiz.metrics=["acc_bytes", "acc"]')
    (quiz,) = [result for result in found if result["task"] == "quiz"]
    assert [metric["metric"] for metric in quiz["metrics"]] == ["acc_bytes", "acc"]
    assert quiz["scored"] == 6
    assert len(report(workspace)["runs"]) == runs


def test_a_larger_limit_asks_only_what_it_adds(workspace: Workspace) -> None:
    """I8: from 100 cases to 200 are 100 new ones; other harnesses start from the beginning."""
    workspace.write(SUMS, "[tiers.hundred]\ncases = 100\n[tiers.more]\ncases = 200\n")
    workspace.rows("sums.jsonl", sum_rows(300))
    short = ("--set", "tasks.sums.generate.max_new_tokens=1")
    assert asked(workspace, "--tier", "hundred", *short) == 100
    assert plan(workspace, "--tier", "more", *short)["total"]["cached"] == 100
    assert asked(workspace, "--tier", "more", *short) == 100
    assert asked(workspace, "--tier", "hundred", *short) == 0
    assert asked(workspace, *short) == 100


def test_rows_in_another_order_are_the_same_cases(workspace: Workspace) -> None:
    """I4, lm-eval #3881: keys by position give the answers of one row to another."""
    workspace.both()
    assert asked(workspace) == 30
    before = {case["id"]: case for result in results(workspace) for case in result["cases"]}
    workspace.rows("quiz.jsonl", quiz_rows(6)[::-1])
    assert asked(workspace) == 0
    after: dict[str, Any] = {c["id"]: c for result in results(workspace) for c in result["cases"]}
    assert after == before
    assert to_run(fresh(workspace, "again")) == 30
