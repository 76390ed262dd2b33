"""One `check` tells of metrics, hooks, templates and data; and warns of what is hardly meant."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest

from evalc.spec import doubts, load
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

TASK = SUMS.replace("[tasks.sums]", "[tasks.{0}]").partition("[tasks")[2]


def task(name: str, old: str = "", new: str = "") -> str:
    """The sums under another name, with one thing changed."""
    text = "[tasks" + SUMS.partition("[tasks")[2].replace("tasks.sums", f"tasks.{name}")
    text = text.replace(".sums]", f".{name}]")
    assert old in text
    return text.replace(old, new, 1)


def test_faults_of_metrics_hooks_templates_and_data_come_in_one_round(workspace: Workspace) -> None:
    workspace.write(
        QUIZ,
        SUMS,
        task("a", '"exact_match"', '"exact_mtch"'),
        task("b", '"exact_match"', '"exact_match", "judge:absent"'),
        task("c", "{{ question }} =", "{{ question"),
        task("d", "{{ answer }}", "{{ anwser }}"),
        task("e", '"exact_match"', '"exact_match", "nowhere:hook"'),
        task("f", "{{ question }} =", "{{ 1 / 0 }}").replace('"exact_match"', '"nothing"'),
    )
    (workspace.specs / "judge.py").write_text("def other(case):\n    return 1.0\n")
    workspace.rows("quiz.jsonl", [*quiz_rows(2), {"question": "x", "choices": "no", "answer": 0}])
    workspace.rows("sums.jsonl", sum_rows(2))
    done = workspace.call("check", "specs")
    assert done.code == 2
    for phrase in ("unknown-metric", "unknown-hook", "template-syntax", "undefined-variable",
                   "`nowhere:hook`", "bad-choices", "template-failed", "`nothing`"):  # fmt: skip
        assert phrase in done.err, phrase


def test_a_table_that_cannot_be_read_hides_no_other(workspace: Workspace) -> None:
    workspace.write(QUIZ, task("d", "{{ answer }}", "{{ anwser }}"), "[datasets.x]\nrows = 3\n")
    workspace.write(SUMS.replace('"sums.jsonl"', "7"), name="sums.toml", header=False)
    workspace.rows("quiz.jsonl", [{"question": "x", "choices": "no", "answer": 0}])
    done = workspace.call("check", "specs")
    assert "wrong-type" in done.err and "bad-choices" in done.err and "missing-key" in done.err
    assert "internal error" not in done.err


SHOTS = "dataset = \"sums\", k = 1, template = '{{ question }}\\n'"
LITERAL = [
    ("prompt   = \"{{ question }} =\"", "prompt   = '{{ question }}\\nA:'", "prompt"),
    ('stop = ["\\n"]', "stop = ['\\n\\n']", "generate.stop[0]"),
    ('target   =', "description = 'Add.\\n'\ntarget   =", "description"),
    ('target   =', f"fewshot = {{ {SHOTS} }}\ntarget =", "fewshot.template"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key"), LITERAL)
def test_an_escape_in_single_quotes_is_warned_of(
    workspace: Workspace, old: str, new: str, key: str
) -> None:
    assert old in SUMS
    workspace.write(SUMS.replace(old, new))
    workspace.rows("sums.jsonl", sum_rows(2))
    found = [one for one in doubts(load([workspace.specs])) if one.code == "literal-escape"]
    assert [one.message.split("`")[1] for one in found] == [f"tasks.sums.{key}"]
    for command in ("check", "plan", "plan"):
        done = workspace.call(command, "specs")
        assert done.code == 0, done.err
        assert "warning[literal-escape]" in done.err
        assert "spec.toml:" in done.err
        assert "hint: write it in double quotes, where `\\n` is the end of a line" in done.err


@pytest.mark.parametrize(
    "prompt",
    ["'{{ \"\\n\".join([question]) }}'", "'$a \\neq b$ {{ question }}'", '"{{ question }}\\n"'],
)
def test_what_is_meant_is_not_warned_of(workspace: Workspace, prompt: str) -> None:
    workspace.write(SUMS.replace('"{{ question }} ="', prompt))
    assert doubts(load([workspace.specs])) == []


def test_a_prompt_without_a_placeholder_is_warned_of(workspace: Workspace) -> None:
    workspace.write(SUMS.replace("{{ question }} =", "What is it?"))
    (found,) = doubts(load([workspace.specs]))
    assert (found.code, found.severity) == ("constant-prompt", "warning")
    workspace.write(QUIZ.replace("{{ question }}", "Which is right?"))
    assert doubts(load([workspace.specs])) == []


@pytest.mark.parametrize(
    ("shots", "found"),
    [
        ('template = "{{ question }} = {{ answer }}"', ["joined-shots"]),
        ('template = "{{ question }} = {{ answer }}\\n"', []),
        ('template = "\\n{{ question }} = {{ answer }}"', []),
        ('template = "{{ question }} = {{ answer }}", separator = "\\n"', []),
    ],
)
def test_shots_that_run_into_each_other_are_warned_of(
    workspace: Workspace, shots: str, found: list[str]
) -> None:
    line = f'fewshot = {{ dataset = "sums", k = 2, {shots} }}\ntarget   ='
    workspace.write(SUMS.replace("target   =", line))
    assert [one.code for one in doubts(load([workspace.specs]))] == found


@pytest.mark.parametrize("metric", ["pass@3", "pass^2", "maj@3"])
def test_several_answers_at_temperature_0_are_refused_before_a_model_is_asked(
    workspace: Workspace, metric: str
) -> None:
    text = SUMS.replace("exact_match", metric).replace("max_new_tokens = 4", "repeats = 3")
    workspace.write(text)
    workspace.rows("sums.jsonl", sum_rows(2))
    for command in ("check", "plan", "exec"):
        done = workspace.call(command, "specs")
        assert (done.code, "at temperature 0 every answer to a case is the same" in done.err) == (
            2,
            True,
        )
        assert "generate.temperature" in done.err and "spec.toml:" in done.err
    workspace.write(text.replace("repeats = 3", "repeats = 3, temperature = 0.7"))
    assert workspace.call("check", "specs").code == 0


def test_a_name_of_the_hub_without_its_prefix_is_proposed(workspace: Workspace) -> None:
    workspace.write(QUIZ.replace('"quiz.jsonl"', '"allenai/ai2_arc"'))
    done = workspace.call("check", "specs")
    assert "for the dataset on the Hub write `hf:allenai/ai2_arc/default/train`" in done.err
    workspace.quiz(2)
    named = 'models.m.path="HuggingFaceTB/SmolLM2-135M"'
    done = workspace.call("plan", "specs", "--set", named)
    assert "for the model on the Hub write `hf:HuggingFaceTB/SmolLM2-135M`" in done.err
    done = workspace.call("plan", "specs", "--set", 'models.m.path="../nowhere"')
    assert "hf:" not in done.err


def test_a_mistyped_command_of_the_cache_is_told_the_near_one(workspace: Workspace) -> None:
    done = workspace.call("cache", "verfy")
    assert (done.code, "Did you mean 'verify'?" in done.err) == (2, True)


@pytest.mark.parametrize("kind", ["t5", "bart", "whisper"])
def test_encoder_decoders_are_refused_by_name_before_they_are_loaded(
    workspace: Workspace, kind: str
) -> None:
    workspace.quiz(2)
    config = {"model_type": kind, "is_encoder_decoder": True, "d_model": 8, "vocab_size": 300}
    own = workspace.root / kind
    shutil.copytree(workspace.model, own)
    (own / "config.json").write_text(json.dumps(config))
    for command in ("plan", "exec"):
        done = workspace.call(command, "specs", "--set", f'models.m.path="{own}"')
        assert done.code == 2
        assert f"error[bad-model]: model `m` is an encoder-decoder (`{kind}`)" in done.err
        assert "hint: name a model that is a decoder alone" in done.err


def test_a_tokenizer_model_without_its_package_names_the_package(workspace: Workspace) -> None:
    if importlib.util.find_spec("sentencepiece") is not None:
        pytest.skip("sentencepiece is installed")
    workspace.quiz(2)
    own = workspace.root / "own"
    shutil.copytree(workspace.model, own)
    (own / "tokenizer.json").unlink()
    (own / "tokenizer.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>")
    done = workspace.call("plan", "specs", "--set", f'models.m.path="{own}"')
    assert (done.code, "error[missing-package]" in done.err) == (2, True), done.text
    assert "which needs `sentencepiece`" in done.err
    assert "pip install sentencepiece" in done.err
