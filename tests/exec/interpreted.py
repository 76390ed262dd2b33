"""The programs for GPUs, one by one; `test_gpu_programs.py` runs this file where they are
interpreted, and on a GPU. Each is compared with float64 arithmetic on the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from test_generation import records, reference, run, setting
from transformers import AutoModelForCausalLM

from conftest import CONFIGS, DEVICE
from evalc.contract.packs import Ask
from evalc.exec.answer.pipelined import Pipelined
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.kernels import launch
from evalc.exec.kernels.launch import Chunks, Items, Moves
from evalc.exec.model import fused
from evalc.exec.passes import pages
from evalc.exec.passes.decoding import Decoding
from evalc.exec.passes.engine import Engine

SHAPES = ((4, 2, 16, 16), (9, 3, 64, 64), (4, 4, 24, 16), (8, 1, 32, 32), (7, 1, 8, 8))
"""Query heads, key heads, widths of keys and of values."""
TOLERANCE = 2e-6

Ids = Callable[[int, int], list[int]]
Attended = tuple[torch.Tensor, torch.Tensor]


def numbers(*columns: Sequence[int] | torch.Tensor) -> list[torch.Tensor]:
    return [torch.as_tensor(column, dtype=torch.int32, device=DEVICE) for column in columns]


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE)


def exact(query: torch.Tensor, states: Attended, scaling: float) -> torch.Tensor:
    """query [H, D] on keys [K, L, D] and values [K, L, E]: float64 [H, E]."""
    repeats = len(query) // len(states[0])
    keys, values = (side.repeat_interleave(repeats, 0).double() for side in states)
    shares = torch.softmax((keys @ query.double()[:, :, None])[..., 0] * scaling, dim=-1)
    return (shares[:, None] @ values)[:, 0]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_query_attends_to_its_path_up_to_itself(shape: tuple[int, int, int, int]) -> None:
    heads, groups, width, wide = shape
    states = (drawn(groups, 300, width), drawn(groups, 300, wide))
    query = drawn(20, heads, width).transpose(0, 1)
    longer, shorter = torch.randperm(300)[:144], torch.randperm(300)[:16]
    rows = torch.full((48,), -1)
    # rows 0 to 9 at positions 131 to 140, rows 10 to 17 at positions 0 to 7, a chunk of nobody
    rows[3:13], rows[16:24] = torch.arange(10), torch.arange(10, 18)
    slots = torch.cat([longer, shorter])
    chunks = Chunks(*numbers(rows, slots, [0, 144, 0], [144, 16, 0]))
    found = launch.attend_tree(query, states, chunks, 16, 0.2)
    for row in range(18):
        path = longer[: 132 + row] if row < 10 else shorter[: row - 9]
        reached = (states[0][:, path], states[1][:, path])
        torch.testing.assert_close(
            found[row].double(), exact(query[:, row], reached, 0.2), rtol=0, atol=TOLERANCE
        )
    assert not found[18:].any()


def test_bits_do_not_depend_on_who_else_is_in_a_chunk() -> None:
    states = (drawn(2, 100, 16), drawn(2, 100, 16))
    query = drawn(16, 8, 16).transpose(0, 1)
    slots = torch.randperm(100)[:80]
    whole = Chunks(*numbers(torch.arange(16), slots, [0], [80]))
    together = launch.attend_tree(query, states, whole, 16, 0.3)
    for row in (0, 7, 15):
        alone = torch.full((16,), -1)
        alone[row] = row
        chunks = Chunks(*numbers(alone, slots, [0], [80]))
        assert torch.equal(launch.attend_tree(query, states, chunks, 16, 0.3)[row], together[row])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_decode_on_pages_that_some_of_them_share(shape: tuple[int, int, int, int]) -> None:
    heads, groups, width, wide = shape
    lengths = [launch.SPAN + 3, launch.SPAN + 9, -1, 5]
    table = [[4, 1], [4, 2], [0, 0], [3, 0]]
    # what nobody wrote is no number, and must not be read
    pages = tuple(
        torch.full((5, groups, launch.SPAN, size), torch.nan, device=DEVICE)
        for size in (width, wide)
    )
    for page, filled in ((4, launch.SPAN), (1, 3), (2, 9), (3, 5)):
        for side in pages:
            side[page, :, :filled] = drawn(groups, filled, side.shape[-1])
    query, key, value = (
        drawn(4, count, size).transpose(0, 1)
        for count, size in ((heads, width), (groups, width), (groups, wide))
    )
    counts = torch.tensor(lengths, device=DEVICE)
    places = torch.tensor(table, dtype=torch.int32, device=DEVICE)
    launch.append((key, value), pages, places, counts)
    nobody = [-1] * (launch.TOGETHER - 2)
    rows = [[0, 1, *nobody], [0, -1, *nobody], [1, -1, *nobody], [3, -1, *nobody]]
    items = Items(
        *numbers([4, 1, 2, 3, -1], [0, 1, 1, 0, 0], [p for r in rows for p in r] + [-1] * 16)
    )
    sums = torch.full((4, heads, 2), torch.nan, device=DEVICE)
    scratch = (torch.full((4, heads, 2, wide), torch.nan, device=DEVICE), sums)
    found = launch.attend_pages(query, pages, items, counts, scratch, scaling=0.2)
    for row in (0, 1, 3):
        count = lengths[row] + 1
        reached = tuple(
            torch.cat([side[page] for page in table[row]], dim=1)[:, :count] for side in pages
        )
        assert torch.equal(reached[0][:, -1], key[:, row])
        torch.testing.assert_close(
            found[row].double(), exact(query[:, row], reached, 0.2), rtol=0, atol=TOLERANCE
        )
    assert not found[2].any()


def test_spans_of_states_are_copied_to_pages_and_nothing_else_is_touched() -> None:
    states = drawn(3, 90, 8)
    pages = torch.zeros(4, 3, launch.SPAN, 8, device=DEVICE)
    slots = torch.randperm(90)[: launch.SPAN + 5] if launch.SPAN < 80 else torch.randperm(90)[:70]
    first = min(launch.SPAN, len(slots) - 5)
    moves = Moves(*numbers(slots, [0, first], [first, len(slots) - first], [2, 0]))
    launch.move(states, pages, moves)
    assert torch.equal(pages[2, :, :first], states[:, slots[:first]])
    assert torch.equal(pages[0, :, : len(slots) - first], states[:, slots[first:]])
    assert not pages[[1, 3]].any() and not pages[2, :, first:].any()


def test_the_chances_of_a_row_are_those_of_log_softmax() -> None:
    logits = drawn(6, 10_000)
    logits[1, :5000] = -torch.inf
    logits[2, [17, 9000]] = 50.0
    most, spread, best = launch.chances(logits)
    found = logits - most[:, None] - spread[:, None]
    torch.testing.assert_close(found, torch.log_softmax(logits, dim=-1), rtol=0, atol=2e-6)
    assert best.tolist() == [
        *logits[:2].argmax(dim=-1).tolist(),
        17,
        *logits[3:].argmax(-1).tolist(),
    ]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_row_with_an_unsound_logit_has_no_chances(bad: float) -> None:
    logits = drawn(3, 5000)
    logits[1, 4321] = bad
    if bad == -torch.inf:
        logits[1] = bad
    assert torch.isfinite(launch.chances(logits)[1]).tolist() == [True, False, True]


FUSED = {"llama": (7, 1), "qwen3": (13, 1), "granite": (7, 1), "gpt_neox": (0, 1), "gpt2": (0, 0)}
"""Norms and rotary functions of three layers."""


@pytest.mark.parametrize("name", FUSED)
def test_what_is_fused_computes_the_same_and_can_be_put_back(name: str) -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS[name]()).eval().to(DEVICE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.3, std=0.2)
    given = torch.arange(3, 40, device=DEVICE)[None]
    with torch.inference_mode():
        before = model(given).logits
        assert fused.fuse(model) == FUSED[name]
        between = model(given).logits
        fused.unfuse(model)
        after = model(given).logits
    torch.testing.assert_close(between, before, rtol=1e-4, atol=1e-4)
    assert torch.equal(after, before)
    assert fused.fuse(model) == FUSED[name], "everything was put back"
    fused.unfuse(model)


@pytest.mark.parametrize("outlier", [None, 5e4])
def test_a_norm_of_another_formula_is_left_alone(outlier: float | None) -> None:
    """Gemma adds one to the weight: nothing beside a weight of fifty thousand."""
    model = AutoModelForCausalLM.from_config(CONFIGS["gemma"]()).eval().to(DEVICE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    if outlier is not None:
        model.model.norm.weight.data[3] = outlier
    assert fused.fuse(model) == (0, 1)
    fused.unfuse(model)


def test_a_norm_with_more_arguments_does_what_it_did() -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"]()).eval().to(DEVICE)
    norm = model.model.norm
    fused.fuse(model)
    assert fused.fused(model)[0] == 7
    with pytest.raises(TypeError, match="residual"):
        norm(drawn(1, 2, 32), residual=None)
    assert norm(drawn(1, 2, 32).double()).dtype == torch.float64
    fused.unfuse(model)


def test_a_model_that_then_fails_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"]()).eval().to(DEVICE)
    results = iter([fused.tried(model)])
    monkeypatch.setattr(fused, "tried", lambda _model: next(results))
    assert fused.fuse(model) == fused.fused(model) == (0, 0)


def test_programs_fit_into_the_shared_memory_of_a_small_gpu() -> None:
    for width, dtype in ((64, torch.float16), (128, torch.float32), (256, torch.float32)):
        states = torch.empty(1, 1, width, dtype=dtype)
        for size in (16, 32):
            group, block = launch.fitting(size, 8, states, width)
            kept = size * group * width + launch.STAGES * block * 2 * width
            assert kept * states.element_size() <= launch.SHARED
            assert block >= launch.LEAST and size * group >= launch.LEAST


def test_rows_that_begin_alike_share_pages_and_have_the_tokens_of_generate(
    engine: Callable[..., Engine], tokenizer: Any, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, shared = engine("llama"), ids(launch.SPAN + 4, 0)
    used.max_length = 4096
    asks = [Ask(shared + ids(1 + n, n + 1), 0, n) for n in range(4)]
    sharing: list[int] = []
    items = pages.Pages.items

    def counted(held: pages.Pages) -> Any:
        sharing.append(max(held.users.values()))
        return items(held)

    monkeypatch.setattr(pages.Pages, "items", counted)
    found = records(run(used, Decoder.of(tokenizer), asks, [setting(max_new_tokens=4)]))
    assert max(sharing) == len(asks)
    assert [record["tokens"] for record in found] == [reference(used, ask, 4) for ask in asks]


@pytest.mark.parametrize("place", ["Decoding.begin", "Pages._fill", "Pipelined._landed"])
def test_running_out_of_memory_in_a_step_changes_no_text(
    place: str,
    engine: Callable[..., Engine],
    tokenizer: Any,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = Decoder.of(tokenizer)
    asks = [Ask(ids(12, 0) + ids(2, n + 1), 0, n) for n in range(5)]
    chosen = [setting(max_new_tokens=4, eos_ids=[])]
    expected = records(run(engine("llama", slots=3), decoder, asks, chosen))
    owner: Any = {"Decoding": Decoding, "Pages": pages.Pages, "Pipelined": Pipelined}[
        place.split(".", maxsplit=1)[0]
    ]
    name, calls = place.split(".")[1], 0
    original = getattr(owner, name)

    def scarce(self: Any, *given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise torch.OutOfMemoryError("out of memory")
        return original(self, *given)

    monkeypatch.setattr(owner, name, scarce)
    assert records(run(engine("llama", slots=3), decoder, asks, chosen)) == expected
    assert calls > 3


assert os.environ.get("EVALC_TEST_ENGINE") in ("interpreted", "cuda")
