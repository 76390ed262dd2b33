"""What is asked together does not change what is answered."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from ledger import (
    asked,
    fresh,
    generations,
    in_order,
    likelihoods,
    payloads,
    results,
    to_run,
)

from evalc.exec.answer.continuous import Continuous
from evalc.exec.memory.budget import DEFAULT_TOKENS
from evalc.store.records import decode_likelihoods
from workspaces import SUMS, Workspace, quiz_rows, sum_rows

SAMPLED = SUMS.replace(
    "max_new_tokens = 4", "max_new_tokens = 6, temperature = 1.0, repeats = 8, seed = 3"
)
PHRASES = """
[datasets.phrases]
path = "phrases.jsonl"
[tasks.phrases]
dataset = "phrases"
type    = "multiple_choice"
prompt  = "{{ context }}"
choices = "{{ choices }}"
target  = 0
metrics = ["acc"]
"""
ROWS = [
    {"context": "The capital of France", "choices": ["is Paris", "is London"]},
    {"context": "The capital of France is", "choices": ["Paris", "London"]},
]


def budget(monkeypatch: pytest.MonkeyPatch, tokens: int, requests: int) -> None:
    """Packs of at most so many tokens and requests."""
    monkeypatch.setattr("evalc.run.turns.PACK_TOKENS", {"cpu": tokens, "cuda": tokens})
    monkeypatch.setattr("evalc.run.turns.PACK_REQUESTS", {"cpu": requests, "cuda": requests})
    monkeypatch.setitem(DEFAULT_TOKENS, "cpu", tokens)


def values(workspace: Workspace) -> list[list[dict[str, Any]]]:
    """Values of every metric of every cell."""
    kept = ("metric", "value")
    return [
        [{key: metric[key] for key in kept} for metric in result["metrics"]]
        for result in results(workspace)
    ]


def same_answers(one: Workspace, two: Workspace) -> None:
    """The same requests have the same answers, bit for bit, and the same scores come out."""
    assert payloads(one) == payloads(two)
    assert values(one) == values(two)


def test_repeats_are_records_of_their_own_and_stay(workspace: Workspace) -> None:
    """I3, lm-eval #3046: with a cache, every repeat was the first one's answer."""
    workspace.write(SAMPLED)
    workspace.rows("sums.jsonl", sum_rows(3))
    assert asked(workspace) == 3 * 8
    answers = generations(workspace)
    assert len(answers) == 3 * 8
    drawn = in_order(workspace, "m", "sums")
    for case in range(3):
        assert len(set(drawn[8 * case : 8 * case + 8])) >= 7, "repeats repeat each other"
    assert asked(workspace) == 0
    assert generations(workspace) == answers
    again = fresh(workspace, "again")
    assert asked(again) == 3 * 8
    assert generations(again) == answers


def test_more_repeats_ask_only_the_new_ones(workspace: Workspace) -> None:
    """I3, lm-eval #3046: the first four of eight repeats are the four of before."""
    workspace.write(SAMPLED)
    workspace.rows("sums.jsonl", sum_rows(3))
    four = ("--set", "tasks.sums.generate.repeats=4")
    assert asked(workspace, *four) == 12
    assert asked(workspace) == 12
    assert asked(workspace, "--set", "tasks.sums.generate.seed=4") == 24


def test_two_generation_settings_share_no_batch(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I12: lm-eval has batched requests under the settings of the first one of the batch."""
    longer = SUMS.partition("[tasks.sums]")[2].replace("max_new_tokens = 4", "max_new_tokens = 7")
    workspace.write(SUMS, "[tasks.longer]", longer)
    workspace.rows("sums.jsonl", sum_rows(5))
    batches: list[list[Any]] = []
    original = Continuous.run

    def spied(self: Continuous, prompts: Any) -> None:
        batches.append([prompt.setting.manner for prompt in prompts])
        original(self, prompts)

    with monkeypatch.context() as patch:
        patch.setattr(Continuous, "run", spied)
        assert asked(workspace) == 10
    # the self-check before the first pack asks a few of them once more
    assert {len(set(batch)) for batch in batches} == {1}
    assert sum(map(len, batches)) >= 10
    lengths = {
        task: max(len(json.loads(p)["tokens"]) for p in in_order(workspace, "m", task))
        for task in ("sums", "longer")
    }
    assert lengths["sums"] <= 4 < lengths["longer"] <= 7
    alone = fresh(workspace, "alone")
    assert asked(alone, "--task", "longer") == 5
    assert in_order(alone, "m", "longer") == in_order(workspace, "m", "longer")


@pytest.mark.parametrize(("tokens", "requests"), [(40, 1), (100, 3), (1 << 20, 1 << 20)])
def test_scores_are_equal_at_any_batch_budget(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tokens: int, requests: int
) -> None:
    """I13, lm-eval #704, opencompass #1097: scores that move with the batch size."""
    workspace.both(5)
    other = fresh(workspace, "other")
    assert asked(workspace) == 25
    with monkeypatch.context() as patch:
        budget(patch, tokens, requests)
        assert asked(other) == 25
    same_answers(workspace, other)


def test_requests_in_another_order_have_the_same_answers(workspace: Workspace) -> None:
    """I14, vllm #42019: log-likelihoods that depend on what else is in the batch."""
    workspace.both(8)
    shuffled = fresh(workspace, "shuffled")
    draw = random.Random(3)
    shuffled.rows("quiz.jsonl", draw.sample(quiz_rows(8), 8))
    shuffled.rows("sums.jsonl", draw.sample(sum_rows(8), 8))
    assert asked(workspace) == asked(shuffled) == 40
    same_answers(workspace, shuffled)


def phrases(workspace: Workspace) -> None:
    """The two cuts of one sentence."""
    workspace.write(PHRASES)
    workspace.rows("phrases.jsonl", ROWS)


def together_as_alone(workspace: Workspace) -> list[float]:
    """Ask both cuts in one run and each in one of its own; the log-likelihoods in order."""
    alone: dict[bytes, float] = {}
    for row in ("0:1", "1:2"):
        single = fresh(workspace, f"only-{row[0]}")
        assert asked(single, "--set", f"datasets.phrases.rows='{row}'") == 2
        alone |= likelihoods(single)
    assert asked(workspace) == 4, "two cuts of one text are two requests"
    assert len(alone) == 4
    assert likelihoods(workspace) == alone
    sums, _ = decode_likelihoods(in_order(workspace, "m", "phrases"))
    found: list[float] = sums.tolist()
    return found


def test_two_cuts_of_one_sentence_keep_their_own_likelihoods(workspace: Workspace) -> None:
    """I25, lm-eval 0.4.13: its cache of logits gives the second cut the first one's numbers."""
    phrases(workspace)
    whole, _, end, _ = together_as_alone(workspace)
    assert end > whole + 0.01, "the shorter continuation is a part of the longer one"


@pytest.mark.model
def test_two_cuts_of_one_sentence_on_a_real_model(workspace: Workspace, real_model: Path) -> None:
    """I25, lm-eval 0.4.13: -10.04 in place of -0.26 for ` Paris` on SmolLM2-135M."""
    real = Workspace(workspace.root, real_model)
    phrases(real)
    _, _, paris, london = together_as_alone(real)
    assert paris > -1.0
    assert london < paris
    assert to_run(real) == 0
