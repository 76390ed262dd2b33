"""The audit on a real (tiny) model: what was put into the cache falsely is found."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from evalc.contract.outcomes import Outcomes
from evalc.decide import wilson
from evalc.decide.flips import Rate, argmax_flipped, difference
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.store.records import Likelihood, decode_likelihoods
from workspaces import Workspace


@pytest.fixture
def run(workspace: Workspace) -> Workspace:
    """A workspace with a finished run of 10 quiz cases and 10 sums."""
    workspace.both(10)
    assert workspace.call("exec", "specs", "--no-report").code == 0
    return workspace


def audit(workspace: Workspace, *words: str) -> Any:
    done = workspace.call("cache", "audit", "specs", "--json", *words)
    assert done.code == 0, done.err
    return done.json


def falsify(workspace: Workspace, task: str, cases: int, total: float | None = None) -> list[bytes]:
    """Replace the first record of some cases; the keys that were replaced."""
    planned = workspace.planned(tasks=(task,))
    columns = planned.cell(0)
    requests = np.frombuffer(columns["requests"], "<u4")
    firsts = requests[np.frombuffer(columns["request_offsets"], "<u4")[:cases]].tolist()
    keys = [planned.keys[32 * at : 32 * at + 32] for at in firsts]
    with workspace.store() as store:
        payloads = [value for value in store.read(keys) if value is not None]
        if total is None:
            texts = [{**json.loads(value), "text": "something else"} for value in payloads]
            store.commit(keys, [json.dumps(text).encode() for text in texts])
        else:
            sums, greedy = decode_likelihoods(payloads)
            made = zip(sums.tolist(), greedy.tolist(), strict=True)
            store.commit(keys, [Likelihood(min(0.0, s + total), g, 1).encode() for s, g in made])
    return keys


def test_an_honest_cache_has_no_flips_and_an_interval_that_says_how_sure(run: Workspace) -> None:
    found = audit(run, "--sample", "100%")
    assert found["schema"] == "evalc.cache-audit/1"
    assert (found["hits"], found["sampled"], found["asked"]) == (50, 50, 50)
    total = found["total"]
    assert (total["records"], total["flips"], total["failed"]) == (50, 0, 0)
    assert total["rate"] == {"share": 0.0, "low": 0.0, "high": wilson(0, 50)[1]}
    assert total["argmax"]["cases"] == 10
    assert [task["task"] for task in found["tasks"]] == ["quiz", "sums"]
    assert found["tasks"][1]["argmax"] is None


def test_the_audit_writes_nothing_into_the_store(run: Workspace) -> None:
    with run.store() as store:
        before = [pair for batch in store.scan(b"records.v1") for pair in batch]
        runs = store.runs()
    audit(run, "--sample", "20")
    with run.store() as store:
        assert [pair for batch in store.scan(b"records.v1") for pair in batch] == before
        assert store.runs() == runs


def test_false_likelihoods_are_flips_and_turn_choices(run: Workspace) -> None:
    keys = falsify(run, "quiz", 4, total=1000.0)
    found = audit(run, "--sample", "100%")
    quiz = found["tasks"][0]
    assert (quiz["records"], quiz["flips"], quiz["beyond_tolerance"]) == (40, 4, 4)
    assert quiz["rate"]["share"] == 0.1
    assert 1.0 < quiz["largest_difference"] < 1000.0
    assert {entry["key"] for entry in found["listed"]} == {key.hex() for key in keys}
    assert found["tasks"][1]["flips"] == 0
    # a first choice raised wins, and lowered loses: of the two, one is not what the model says
    falsify(run, "quiz", 4, total=-2000.0)
    lowered = audit(run, "--sample", "100%")["tasks"][0]
    assert quiz["argmax"]["flips"] + lowered["argmax"]["flips"] == 4


def test_a_difference_within_the_tolerance_is_one_of_bits_only(run: Workspace) -> None:
    falsify(run, "quiz", 4, total=0.01)
    strict = audit(run, "--sample", "100%", "--tolerance", "0.001")["total"]
    loose = audit(run, "--sample", "100%", "--tolerance", "0.1")["total"]
    assert (strict["flips"], loose["flips"]) == (4, 0)
    assert loose["bit_differences"] >= 4


def test_false_texts_are_flips(run: Workspace) -> None:
    falsify(run, "sums", 3)
    found = audit(run, "--sample", "100%", "--task", "sums")
    assert (found["total"]["texts"], found["total"]["flips"]) == (3, 3)
    assert found["tasks"][0]["rate"]["share"] == 0.3
    table = run.call("cache", "audit", "specs", "--sample", "100%", "--task", "sums").out
    assert "30.00 %" in table
    assert "something else" in table


def test_a_sample_is_drawn_by_its_seed_and_asks_little_more(run: Workspace) -> None:
    one, same, other = (audit(run, "--sample", "10%", "--seed", seed) for seed in ("1", "1", "2"))
    assert one == same
    assert one["sampled"] == 5
    # the other choices of a sampled case are asked too, but not counted as records
    assert one["total"]["records"] == 5
    assert one["sampled"] <= one["asked"] <= 4 * one["sampled"]
    assert [task["records"] for task in one["tasks"]] != [] != other["tasks"]


def test_what_is_not_in_the_cache_is_not_audited(run: Workspace) -> None:
    planned = run.planned(tasks=("quiz",))
    with run.store() as store:
        store.remove(b"records.v1", [planned.keys[:32]])
    found = audit(run, "--sample", "100%", "--task", "quiz")
    assert (found["hits"], found["total"]["argmax"]["cases"]) == (39, 9)


def test_an_empty_cache_cannot_be_audited(workspace: Workspace) -> None:
    workspace.quiz()
    done = workspace.call("cache", "audit", "specs")
    assert done.code == 2
    assert "nothing-to-audit" in done.err


@pytest.mark.parametrize("sample", ["0", "0%", "101%", "-3", "half", "%"])
def test_a_sample_is_a_share_or_a_number(workspace: Workspace, sample: str) -> None:
    workspace.quiz()
    assert workspace.call("cache", "audit", "specs", "--sample", sample).code == 2
    assert workspace.call("cache", "audit", "specs", "--seed", "-1").code == 2


def test_a_request_that_the_model_fails_on_now_is_counted(
    run: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> Outcomes:
        outcomes = run_loglikelihoods(*arguments)
        del outcomes.payloads[0]
        outcomes.failures[0] = "the model gave a NaN or infinite logit"
        return outcomes

    monkeypatch.setattr("evalc.exec.loop.run_loglikelihoods", failing)
    found = audit(run, "--sample", "100%", "--task", "quiz")["total"]
    assert found["failed"] == found["flips"] > 0
    assert found["argmax"]["flips"] > 0
    asked_first = run.call("exec", "specs", "--task", "quiz", "--set", "tasks.quiz.prompt='?'")
    assert asked_first.code == 1
    assert "failed-request" in asked_first.err


def test_a_request_that_fails_this_time_is_a_flip() -> None:
    found = difference(Likelihood(-1.0, True, 1).encode(), None, 0.1, generated=False)
    assert found.flip
    assert found.failed


def test_a_greedy_flag_alone_is_a_flip() -> None:
    one, two = Likelihood(-1.0, True, 1).encode(), Likelihood(-1.0, False, 1).encode()
    assert difference(one, two, 0.1, generated=False).flip
    assert not difference(one, one, 0.0, generated=False).bits


def test_the_first_of_equal_choices_is_chosen_and_nan_is_a_flip() -> None:
    assert not argmax_flipped(np.array([1.0, 1.0]), np.array([1.0, 0.5]))
    assert argmax_flipped(np.array([1.0, 1.0]), np.array([0.5, 1.0]))
    assert argmax_flipped(np.array([1.0, 0.0]), np.array([1.0, np.nan]))


def test_a_rate_of_nothing_has_no_interval() -> None:
    assert Rate.of(0, 0) == Rate(None, None, None)
