"""`evalc exec`, `report` and `diff` on a tiny model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from evalc.store.environment import RECORDS
from tiny_models import BOS, SPECIAL, write_adapter, write_model
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

TEXTS = """
[datasets.texts]
path = "texts.jsonl"
[tasks.texts]
dataset = "texts"
type    = "perplexity"
prompt  = "{{ text }}"
metrics = ["word_perplexity", "bits_per_byte"]
"""


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, bundles: Path
) -> Iterator[Workspace]:
    """Two models of other weights, asked everything."""
    root = tmp_path_factory.mktemp("ran")
    (root / "cache").mkdir()
    (root / "cache" / "tokenizers").symlink_to(bundles)
    made = Workspace(root, tiny_model)
    other = write_model(root / "other", seed=8)
    made.write(QUIZ, SUMS, TEXTS, f'[models.other]\npath = "{other}"\n')
    made.rows("quiz.jsonl", quiz_rows(12))
    made.rows("sums.jsonl", sum_rows(5))
    made.rows("texts.jsonl", [{"text": "the end in there"}, {"text": "under water"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALC_CACHE", str(made.cache))
        done = made.call("exec", "specs", "--json")
        assert done.code == 0, done.err
        (root / "first.json").write_text(done.out)
        yield made


def report(workspace: Workspace, *options: str) -> Any:
    done = workspace.call("report", "specs", "--json", *options)
    assert done.code == 0, done.err
    return done.json


def test_exec_ends_with_the_report_of_what_it_ran(ran: Workspace) -> None:
    found = json.loads((ran.root / "first.json").read_text())
    assert found == report(ran)
    assert found["schema"] == "evalc.report/1"
    assert found["complete"]
    assert [(r["model"], r["task"], r["scored"]) for r in found["results"]] == [
        ("m", "quiz", 12),
        ("m", "sums", 5),
        ("m", "texts", 2),
        ("other", "quiz", 12),
        ("other", "sums", 5),
        ("other", "texts", 2),
    ]


def test_a_report_says_what_the_run_cost_and_what_was_predicted(ran: Workspace) -> None:
    (run,) = report(ran)["runs"]
    assert run["schema"] == "evalc.run/1"
    assert run["asked"] == 2 * (48 + 5 + 2)
    assert run["seconds"] > 0
    assert run["predicted_seconds"] > 0
    assert 0 < run["prefill_tokens_distinct"] < run["prefill_tokens_unshared"]
    assert run["decode_tokens"] > 0


def test_a_report_is_a_table_or_markdown_too(ran: Workspace) -> None:
    table = ran.call("report", "specs").out
    assert "quiz" in table
    assert "acc_norm" in table
    markdown = ran.call("report", "specs", "--markdown").out
    assert "| quiz" in markdown
    assert "|---" in markdown.replace(" ", "")
    listed = ran.call("report", "specs", "--cases", "3").out
    assert len(listed) > len(table)


def test_a_report_narrows_as_a_plan_does(ran: Workspace) -> None:
    found = report(ran, "--model", "other", "--task", "quiz")
    assert [(r["model"], r["task"]) for r in found["results"]] == [("other", "quiz")]


def test_a_new_metric_asks_the_model_nothing(ran: Workspace) -> None:
    metrics = 'tasks.quiz.metrics=["acc_bytes"]'
    done = ran.call("plan", "specs", "--detailed-exitcode", "--set", metrics)
    assert done.code == 0
    found = report(ran, "--set", metrics, "--task", "quiz")
    assert [m["metric"] for m in found["results"][0]["metrics"]] == ["acc_bytes"]


def test_two_models_are_compared_case_by_case(ran: Workspace) -> None:
    found = ran.call("diff", "m", "other", "specs", "--json")
    assert found.code == 0, found.err
    text = ran.call("diff", "m", "other", "specs")
    assert (text.code, "quiz" in text.out) == (0, True)
    assert "quiz" in ran.call("diff", "m", "other", "specs", "--markdown").out
    same = ran.call("diff", "m", "m", "specs", "--json").json
    assert same != found.json


def test_two_files_are_compared_as_the_models_are(ran: Workspace) -> None:
    for name in ("m", "other"):
        done = ran.call("report", "specs", "--json", "--model", name)
        (ran.root / f"{name}.json").write_text(done.out)
    files = ran.call("diff", "m.json", "other.json", "--json")
    assert files.code == 0, files.err
    live = ran.call("diff", "m", "other", "specs", "--json").json
    for key in ("results", "metrics", "comparisons"):
        assert files.json.get(key) == live.get(key)
    mixed = ran.call("diff", "m.json", "other", "specs")
    assert mixed.code == 0, mixed.err


def test_what_cannot_be_compared_is_said(ran: Workspace) -> None:
    (ran.root / "bad.json").write_text("{}")
    done = ran.call("diff", "bad.json", "m", "specs")
    assert (done.code, "not-a-report" in done.err) == (2, True)
    (ran.root / "bad.json").write_bytes(b"\xff\xfe")
    done = ran.call("diff", "bad.json", "m", "specs")
    assert (done.code, "not-a-report" in done.err) == (2, True)
    done = ran.call("diff", "nobody", "m", "specs")
    assert (done.code, "unknown-model" in done.err) == (2, True)


def test_a_report_before_any_run_says_what_is_missing(workspace: Workspace) -> None:
    workspace.quiz(3)
    found = report(workspace)
    assert not found["complete"]
    assert found["results"][0]["scored"] == 0
    assert found["plan"]["to_run"] == 12
    done = workspace.call("report", "specs")
    assert done.code == 0
    assert "12" in done.out


def test_a_smaller_tier_is_answered_by_a_larger_run(workspace: Workspace) -> None:
    workspace.write(QUIZ, "[tiers.smoke]\ncases = 2\n")
    workspace.rows("quiz.jsonl", quiz_rows(5))
    assert workspace.call("exec", "specs", "--tier", "smoke", "--no-report").code == 0
    total = workspace.call("plan", "specs", "--json").json["total"]
    assert (total["cached"], total["to_run"]) == (8, 12)
    assert workspace.call("exec", "specs", "--no-report").code == 0
    done = workspace.call("plan", "specs", "--tier", "smoke", "--detailed-exitcode")
    assert done.code == 0


def test_an_adapter_is_asked_on_its_own(workspace: Workspace) -> None:
    workspace.quiz(3)
    adapter = write_adapter(workspace.root / "lora")
    workspace.write(QUIZ, f'[models.tuned]\npath = "{workspace.model}"\nadapter = "{adapter}"\n')
    done = workspace.call("exec", "specs", "--json")
    assert done.code == 0, done.err
    with workspace.store() as store:
        assert store.records() == 24


def test_programs_of_a_model_run_only_when_allowed(workspace: Workspace) -> None:
    code = SUMS.replace('"exact_match"', '"code_pass@1"') + (
        "[tasks.sums.code]\nprogram = '''\nx = 1\n# {{ completion }}'''\n"
    )
    workspace.write(code)
    workspace.rows("sums.jsonl", sum_rows(2))
    done = workspace.call("exec", "specs")
    assert done.code == 0, done.err
    assert "not scored; it needs --allow-code-execution" in done.text
    assert "code_pass@1" not in done.out
    done = workspace.call("report", "specs", "--allow-code-execution")
    assert "code_pass@1" in done.out, done.err


def test_damaged_records_are_told_of_and_asked_again(workspace: Workspace) -> None:
    workspace.quiz(2)
    assert workspace.call("exec", "specs", "--no-report").code == 0
    with workspace.store() as store, store._begin(write=True) as txn:
        bucket = store._buckets[RECORDS]
        key = next(iter(txn.cursor(db=bucket).iternext(values=False)))
        txn.put(bytes(key), b"\1\0 damaged", db=bucket)
    done = workspace.call("plan", "specs", "--detailed-exitcode")
    assert done.code == 6
    assert "1 damaged value found in the cache" in done.err
    assert workspace.call("exec", "specs", "--json").json["complete"]


@pytest.mark.parametrize("count", [0, 1])
def test_a_value_that_no_model_should_give_stops_the_run(
    workspace: Workspace, count: int, tmp_path: Path
) -> None:
    """NaN weights: the run fails with a diagnostic, nothing of it is recorded."""
    broken = write_model(tmp_path / "broken")
    file = broken / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"] = np.full_like(weights["model.norm.weight"], np.nan)
    save_file(weights, file, metadata={"format": "pt"})
    spec = (QUIZ, SUMS)[count]
    other = Workspace(workspace.root, broken)
    other.write(spec)
    other.rows("quiz.jsonl", quiz_rows(2))
    other.rows("sums.jsonl", sum_rows(2))
    done = other.call("exec", "specs")
    assert done.code == 1, done.text
    assert "Traceback" not in done.text
    assert other.untouched()


def test_a_tokenizer_that_puts_a_token_first_runs_to_the_end(workspace: Workspace) -> None:
    """As those of Llama, Gemma and Mistral do."""
    folder = shutil.copytree(workspace.model, workspace.root / "first")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(
        single=f"{SPECIAL[BOS]} $A", special_tokens=[(SPECIAL[BOS], BOS)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    first = Workspace(workspace.root, folder)
    first.both(2)
    done = first.call("exec", "--json")
    assert done.code == 0, done.text
    assert done.json["complete"]
    for _, ids in first.planned().handle.probes(0, 2):
        assert ids[0] == BOS


@pytest.mark.parametrize("longest", [8, 24, 40])
def test_a_model_that_is_given_little_room_runs(workspace: Workspace, longest: int) -> None:
    """The engine's own check of itself keeps to the same room."""
    workspace.both(3)
    room = ("--set", f"models.m.max_length={longest}")
    cut = ("--set", "tasks.quiz.overflow='truncate'", "--set", "tasks.sums.overflow='truncate'")
    done = workspace.call("exec", "--json", *room, *cut)
    assert done.code == 0, done.text
    assert done.json["complete"]
