"""The why-log: what is kept per cell, how it is merged, and what it survives."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from evalc import _core
from evalc.plan.provenance import Provenance
from evalc.plan.why import (
    CASE,
    MOST_ERAS,
    PENDING,
    CellCases,
    Era,
    Head,
    Ledger,
    cases,
    head,
    heads,
    record,
)
from evalc.store.environment import WHY
from workspaces import QUIZ, SUMS, Workspace, quiz_rows


def test_a_run_logs_every_case_of_every_cell(ran: Workspace) -> None:
    with ran.store() as store:
        known = {(h.model, h.task): h for h in heads(store)}
        assert set(known) == {("m", "quiz"), ("m", "sums")}
        logged = cases(store, known["m", "quiz"])
    ids = ran.planned().cell(0)["case_ids"]
    assert logged["case"].tolist() == sorted(map(_core.case_mark, ids))
    assert set(logged["era"].tolist()) == {0}
    assert (known["m", "quiz"].cases, known["m", "quiz"].pending) == (6, 0)


def test_a_head_reads_back_as_it_was_written_and_no_other_version_does() -> None:
    written = Head("m", "t", "d", (Era({"dtype": "float32"}, "x"),), 5, 2)
    assert Head.decode(written.encode()) == written
    assert Head.decode(written.encode().replace(b"evalc.why/2", b"evalc.why/9")) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"evalc.why/2"',
        b'{"schema": "evalc.why/2"}',
        b'{"schema": "evalc.why/2", "model": "m", "task": "t", "definition": "d", "cases": 1, '
        b'"pending": 0, "eras": []}',
        b'{"schema": "evalc.why/2", "model": "m", "task": "t", "definition": "d", "cases": "x", '
        b'"pending": 0, "eras": [{"components": {}, "data": ""}]}',
        b'{"schema": "evalc.why/2", "model": "m", "task": "t", "definition": "d", "cases": 1, '
        b'"pending": 0, "eras": [{"components": [], "data": ""}]}',
        b"[" * 100_000,
    ],
)
def test_a_head_that_is_none_counts_as_not_logged(content: bytes) -> None:
    assert Head.decode(content) is None


def test_cases_that_are_none_count_as_not_logged(ran: Workspace) -> None:
    with ran.store() as store:
        names = [name for batch in store.scan(WHY, b"cases:") for name, _ in batch]
        odd = [b"x", zlib.compress(b"x")]
        values = _core.seal_values([odd[at % 2] for at in range(len(names))])
        store.write_sealed(WHY, list(zip(names, values, strict=True)))
        assert [len(cases(store, known)) for known in heads(store)] == [0] * len(names)
    assert ran.call("exec").code == 0


def test_a_run_with_nothing_new_writes_nothing(ran: Workspace) -> None:
    def stored() -> list[bytes]:
        with ran.store() as store:
            return [value for batch in store.scan(WHY) for _, value in batch]

    before = stored()
    assert ran.call("exec", "--no-report").code == 0
    assert stored() == before


def test_a_lost_log_is_written_again_from_what_the_cache_answers(ran: Workspace) -> None:
    with ran.store() as store:
        names = [name for batch in store.scan(WHY) for name, _ in batch]
        store.write_sealed(WHY, [(name, b"damaged") for name in names])
        assert head(store, "m", "quiz") is None
    assert ran.call("exec", "--no-report").code == 0
    with ran.store() as store:
        assert len(cases(store, head(store, "m", "quiz"))) == 6


def test_a_damaged_column_of_cases_makes_their_reason_unknown_and_nothing_else(
    ran: Workspace,
) -> None:
    with ran.store() as store:
        names = [name for batch in store.scan(WHY, b"cases:") for name, _ in batch]
        store.write_sealed(WHY, [(name, b"damaged") for name in names])
    done = ran.call("plan", "--json", "--set", "models.m.dtype=bfloat16")
    assert done.json["cells"][0]["reasons"][0]["reason"] == "never asked"


def test_eras_are_bounded_and_the_latest_stays(ran: Workspace) -> None:
    for number in range(MOST_ERAS + 4):
        ran.write(QUIZ)
        ran.rows("quiz.jsonl", quiz_rows(number + 7))
        planned = ran.planned()
        with ran.store() as store:
            everything = np.ones(len(planned.hits), np.uint8)
            record(Provenance(planned, store), store, everything, ["m"])
    planned = ran.planned()
    with ran.store() as store:
        known = head(store, "m", "quiz")
        assert known is not None
        logged = cases(store, known)
        assert len(known.eras) <= MOST_ERAS
        assert known.eras[-1].data == Provenance(planned, store).data(0)
        assert set(logged["era"].tolist()) <= set(range(len(known.eras)))


def test_what_a_run_did_not_reach_keeps_the_era_that_answered_it(ran: Workspace) -> None:
    ran.write(QUIZ.replace("{{ question }}", "Q: {{ question }}"))
    planned = ran.planned()
    hits = np.zeros(len(planned.hits), np.uint8)
    columns = planned.cell(0)
    start, end = np.frombuffer(columns["request_offsets"], "<u4")[:2]
    hits[np.frombuffer(columns["requests"], "<u4")[start:end]] = 1
    with ran.store() as store:
        record(Provenance(planned, store), store, hits, ["m"])
        known = head(store, "m", "quiz")
        assert known is not None
        logged = cases(store, known)
        eras = {int(entry["case"]): int(entry["era"]) for entry in logged}
        mine = _core.case_mark(columns["case_ids"][0])
        assert eras.pop(mine) == 1
        assert set(eras.values()) == {0}
        assert known.pending == 5


def test_a_case_without_any_answer_is_pending(workspace: Workspace) -> None:
    workspace.quiz()
    planned = workspace.planned()
    with workspace.store() as store:
        record(Provenance(planned, store), store, Ledger(planned, store).hits, ["m"])
        logged = cases(store, head(store, "m", "quiz"))
    assert set(logged["era"].tolist()) == {PENDING}


def test_a_ledger_knows_what_was_committed_through_it(workspace: Workspace) -> None:
    workspace.quiz()
    planned = workspace.planned()
    keys = [planned.keys[at : at + 32] for at in (0, 32 * 5)]
    with workspace.store() as store:
        ledger = Ledger(planned, store)
        ledger.commit(keys, [b"x", b"y"])
        assert np.flatnonzero(ledger.hits).tolist() == [0, 5]
        assert store.read(keys) == [b"x", b"y"]


def test_digests_of_a_cases_keys_tell_order_and_content(workspace: Workspace) -> None:
    workspace.both()
    planned = workspace.planned()
    before = CellCases.of(planned, 0, planned.hits).keys
    workspace.write(QUIZ.replace("{{ choices }}", "{{ choices | reverse }}"), SUMS)
    planned = workspace.planned()
    after = CellCases.of(planned, 0, planned.hits).keys
    assert not set(before.tolist()) & set(after.tolist())


def test_a_column_takes_25_bytes_a_case_before_compression(ran: Workspace) -> None:
    assert CASE.itemsize == 25
    with ran.store() as store:
        sealed = [value for batch in store.scan(WHY, b"cases:") for _, value in batch]
    payload, _ = _core.unseal_values(list(sealed))
    assert payload is not None
    assert len(zlib.decompress(payload)) == 6 * 25
