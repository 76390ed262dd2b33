"""Interruptions, failures and memory: what is recorded is whole, and is asked once."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ledger import (
    asked,
    command,
    fresh,
    generations,
    likelihoods,
    manifests,
    results,
    to_run,
)
from safetensors.numpy import load_file, save_file

from evalc.exec import loop
from tiny_models import ids, write_model
from workspaces import QUIZ, SMALL_PACKS, SUMS, Workspace, quiz_rows, sum_rows

ENDS = {"stop", "eos", "length"}


def test_a_run_killed_in_a_pack_goes_on_under_another_budget(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I9, lm-eval #2140: a killed run starts over, or asks again under another batch size."""
    workspace.both(30)
    whole = fresh(workspace, "whole")
    process = workspace.start("exec", "--no-report", script=SMALL_PACKS)
    while len(workspace.records()) < 16 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    left = workspace.records()
    assert 0 < len(left) < 150
    assert manifests(workspace) == []
    monkeypatch.setattr("evalc.run.turns.PACK_REQUESTS", {"cpu": 7})
    monkeypatch.setattr("evalc.run.turns.PACK_TOKENS", {"cpu": 300})
    assert asked(workspace) == 150 - len(left), "something was lost, or asked twice"
    assert asked(whole) == 150
    assert likelihoods(workspace) == likelihoods(whole)
    assert generations(workspace) == generations(whole)
    assert [r["metrics"] for r in results(workspace)] == [r["metrics"] for r in results(whole)]


def test_running_out_of_memory_at_the_first_pack_ends_in_the_same_answers(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I15: memory that lasts for the self-check and not for the first real pack."""
    workspace.both()
    easy = fresh(workspace, "easy")
    sizes: list[int] = []
    refused: list[int] = []
    room: list[int] = []
    original, run = loop.run_loglikelihoods, loop.Forward.run

    def first(engine: Any, columns: Any) -> Any:
        sizes.clear()
        return original(engine, columns)

    def scarce(self: Any, rows: Any, *others: Any, **options: Any) -> Any:
        sizes.append(rows.size)
        if room and rows.size >= room[0]:
            refused.append(rows.size)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return run(self, rows, *others, **options)

    def limited(engine: Any, columns: Any) -> Any:
        room.append(largest)
        return original(engine, columns)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Forward, "run", scarce)
        patch.setattr(loop, "run_loglikelihoods", first)
        assert asked(easy, "--task", "quiz") == 24
        largest = max(sizes)
        patch.setattr(loop, "run_loglikelihoods", limited)
        assert asked(workspace) == 30
    assert asked(easy) == 6
    assert refused, "there was memory enough"
    assert likelihoods(workspace) == likelihoods(easy)
    assert generations(workspace) == generations(easy)


def poisoned(folder: Path, token: int) -> Path:
    """The tiny model, but that reading one token makes it answer NaN."""
    write_model(folder, tie_word_embeddings=False)
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].copy()
    weights["model.embed_tokens.weight"][token] = np.nan
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def with_model(workspace: Workspace, model: Path) -> Workspace:
    """The workspace with another model named `m`."""
    made = Workspace(workspace.root, model)
    made.write(QUIZ, SUMS)
    return made


def test_a_request_that_failed_has_no_record_and_is_asked_again(workspace: Workspace) -> None:
    """I16, lm-eval #2140 and others: an error cached as an empty or zero answer."""
    workspace.both()
    sick = with_model(workspace, poisoned(workspace.root / "sick", ids("Z")[0]))
    rows = quiz_rows(6)
    rows[2]["question"] += " Z"
    sick.rows("quiz.jsonl", rows)
    assert to_run(sick) == 30
    for _ in range(2):
        done = command(sick, "exec", "--no-report")
        assert (done.code, "Traceback" in done.text) == (1, False)
        assert "NaN" in done.err
        assert manifests(sick) == []
    assert len(likelihoods(sick)) == 20
    assert to_run(sick) == 30 - len(sick.records()) >= 4
    assert np.isfinite(list(likelihoods(sick).values())).all()


def test_an_answer_cut_off_by_an_error_is_no_record(workspace: Workspace) -> None:
    """I16: half an answer, where the model failed behind its first tokens."""
    workspace.write(SUMS)
    workspace.rows("sums.jsonl", sum_rows(6))
    probe = fresh(workspace, "probe")
    assert asked(probe) == 6
    healthy = generations(probe)
    assert {answer["finish"] for answer in healthy.values()} <= ENDS
    prompts = {token for n in range(6) for token in ids(f"{n} + {n + 1} =")}
    read = {tuple(answer["tokens"][:-1]) for answer in healthy.values()}
    token = next(t for tokens in sorted(read) for t in tokens if t not in prompts)
    failing = [a for a in healthy.values() if token in a["tokens"][:-1]]
    assert failing
    sick = Workspace(workspace.root, poisoned(workspace.root / "sick", token))
    sick.write(SUMS)
    done = command(sick, "exec", "--no-report")
    assert done.code == 1, done.text
    kept = generations(sick)
    assert len(kept) == 6 - len(failing)
    assert all(token not in answer["tokens"][:-1] for answer in kept.values())
    assert to_run(sick) == len(failing)


def test_an_empty_answer_counts_only_with_the_reason_it_ended_for(workspace: Workspace) -> None:
    """I16: an empty text is an answer where the model ended it, and says so."""
    workspace.write(SUMS)
    workspace.rows("sums.jsonl", sum_rows(6))
    assert asked(workspace) == 6
    for answer in generations(workspace).values():
        assert answer["finish"] in ENDS
        assert answer["tokens"]
        assert answer["finish"] != "length" or len(answer["tokens"]) == 4


def test_another_cache_is_neither_read_nor_written_to(workspace: Workspace) -> None:
    """I17, promptfoo #10787: a run with a cache of its own leaves the usual one alone."""
    workspace.both()
    assert asked(workspace) == 30
    before, runs = workspace.records(), manifests(workspace)
    done = workspace.call("exec", "--json", "--cache", "elsewhere")
    assert done.code == 0, done.text
    assert done.json["runs"][0]["asked"] == 30
    assert (workspace.records(), manifests(workspace)) == (before, runs)


def test_a_run_without_a_cache_neither_reads_nor_writes(workspace: Workspace) -> None:
    """I17, promptfoo #10787: its `--no-cache` still wrote."""
    workspace.both()
    assert asked(workspace, "--task", "sums") == 6
    before, runs = workspace.records(), manifests(workspace)
    done = command(workspace, "exec", "--json", "--no-cache")
    assert done.code == 0, done.text
    found = json.loads(done.out)
    assert found["complete"]
    assert found["runs"][0]["asked"] == 30
    assert (workspace.records(), manifests(workspace)) == (before, runs)
