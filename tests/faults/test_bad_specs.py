"""A wrong spec, or a wrong request for one, stops everything before it starts.

The faults of one table or file by themselves are in tests/corpus; here they meet the commands.
"""

from __future__ import annotations

import pytest

from workspaces import QUIZ, SUMS, Workspace, quiz_rows


@pytest.fixture
def quiz(workspace: Workspace) -> Workspace:
    workspace.quiz(4)
    return workspace


def refused(workspace: Workspace, code: str, *options: str) -> str:
    """What `exec` says; it must refuse by `code`, with nothing asked and nothing recorded."""
    done = workspace.call("exec", "specs", *options)
    assert done.code == 2, done.text
    assert f"[{code}]" in done.err, done.err
    assert "internal error" not in done.err
    assert done.out == ""
    assert workspace.untouched()
    plan = workspace.call("plan", "specs", *options)
    assert (plan.code, plan.err) == (2, done.err), "plan finds what exec finds"
    return done.err


@pytest.mark.parametrize(
    ("old", "new", "code", "phrase"),
    [
        ("prompt ", "promt ", "unknown-key", "did you mean `prompt`?"),
        ('"{{ question }}"', "3", "wrong-type", "prompt"),
        ('dataset = "quiz"', 'dataset = "quizz"', "unknown-dataset", "did you mean `quiz`?"),
        ("{{ question }}", "{{ question", "template-syntax", "spec.toml:10:"),
        ('"multiple_choice"', '"multiple-choice"', "wrong-value", "multiple_choice"),
        ('target  = "{{ answer }}"\n', "", "missing-key", "target"),
        ('"acc_norm"', '"acc_nrom"', "unknown-metric", "did you mean `acc_norm`?"),
        ("evalc = 1", "evalc = 2", "unsupported-version", "spec.toml:1:"),
        ("[tasks.quiz]", "[tasks.quiz", "toml-syntax", "spec.toml:7:"),
        ("{{ question }}", "{{ queston }}", "undefined-variable", "did you mean `question`?"),
        ("{{ question }}", "{{ 1 / 0 }}", "template-failed", "quiz.jsonl:1"),
        ("{{ answer }}", "{{ question }}", "bad-target", "quiz.jsonl:1"),
        ("{{ answer }}", "{{ 4 }}", "bad-target", "beyond the 4 choices"),
        ("{{ choices }}", "{{ question }}", "bad-choices", "not a list"),
        ("{{ choices }}", "{{ [] }}", "bad-choices", "no choices"),
    ],
)
def test_a_fault_in_a_spec_is_placed_and_nothing_runs(
    quiz: Workspace, old: str, new: str, code: str, phrase: str
) -> None:
    path = quiz.specs / "spec.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    said = refused(quiz, code)
    assert phrase in said
    assert "spec.toml:" in said


def test_one_name_in_two_files_shows_both_places(quiz: Workspace) -> None:
    quiz.write(QUIZ, name="again.toml", header=False)
    said = refused(quiz, "duplicate-name")
    assert "spec.toml:" in said
    assert "again.toml:" in said


def test_faults_of_all_files_come_at_once(quiz: Workspace) -> None:
    quiz.write(QUIZ.replace("prompt", "promt"))
    quiz.write(SUMS.replace("target ", "targett "), name="sums.toml", header=False)
    said = refused(quiz, "unknown-key")
    assert "`promt`" in said
    assert "`targett`" in said


