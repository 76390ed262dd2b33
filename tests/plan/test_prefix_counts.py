"""Token counts and packs against a count by brute force."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from evalc import _core
from planned_requests import cell_requests, dataset, ir, keys_of, task, trie_tokens, unpacked
from tiny_models import write_rows

WORDS = [
    "the",
    "a",
    "of",
    "in",
    "there",
    "under",
    "her",
    "then",
    "Q:",
    "A:",
    "y",
    "x",
    "abcd",
    "ab",
    "cd",
    "12",
    "é",
]
GENERATE = {"stop": [], "top_p": 1.0, "top_k": 0, "repeats": 2, "seed": 0}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, most)))

    return [
        {"p": words(6), "c": [words(3) for _ in range(draw.randint(1, 4))]} for _ in range(count)
    ]


@pytest.fixture
def plan(bundle: Path, tmp_path: Path) -> _core.Plan:
    """Choices with shots, and generations of two settings, over many overlapping texts."""
    path = write_rows(tmp_path / "rows.jsonl", rows(90, 1))
    shots = write_rows(tmp_path / "shots.jsonl", rows(6, 2))
    fewshot = {"dataset": 1, "k": 3, "seed": 0, "template": "{{ p }}\n", "separator": ""}
    tasks = [
        task(name="bare"),
        task(name="shots", fewshot={**fewshot, "select": "first"}),
        task(name="drawn", fewshot={**fewshot, "select": "per_case"}),
        task(
            name="greedy",
            kind="generate",
            choices=None,
            generate={**GENERATE, "max_new_tokens": 5, "temperature": 0.0},
        ),
        task(
            name="sampled",
            kind="generate",
            choices=None,
            generate={**GENERATE, "max_new_tokens": 7, "temperature": 1.0},
        ),
        task(name="ppl", kind="perplexity", choices=None),
    ]
    return _core.Plan.build(ir(bundle, [dataset(path), dataset(shots)], tasks))


def remaining(plan: _core.Plan, hits: bytes) -> dict[int, Any]:
    plan.subtract(hits)
    return unpacked(plan.packs(0, 1 << 30, 1 << 30))


@pytest.mark.parametrize("cached", [0.0, 0.3, 0.95, 1.0])
def test_counts_are_those_of_a_prefix_tree_built_by_hand(plan: _core.Plan, cached: float) -> None:
    draw = random.Random(3)
    hits = bytes(int(draw.random() < cached) for _ in keys_of(plan))
    asked = remaining(plan, hits)
    total = json.loads(plan.summary())["total"]
    assert set(asked) == {index for index, hit in enumerate(hits) if not hit}
    assert total["to_run"] == len(asked)
    assert total["prefill_tokens_unshared"] == sum(len(one.read) for one in asked.values())
    trees: dict[int | None, list[tuple[int, ...]]] = {}
    for one in asked.values():
        trees.setdefault(one.setting, []).append(one.read)
    assert total["prefill_tokens"] == sum(trie_tokens(inputs) for inputs in trees.values())
    assert total["scored_tokens"] == sum(len(one.scored) for one in asked.values())
    settings = json.loads(plan.settings())
    drawn = [one for one in asked.values() if one.setting is not None]
    bound = sum(settings[one.setting]["max_new_tokens"] for one in drawn)
    assert total["decode_tokens_bound"] == bound


@pytest.mark.parametrize(("budget", "limit"), [(1, 1), (50, 7), (400, 1000), (10_000, 64)])
def test_packs_hold_every_remaining_request_once(plan: _core.Plan, budget: int, limit: int) -> None:
    whole = unpacked(plan.packs(0, 1 << 30, 1 << 30))
    packs = plan.packs(0, budget, limit)
    assert unpacked(packs) == whole
    assert all(1 <= len(pack.req_key) // 4 <= limit for pack in packs)
    plan.subtract(bytes(n % 3 == 0 for n in range(len(keys_of(plan)))))
    rest = unpacked(plan.packs(0, budget, limit))
    assert rest == {index: one for index, one in whole.items() if index % 3}


def test_a_pack_stays_within_its_budget_of_distinct_tokens(plan: _core.Plan) -> None:
    for pack in plan.packs(0, 300, 1000):
        inputs = [one.read for one in unpacked([pack]).values()]
        longest = max(len(one) for one in inputs)
        assert trie_tokens(inputs) <= 300 + longest


def test_a_pack_is_of_one_kind_and_one_setting(plan: _core.Plan) -> None:
    packs = plan.packs(0, 500, 50)
    assert {pack.kind for pack in packs} == {"loglikelihood", "generate"}
    for pack in packs:
        assert len({one.setting for one in unpacked([pack]).values()}) == 1


def test_the_columns_of_a_cell_agree_with_its_packs(plan: _core.Plan) -> None:
    for index in range(5):
        cell = plan.cell(index)
        flat = [one for case in cell_requests(plan, index) for one in case]
        assert [len(one.context) for one in flat] == list(
            memoryview(cell["context_tokens"]).cast("I")
        )
        assert [len(one.scored) for one in flat] == list(memoryview(cell["cont_tokens"]).cast("I"))


def test_choice_lengths_are_of_the_choice_without_its_delimiter(
    bundle: Path, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"p": "Q", "c": ["é日", "abc "]}])
    cell = _core.Plan.build(ir(bundle, [dataset(path)], [task()])).cell(0)
    assert list(memoryview(cell["choice_chars"]).cast("I")) == [2, 4]
    assert list(memoryview(cell["choice_bytes"]).cast("I")) == [5, 4]


def test_split_words_counts_cases_whose_choice_begins_inside_a_token(
    bundle: Path, tmp_path: Path
) -> None:
    texts = [("ab", "cd"), ("ab", " cd"), ("Q", "x")]
    path = write_rows(tmp_path / "rows.jsonl", [{"p": p, "c": [c, c + c]} for p, c in texts])
    content = ir(bundle, [dataset(path, rows=[1, 3])], [task(delimiter="")])
    summary = json.loads(_core.Plan.build(content).summary())
    assert summary["total"]["split_words"] == 0
    path = write_rows(tmp_path / "more.jsonl", [{"p": "Q th", "c": ["e end"]}])
    content = ir(bundle, [dataset(path)], [task(delimiter="")])
    assert json.loads(_core.Plan.build(content).summary())["total"]["split_words"] == 1
