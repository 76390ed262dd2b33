"""Numbers are those of transformers' own call, or the model is refused: I29, I30 and I31."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

import tiny_architectures
from evalc.contract.packs import Ask, built_pack
from evalc.contract.progress import Meter, Silence, Tally
from evalc.diagnostics import Faults
from evalc.exec import loop
from evalc.exec.loop import execute, ready
from evalc.exec.model.capability import Capability
from evalc.exec.model.load import load
from evalc.exec.passes import attention
from evalc.plan.sources import ModelSource

DRAFTED = 12
SWITCH = 40
SETTING = {"max_new_tokens": DRAFTED, "stop": [], "temperature": 0.0, "eos_ids": []}
FACTORS = {"short_factor": [1.0] * 4, "long_factor": [1.0, 3.0, 9.0, 27.0]}
LONGROPE = {
    "rope_parameters": {
        **{"rope_type": "longrope", "rope_theta": 10000.0, **FACTORS},
        **{"original_max_position_embeddings": SWITCH, "partial_rotary_factor": 1.0},
    },
    "original_max_position_embeddings": SWITCH,
    "max_position_embeddings": 256,
    "sliding_window": None,
}
DYNAMIC = {
    "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
    "max_position_embeddings": SWITCH,
}
EXPERTS = ("mixtral", "qwen2_moe", "deepseek_v3")


def source(folder: Path, numerics: str = "stable") -> ModelSource:
    return ModelSource("m", folder, "float32", "cpu", None, None, False, 200, numerics)


def ids(length: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(3, 270, length).tolist()


def answers(folder: Path, asks: Sequence[Ask], kind: str, numerics: str = "stable") -> list[bytes]:
    """The payloads of `asks`, asked as a run asks them."""
    found: dict[bytes, bytes] = {}
    keys = b"".join(n.to_bytes(32, "big") for n in range(len(asks)))
    packs = [built_pack(kind, [Ask(a.ids, a.cont, n) for n, a in enumerate(asks)])]  # type: ignore[arg-type]
    commit = lambda names, payloads: found.update(zip(names, payloads, strict=True))  # noqa: E731
    execute(source(folder, numerics), packs, [SETTING], keys, commit, Silence())
    return [found[n.to_bytes(32, "big")] for n in range(len(asks))]


def plain(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()


def wrong_likelihoods(folder: Path, asks: Sequence[Ask], numerics: str = "stable") -> list[int]:
    """Lengths of the rows whose log-likelihoods are not those of transformers, freshly loaded."""
    wrong = []
    for ask, payload in zip(asks, answers(folder, asks, "loglikelihood", numerics), strict=True):
        with torch.inference_mode():
            logits = plain(folder)(torch.tensor([ask.ids[:-1]]), use_cache=False).logits[0]
        chances = torch.log_softmax(logits[-ask.cont :].float(), dim=-1)
        wanted = float(chances[torch.arange(ask.cont), torch.tensor(ask.ids[-ask.cont :])].sum())
        if abs(struct.unpack("<dBI", payload)[0] - wanted) > 1e-3:
            wrong.append(len(ask.ids))
    return wrong


@pytest.mark.parametrize("kind", ["phi3", "phimoe", "llama"])
@pytest.mark.parametrize("numerics", ["stable", "fast"])
def test_texts_that_cross_a_rope_switch_are_those_of_generate(
    kind: str, numerics: str, tmp_path: Path
) -> None:
    """I29: every text that crossed `original_max_position_embeddings` was another one."""
    changes = {**LONGROPE}
    if kind == "phimoe":
        mscale = {"short_mscale": 1.0, "long_mscale": 1.2}
        changes["rope_parameters"] = {**LONGROPE["rope_parameters"], **mscale}  # type: ignore[dict-item]
    if kind == "llama":
        del changes["sliding_window"]
    tiny_architectures.write(tmp_path, kind, **changes)
    lengths = (SWITCH - 20, SWITCH - 6, SWITCH - 1, SWITCH, SWITCH + 1, SWITCH + 9)
    asks = [Ask(ids(length, 1)) for length in lengths]
    texts = [json.loads(p)["tokens"] for p in answers(tmp_path, asks, "generate", numerics)]
    model, config = plain(tmp_path), GenerationConfig(max_new_tokens=DRAFTED, do_sample=False)
    model.generation_config.eos_token_id = None
    for ask, text in zip(asks, texts, strict=True):
        given = torch.tensor([ask.ids])
        with torch.inference_mode():
            wanted = model.generate(
                given, attention_mask=torch.ones_like(given), generation_config=config
            )
        assert text == wanted[0, len(ask.ids) :].tolist(), len(ask.ids)


@pytest.mark.parametrize(("kind", "changes"), [("phi3", LONGROPE), ("llama", DYNAMIC)])
@pytest.mark.parametrize("numerics", ["stable", "fast"])
def test_rows_on_both_sides_of_a_rope_switch_are_the_plain_call_s(
    kind: str, changes: dict[str, Any], numerics: str, tmp_path: Path
) -> None:
    """I29: a `dynamic` model kept the frequencies of the longest row that it had seen."""
    tiny_architectures.write(tmp_path, kind, **changes)
    row = ids(90, 2)
    asks = [Ask(row[:length], 3) for length in (88, 60, 43, 42, 41, 40, 30)]
    assert wrong_likelihoods(tmp_path, asks, numerics) == []


def test_attention_with_sinks_is_right_on_full_layers_only(tmp_path: Path) -> None:
    """I30: sinks were dropped, and the plain call that was compared with dropped them too."""
    tiny_architectures.write(tmp_path, "gpt_oss", layer_types=["full_attention"] * 4)
    shots = ids(40, 3)
    asks = [Ask(shots + ids(4 + n, n), 2) for n in range(4)]
    assert wrong_likelihoods(tmp_path, asks) == []
    with torch.inference_mode():
        _, found = ready(load(source(tmp_path)), [np.asarray(asks[0].ids)], None, silent())
    assert found.capability.path != "tree"
    assert "s_aux" in found.capability.reason


def silent() -> Meter:
    return Meter(Tally(), Silence())


def test_a_window_that_is_ignored_is_caught_by_the_self_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I30: rows of 57 tokens do not see a window of 100."""
    tiny_architectures.write(tmp_path, "mistral", sliding_window=100)
    tree = lambda *_given: Capability("tree", "the test says so")  # noqa: E731
    monkeypatch.setattr(loop, "capability", tree)
    known = frozenset([*getattr(attention, "INERT", ()), "sliding_window"])
    monkeypatch.setattr(attention, "INERT", known, raising=False)
    with torch.inference_mode():
        _, found = ready(load(source(tmp_path)), [np.asarray(ids(150, 4))], None, silent())
    assert found.capability.path == "padded"
    assert found.trials[0].path == "tree"
    assert found.trials[0].failure is None
    assert found.trials[0].scores > found.allowed


