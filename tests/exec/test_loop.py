"""The loop on a tiny model: commits, counts, interruptions, refusals."""

from __future__ import annotations

import json
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from evalc.contract.outcomes import FailedRequests
from evalc.contract.packs import Ask, built_pack
from evalc.contract.progress import Silence, Tally
from evalc.diagnostics import Faults
from evalc.errors import ExitCode
from evalc.exec import loop
from evalc.exec.loop import execute
from evalc.exec.passes.attention import TILE

SETTING = {
    "max_new_tokens": 5,
    "stop": [],
    "temperature": 0.0,
    "top_p": None,
    "top_k": None,
    "seed": 0,
    "slot": 0,
    "eos_ids": [],
}
Ids = Callable[[int, int], list[int]]


class Book(Silence):
    """An observer and a store that remember what they were told."""

    def __init__(self) -> None:
        self.commits: list[tuple[list[bytes], list[bytes]]] = []
        self.notes: list[str] = []
        self.totals = (0, 0)
        self.progress: list[tuple[int, int, str]] = []

    def commit(self, keys: list[bytes], payloads: list[bytes]) -> None:
        self.commits.append((keys, payloads))

    def started(self, total_requests: int, total_tokens: int) -> None:
        self.totals = (total_requests, total_tokens)

    def advanced(self, requests: int, tokens: int, seconds: float, kind: str) -> None:
        self.progress.append((requests, tokens, kind))

    def note(self, text: str) -> None:
        self.notes.append(text)


def keys(count: int) -> bytes:
    return b"".join(n.to_bytes(32, "big") for n in range(count))


def work(ids: Ids) -> list[Any]:
    """Two packs of log-likelihoods, one of generations; keys 0 to 8."""
    packs = []
    for pack in range(2):
        prefix = ids(20, pack)
        asks = [Ask(prefix + ids(4, 9 * pack + n), 2, 3 * pack + n) for n in range(3)]
        packs.append(built_pack("loglikelihood", asks))
    packs.append(built_pack("generate", [Ask(ids(9, n), 0, 6 + n) for n in range(3)]))
    return packs


def test_each_pack_commits_once_and_in_order(source: Callable[..., Any], ids: Ids) -> None:
    book = Book()
    tally = execute(source(), work(ids), [SETTING], keys(9), book.commit, book)
    assert [[int.from_bytes(k, "big") for k in done] for done, _ in book.commits] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
    ]
    assert all(struct.unpack("<dBI", p)[2] == 2 for _, done in book.commits[:2] for p in done)
    assert all(len(json.loads(p)["tokens"]) == 5 for p in book.commits[2][1])
    assert (tally.requests, tally.packs) == (9, 3)
    assert book.totals[0] == 9
    assert sum(requests for requests, _, _ in book.progress) == 9
    prefill = sum(tokens for _, tokens, kind in book.progress if kind == "prefill")
    decode = sum(tokens for _, tokens, kind in book.progress if kind == "decode")
    assert (tally.prefill_tokens, tally.decode_tokens) == (prefill, decode)
    assert decode == 3 * 4
    assert tally.peak_memory > 0
    assert tally.prefill_seconds > 0


def test_nothing_to_run_loads_no_model(source: Callable[..., Any], tmp_path: Path) -> None:
    book = Book()
    assert execute(source(path=tmp_path), [], [], b"", book.commit, book) == Tally()


