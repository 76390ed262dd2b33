"""Budgets come from free memory; running out of it anywhere changes no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_loop import SETTING, Book, keys, work
from transformers import AutoModelForCausalLM

from evalc import env
from evalc.contract.outcomes import FailedRequests
from evalc.diagnostics import Faults
from evalc.errors import ExitCode
from evalc.exec.loop import execute
from evalc.exec.memory.budget import Budget
from evalc.exec.memory.free import Memory
from evalc.exec.memory.needs import Needs
from evalc.exec.model.bases import Bases
from evalc.exec.model.linears import PackedLinear

GIB = 1 << 30
REFUSED = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"
Ids = Callable[[int, int], list[int]]


class Scarce:
    """Every matrix product asks here first; some are refused. Stands in for the allocator."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.refused: set[int] = set()
        self.widest: int | None = None
        for kind in (torch.nn.Linear, PackedLinear):
            monkeypatch.setattr(kind, "forward", self._asking(kind.forward))

    def _asking(self, original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def forward(layer: torch.nn.Linear, given: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            wide = self.widest is not None and given.shape[:-1].numel() > self.widest
            if wide or self.calls in self.refused:
                raise RuntimeError(REFUSED)
            return original(layer, given)

        return forward


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost a tiny model more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Scarce:
    return Scarce(monkeypatch)


def answers(source: Any, packs: Sequence[Any], bases: Bases | None = None) -> dict[bytes, bytes]:
    book = Book()
    execute(source, packs, [SETTING], keys(9), book.commit, book, bases=bases)
    return {key: p for done, ps in book.commits for key, p in zip(done, ps, strict=True)}


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_a_refusal_at_any_place_costs_a_second_try_and_no_bit(
    name: str, source: Callable[..., Any], ids: Ids, scarce: Scarce
) -> None:
    one = source(name, numerics="stable")
    packs = work(ids)
    expected = answers(one, packs)
    assert len(expected) == 9
    total, bases = scarce.calls, Bases([one] * 1000)
    for first in range(1, total + 1, max(1, total // 6)):
        scarce.calls, scarce.refused = 0, {first}
        assert answers(one, packs, bases) == expected, f"call {first} of {total}"
    for first in (2, 30):
        scarce.calls, scarce.refused = 0, {first + 211 * n for n in range(total // 211)}
        assert answers(one, packs, bases) == expected, f"calls from {first} on"


def test_passes_shrink_until_they_fit(source: Callable[..., Any], ids: Ids, scarce: Scarce) -> None:
    expected = answers(source(), work(ids))
    # what the self-check's plain call takes fits, and nothing wider
    scarce.widest = 57
    found = answers(source(), work(ids))
    assert found.keys() == expected.keys()


def test_without_room_for_one_pass_of_the_usual_size_nothing_runs(
    source: Callable[..., Any], ids: Ids, scarce: Scarce
) -> None:
    scarce.widest = 100
    with pytest.raises(Faults) as caught:
        answers(source(numerics="stable"), work(ids))
    (found,) = caught.value.diagnostics
    assert found.code == "out-of-memory"
    assert "256 tokens" in found.message
    assert "fast" in str(found.hint)


def test_a_model_that_does_not_fit_is_a_failure_and_not_a_bad_model(
    source: Callable[..., Any], ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refused)
    with pytest.raises(Faults) as caught:
        answers(source(), work(ids))
    (found,) = caught.value.diagnostics
    assert (found.code, caught.value.exit_code) == ("out-of-memory", ExitCode.FAILURE)
    assert found.notes == ("CUDA out of memory. Tried to allocate 2.00 GiB",)


def test_what_never_fits_is_a_failure_and_the_rest_is_answered(
    source: Callable[..., Any], ids: Ids, scarce: Scarce
) -> None:
    book, one = Book(), source("gemma3", numerics="stable")
    # the output head always takes 128 rows; one input is longer
    scarce.widest = 128
    longer = work(lambda length, seed: ids(length + 140 * (seed == 10), seed))
    with pytest.raises(FailedRequests) as caught:
        execute(one, longer, [SETTING], keys(9), book.commit, book)
    (failure,) = caught.value.failures
    assert failure.key == keys(9)[4 * 32 : 5 * 32]
    assert failure.reason == "a row of 163 tokens does not fit into memory"
    assert len({key for done, _ in book.commits for key in done}) == 8


def test_the_budget_grows_with_free_memory_up_to_what_fills_the_device() -> None:
    needs = Needs(state=1 << 16, token=1 << 18, row=1 << 20)
    found = [Budget.fitted("cpu", needs, Memory(free * GIB, "a test")) for free in (1, 2, 8, 64)]
    for column in ("tokens", "slots", "kept"):
        values = [getattr(budget, column) for budget in found]
        assert values == sorted(values)
    usual = Budget.of("cpu")
    assert (found[-1].tokens, found[-1].slots) == (usual.tokens, usual.slots)
    assert found[0].tokens < usual.tokens
    for free, budget in zip((1, 2, 8, 64), found, strict=True):
        assert budget.kept * needs.state + budget.tokens * needs.token <= free * GIB / 2
    assert Budget.fitted("cpu", needs, None) == usual
    nothing = Budget.fitted("cuda", needs, Memory(0, "a test"))
    assert (nothing.tokens, nothing.kept, nothing.rows_for(100)) == (1, 1, 1)


def test_what_torch_holds_idle_on_a_gpu_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic only; no test here has a GPU."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 7 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 4 * GIB)
    found = Memory.of(torch.device("cuda"))
    assert found == Memory(13 * GIB, "torch.cuda.mem_get_info")


def test_less_memory_gives_fewer_rows_at_once_and_the_same_answers(
    source: Callable[..., Any], ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("llama", "gemma3", "mamba"):
        one = source(name, numerics="stable")
        expected = answers(one, work(ids))
        with monkeypatch.context() as patch:
            patch.setattr(env, "free_memory", lambda: (4 << 20, "a test"))
            assert answers(one, work(ids)) == expected


@pytest.mark.parametrize(
    "name", ["llama", "qwen2", "qwen3", "gpt_neox", "gpt2", "granite", "gemma3"]
)
def test_a_kept_token_takes_what_the_models_own_cache_takes(
    name: str, loaded: Callable[[str], Any]
) -> None:
    model = loaded(name)
    needs = Needs.of(model.decoder, model.model.dtype, model.vocab)
    with torch.inference_mode():
        cache = model.model(torch.arange(7)[None], use_cache=True).past_key_values
    held = [side for layer in cache.layers for side in (layer.keys, layer.values)]
    assert needs.state == sum(side.nbytes for side in held) // 7


def test_a_control_group_leaves_less_than_the_machine_has(tmp_path: Path) -> None:
    def group(folder: Path, files: dict[str, int | str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            (folder / name).write_text(f"{value}\n")

    membership = tmp_path / "cgroup"
    second = tmp_path / "second"
    group(second / "a", {"memory.max": 1000, "memory.current": 700, "memory.stat": "anon 1\n"})
    group(second / "a" / "b", {"memory.max": "max", "memory.current": 90, "memory.stat": ""})
    membership.write_text("0::/a/b\n")
    assert env._group_memory(second, membership) == 300
    first = tmp_path / "first"
    v1 = {"memory.limit_in_bytes": 500, "memory.usage_in_bytes": 450}
    group(first / "memory" / "x", {**v1, "memory.stat": "total_inactive_file 200"})
    membership.write_text("9:name=systemd:/\n4:cpu,memory:/x\n0::/\n")
    assert env._group_memory(first, membership) == 250
    assert env._group_memory(tmp_path, tmp_path / "nowhere") is None