@pytest.mark.parametrize("kind", EXPERTS)
def test_no_bit_of_a_mixture_of_experts_depends_on_what_else_is_asked(
    kind: str, tmp_path: Path
) -> None:
    """I31: an expert's products have as many rows as tokens came to it."""
    tiny_architectures.write(tmp_path, kind)
    shots = ids(30, 5)
    asks = [Ask(shots + ids(2 + n % 7, n), 2) for n in range(12)]
    whole = answers(tmp_path, asks, "loglikelihood")
    draw = random.Random(6)
    for count in (1, 5):
        some = draw.sample(range(len(asks)), count)
        found = answers(tmp_path, [asks[n] for n in some], "loglikelihood")
        assert found == [whole[n] for n in some]


def refused(folder: Path) -> str:
    with pytest.raises(Faults) as caught, torch.inference_mode():
        ready(load(source(folder)), [np.asarray(ids(60, 7))], None, silent())
    assert caught.value.diagnostics[0].hint
    return caught.value.diagnostics[0].message


@pytest.mark.parametrize("kind", ["bert", "xlnet"])
def test_an_encoder_is_refused_as_one(kind: str, tmp_path: Path) -> None:
    changes = {"is_decoder": False} if kind == "bert" else {}
    tiny_architectures.write(tmp_path, kind, **changes)
    assert "is an encoder" in refused(tmp_path)


@pytest.mark.parametrize("kind", ["stablelm", "nemotron"])
def test_layers_that_drop_our_options_compute_rows(kind: str, tmp_path: Path) -> None:
    tiny_architectures.write(tmp_path, kind)
    asks = [Ask(ids(20 + n, n), 2) for n in range(3)]
    assert wrong_likelihoods(tmp_path, asks) == []