def test_a_failed_self_check_refuses_to_run(
    source: Callable[..., Any], ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = lambda _self, _picked, _index, tokens: torch.full((2, len(tokens)), -1.0)  # noqa: E731
    monkeypatch.setattr(loop.Forward, "scores", wrong)
    book = Book()
    with pytest.raises(Faults) as caught:
        execute(source(), work(ids), [SETTING], keys(9), book.commit, book)
    assert caught.value.diagnostics[0].code == "self-check-failed"
    assert caught.value.exit_code == ExitCode.FAILURE
    assert book.commits == []


def test_a_model_that_cannot_share_prefixes_is_caught_by_the_self_check(
    source: Callable[..., Any], ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Book()
    execute(source(), work(ids), [SETTING], keys(9), honest.commit, honest)
    original = loop.Forward.run

    def forgetful(self: Any, rows: Any, at: Any, cols: Any, **options: Any) -> Any:
        if TILE in options:
            options["position_ids"] = torch.zeros_like(options["position_ids"])
        return original(self, rows, at, cols, **options)

    monkeypatch.setattr(loop.Forward, "run", forgetful)
    book = Book()
    execute(source(), work(ids), [SETTING], keys(9), book.commit, book)
    assert any("path `padded`" in note for note in book.notes)
    for (_, ours), (_, theirs) in zip(book.commits, honest.commits, strict=True):
        for left, right in zip(ours, theirs, strict=True):
            if len(left) == struct.calcsize("<dBI"):
                found, expected = (struct.unpack("<dBI", p) for p in (left, right))
                assert found[0] == pytest.approx(expected[0], abs=1e-4)
            else:
                assert left == right


def test_ids_of_another_tokenizer_stop_the_run(
    source: Callable[..., Any], ids: Ids, tokenizer: Any
) -> None:
    book = Book()
    text = "what is the sum"
    good = tokenizer(text, add_special_tokens=False)["input_ids"]
    pack = work(ids)[:1]
    execute(source(), pack, [], keys(9), book.commit, book, [(text, good)])
    assert len(book.commits) == 1
    with pytest.raises(Faults) as caught:
        execute(source(), pack, [], keys(9), book.commit, book, [(text, good), (text, [5])])
    assert caught.value.diagnostics[0].code == "tokenizer-mismatch"
    assert len(book.commits) == 1


def test_ctrl_c_in_a_commit_lets_it_finish(source: Callable[..., Any], ids: Ids) -> None:
    book, tally = Book(), Tally()

    def commit(done: list[bytes], payloads: list[bytes]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        book.commit(done, payloads)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        execute(source(), work(ids), [SETTING], keys(9), commit, book, (), tally)
    assert len(book.commits) == 1
    assert (tally.requests, tally.packs) == (3, 0)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_between_commits_keeps_what_is_committed(
    source: Callable[..., Any], ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, tally = Book(), Tally()
    original = loop.run_loglikelihoods

    def interrupted(engine: Any, columns: Any) -> Any:
        if book.commits:
            os.kill(os.getpid(), signal.SIGINT)
        return original(engine, columns)

    monkeypatch.setattr(loop, "run_loglikelihoods", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute(source(), work(ids), [SETTING], keys(9), book.commit, book, (), tally)
    assert len(book.commits) == 1
    assert tally.requests == 3


def poisoned(folder: Path, model_dir: Callable[[str], Path], row: int) -> Path:
    """A copy of the tiny llama whose embedding of one id is NaN."""
    model = AutoModelForCausalLM.from_pretrained(model_dir("llama"))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((model_dir("llama") / name).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.embed_tokens.weight"][row] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_nan_logits_are_failures_and_never_records(
    source: Callable[..., Any], model_dir: Callable[[str], Path], ids: Ids, tmp_path: Path
) -> None:
    path = poisoned(tmp_path / "nan", model_dir, 2)
    book, tally = Book(), Tally()
    packs = [
        built_pack("loglikelihood", [Ask([*ids(9, 1)], 2, 0), Ask([*ids(6, 2), 2, 7, 8], 2, 1)]),
        built_pack("generate", [Ask(ids(9, 3), 0, 2), Ask([*ids(9, 4), 2, 5], 0, 3)]),
    ]
    with pytest.raises(FailedRequests) as caught:
        execute(source(path=path), packs, [SETTING], keys(4), book.commit, book, (), tally)
    failed = [int.from_bytes(failure.key, "big") for failure in caught.value.failures]
    assert failed == [1, 3]
    assert "NaN" in caught.value.failures[0].reason
    assert keys(4)[32:64].hex()[:16] in str(caught.value)
    stored = [int.from_bytes(k, "big") for done, _ in book.commits for k in done]
    assert stored == [0, 2]
    assert tally.requests == 2


def test_a_pack_of_failures_only_ends_the_run(
    source: Callable[..., Any], model_dir: Callable[[str], Path], ids: Ids, tmp_path: Path
) -> None:
    path = poisoned(tmp_path / "nan", model_dir, 2)
    book = Book()
    bad = built_pack("loglikelihood", [Ask([2, *ids(6, 2)], 2, 0)])
    good = built_pack("loglikelihood", [Ask(ids(6, 2), 2, 1)])
    with pytest.raises(FailedRequests):
        execute(source(path=path), [bad, good], [], keys(2), book.commit, book)
    assert book.commits == []


def test_a_key_that_the_plan_does_not_have_is_refused(source: Callable[..., Any], ids: Ids) -> None:
    book = Book()
    with pytest.raises(ValueError, match="no request key 8"):
        execute(source(), work(ids), [SETTING], keys(8), book.commit, book)