@pytest.mark.parametrize(
    ("options", "code", "phrase"),
    [
        (["--task", "quizz"], "unknown-task", "did you mean `quiz`?"),
        (["--task", "nothing_*"], "empty-match", "nothing_*"),
        (["--task", "tag:none"], "empty-match", "tag:none"),
        (["--suite", "nightly"], "unknown-suite", "nightly"),
        (["--model", "n"], "unknown-model", "m"),
        (["--tier", "smok"], "unknown-tier", "smok"),
        (["--set", "tasks.quiz.prompt"], "bad-set", "tasks.quiz.prompt"),
        (["--set", "tasks.quiz.promt=1"], "unknown-key", "promt"),
        (["--set", "tasks.quiz.metrics=3"], "wrong-type", "--set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_request_is_refused(
    quiz: Workspace, options: list[str], code: str, phrase: str
) -> None:
    assert phrase in refused(quiz, code, *options)


def test_a_spec_that_is_not_there_is_refused(workspace: Workspace) -> None:
    for path in ("specs", "nowhere.toml"):
        done = workspace.call("exec", path)
        assert (done.code, "[unreadable-spec]" in done.err) == (2, True)
    workspace.specs.mkdir()
    refused(workspace, "unreadable-spec")


def test_a_spec_without_a_task_or_model_has_nothing_to_run(workspace: Workspace) -> None:
    workspace.write()
    refused(workspace, "empty-selection")


def test_suites_of_different_tiers_need_one_named(quiz: Workspace) -> None:
    suite = '[suites.{0}]\nmodels = ["m"]\ntasks = ["quiz"]\ntier = "{0}"\n[tiers.{0}]\ncases = 1\n'
    quiz.write(QUIZ, suite.format("one"), suite.format("two"))
    refused(quiz, "tier-conflict")


def test_more_shots_than_rows_are_refused(quiz: Workspace) -> None:
    shots = 'fewshot = {{ dataset = "quiz", k = {}, template = "{{{{ question }}}}" }}\n'
    quiz.write(QUIZ, shots.format(4))
    assert "fewshot" in refused(quiz, "too-few-shots")
    quiz.write(QUIZ, shots.format(3))
    assert quiz.call("plan", "specs").code == 0


def test_a_variable_of_the_shots_is_checked_against_their_own_columns(quiz: Workspace) -> None:
    quiz.rows("shots.jsonl", [{"q": "x"}])
    shots = '[datasets.shots]\npath = "shots.jsonl"\n'
    fewshot = 'fewshot = { dataset = "shots", k = 1, template = "{{ question }}" }\n'
    quiz.write(QUIZ, fewshot, shots)
    said = refused(quiz, "undefined-variable")
    assert "the dataset's columns are: q" in said


def test_a_context_longer_than_the_model_is_refused_or_cut(quiz: Workspace) -> None:
    quiz.rows("quiz.jsonl", [*quiz_rows(2), {**quiz_rows(1)[0], "question": "x" * 300}])
    said = refused(quiz, "context-too-long")
    assert "quiz.jsonl:3" in said
    assert 'overflow = "truncate"' in said
    cut = ("--set", "tasks.quiz.overflow=truncate")
    plan = quiz.call("plan", "specs", *cut)
    assert "warning: quiz: 1 context was cut at the left" in plan.out
    assert quiz.call("exec", "specs", "--json", *cut).json["complete"]


def test_a_choice_longer_than_the_model_is_refused_even_when_cutting(quiz: Workspace) -> None:
    row = {**quiz_rows(1)[0], "choices": ["x" * 300, "y", "z", "w"]}
    quiz.rows("quiz.jsonl", [row])
    refused(quiz, "context-too-long", "--set", "tasks.quiz.overflow=truncate")


def test_a_choice_that_adds_no_token_is_refused(quiz: Workspace) -> None:
    row = {"question": "ab", "choices": ["cd", "x", "y", "z"], "answer": 0}
    quiz.rows("quiz.jsonl", [row])
    quiz.write(QUIZ, 'delimiter = ""\n')
    assert "quiz.jsonl:1" in refused(quiz, "empty-continuation")


def test_a_hook_is_refused_where_hooks_are_forbidden(quiz: Workspace) -> None:
    quiz.write(QUIZ.replace('"acc", "acc_norm"', '"scoring:own"'))
    (quiz.specs / "scoring.py").write_text("raise SystemExit('it ran')\n")
    refused(quiz, "hook-refused", "--no-hooks")


LONG = "x" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", LONG],
        ["plan", LONG],
        ["exec", f"specs/{LONG}/a.toml"],
        ["plan", "specs", "--out", LONG],
        ["plan", "specs", "--cache", LONG],
        ["report", "specs", "--html", LONG],
        ["report", "specs", "--junit", f"{LONG}/a.xml"],
        ["diff", LONG, f"{LONG}/b.json"],
        ["init", LONG],
        ["cache", "stat", "--cache", LONG],
        ["cache", "merge", LONG],
        ["cache", "import", LONG],
        ["cache", "export", LONG],
    ],
    ids=lambda arguments: " ".join(arguments)[:24],
)
def test_a_path_that_no_file_system_holds_is_refused(
    arguments: list[str], workspace: Workspace
) -> None:
    workspace.quiz()
    done = workspace.call(*arguments)
    assert done.code in (1, 2)
    assert "internal error" not in done.text


def test_a_variable_may_not_make_a_path_too_long(workspace: Workspace) -> None:
    workspace.write(
        f'[paths]\nx = "{"y" * 200}"\n', QUIZ.replace('path = "', f'path = "${{x}}{"z" * 100}/')
    )
    assert "cannot be looked for: file name too long" in refused(workspace, "missing-data")
