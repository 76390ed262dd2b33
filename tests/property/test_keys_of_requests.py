"""What is in the key of a request: each line of the list is edited."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_tokens import family

from evalc import _core
from planned_requests import dataset, ir, task
from tiny_models import write_rows

GENERATE = {
    "max_new_tokens": 2,
    "stop": ["a"],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 3,
    "repeats": 1,
    "seed": 1,
}


class Request:
    """One request: a sampled generation, or a log-likelihood."""

    def __init__(self, folder: Path) -> None:
        self.rows = folder / "rows.jsonl"
        self.bundle = folder / "bundle.json"
        self.bundle.write_bytes(family("byte_level", False).bundle.read_bytes())
        self.model: dict[str, str] = {}
        self.task: dict[str, Any] = {"prompt": "+)(", "kind": "generate", "choices": None}
        self.generate = dict(GENERATE)
        write_rows(self.rows, [{"p": "+"}])

    def keys(self) -> set[bytes]:
        generates = self.task["kind"] == "generate"
        asked = task(**self.task, generate=self.generate if generates else None)
        plan = _core.Plan.build(ir(self.bundle, [dataset(self.rows)], [asked], **self.model))
        flat = plan.keys()
        return {flat[at : at + 32] for at in range(0, len(flat), 32)}

    def scored(self, prompt: str, choice: str) -> None:
        """Ask for a likelihood of the same text instead."""
        self.task = {
            "prompt": prompt,
            "kind": "multiple_choice",
            "delimiter": "",
            "choices": {"list": [choice]},
        }

    def tokenizer(self, **changes: Any) -> None:
        """Other facts in the tokenizer's bundle."""
        fields = json.loads(self.bundle.read_text())
        self.bundle.write_text(json.dumps({**fields, **changes}))


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    return Request(tmp_path)


REQUEST: dict[str, Callable[[Request], object]] = {
    "`model_id`": lambda r: r.model.update(model_id="33" * 32),
    "`engine_id`": lambda r: r.model.update(engine_id="44" * 32),
    "its kind: a log-likelihood or a generation": lambda r: r.scored("+)", "("),
    "the token ids": lambda r: r.task.update(prompt="+)+"),
    "where scoring starts": lambda r: r.scored("+", ")("),
    "the longest generation": lambda r: r.generate.update(max_new_tokens=3),
    "the stops": lambda r: r.generate.update(stop=["b"]),
    "the ids that end a generation": lambda r: r.tokenizer(eos_ids=[1, 5]),
    "where the decoder loses the first space, that ids are decoded behind the prompt's": (
        lambda r: r.tokenizer(loses_first_space=True)
    ),
    "where an id that ends a generation has a text, that the answer is without it": (
        lambda r: r.tokenizer(plain_eos_ids=[1])
    ),
    "how ids become a text: the decoder, the token of each id, which of them are special": (
        lambda r: r.tokenizer(decoding="11" * 32)
    ),
    "the temperature": lambda r: r.generate.update(temperature=0.6),
    "above temperature 0, top-p": lambda r: r.generate.update(top_p=0.8),
    "above temperature 0, top-k": lambda r: r.generate.update(top_k=4),
    "above temperature 0, the seed": lambda r: r.generate.update(seed=2),
    "above temperature 0, the repeat": lambda r: r.generate.update(repeats=2),
}


@pytest.mark.parametrize("line", REQUEST)
def test_what_is_in_a_request_makes_another_key(line: str, asked: Request) -> None:
    if line == "where scoring starts":
        asked.scored("+)", "(")
    before = asked.keys()
    REQUEST[line](asked)
    after = asked.keys()
    assert after - before
    # another repeat is another request beside the first; all else replaces it
    assert bool(after & before) == (line == "above temperature 0, the repeat")


@pytest.mark.parametrize(
    "change", [{"loses_first_space": True}, {"plain_eos_ids": [1]}, {"decoding": "11" * 32}]
)
def test_a_correction_of_texts_leaves_the_keys_of_likelihoods_alone(
    change: dict[str, Any], asked: Request
) -> None:
    asked.scored("+)", "(")
    before = asked.keys()
    asked.tokenizer(**change)
    assert asked.keys() == before
