"""The engine on the real 135M model against the reference harness's results."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from evalc.contract.packs import Ask, BuiltPack, built_pack
from evalc.contract.progress import Silence
from evalc.exec.loop import execute
from evalc.plan.sources import ModelSource


def golden(shared: Path, name: str, count: int) -> list[dict[str, Any]]:
    lines = (shared / "golden" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    cases = {case["doc_id"]: case for case in map(json.loads, lines)}
    return [cases[doc] for doc in sorted(cases)[:count]]


def answers(
    model: Path, pack: BuiltPack, count: int, settings: list[dict[str, Any]]
) -> list[bytes]:
    source = ModelSource("base", model, "float32", "cpu", None, None, False, 8192, "fast")
    keys = b"".join(n.to_bytes(32, "big") for n in range(count))
    kept: dict[bytes, bytes] = {}

    def commit(done: list[bytes], payloads: list[bytes]) -> None:
        kept.update(zip(done, payloads, strict=True))

    execute(source, [pack], settings, keys, commit, Silence())
    return [kept[n.to_bytes(32, "big")] for n in range(count)]


@pytest.mark.model
@pytest.mark.golden
def test_hellaswag_scores_equal_the_reference_harness(real_model: Path, shared: Path) -> None:
    wanted = [r for case in golden(shared, "hellaswag0", 10) for r in case["requests"]]
    asks = [Ask(r["ctx_ids"] + r["cont_ids"], len(r["cont_ids"]), n) for n, r in enumerate(wanted)]
    found = answers(real_model, built_pack("loglikelihood", asks), len(asks), [])
    for expected, payload in zip(wanted, found, strict=True):
        total, greedy, count = struct.unpack("<dBI", payload)
        assert total == pytest.approx(expected["loglikelihood"], abs=1e-3)
        assert bool(greedy) == expected["is_greedy"]
        assert count == len(expected["cont_ids"])


@pytest.mark.model
@pytest.mark.golden
def test_gsm8k_greedy_texts_equal_the_reference_harness(real_model: Path, shared: Path) -> None:
    wanted = [case["requests"][0] for case in golden(shared, "gsm8k", 2)]
    tokenizer = AutoTokenizer.from_pretrained(real_model)
    asks = [
        Ask(tokenizer(r["context"], add_special_tokens=False)["input_ids"], 0, n)
        for n, r in enumerate(wanted)
    ]
    setting = {
        "max_new_tokens": 128,
        "stop": ["Question:", "</s>", "<|im_end|>"],
        "temperature": 0.0,
        "top_p": None,
        "top_k": None,
        "seed": 0,
        "slot": 0,
        "eos_ids": [2],
    }
    found = answers(real_model, built_pack("generate", asks), len(asks), [setting])
    assert [json.loads(payload)["text"] for payload in found] == [r["text"] for r in wanted]
