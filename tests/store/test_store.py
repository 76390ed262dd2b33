"""The store: sealed records, committed whole or not at all, and nothing misread."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest

from evalc import _core
from evalc.diagnostics import Faults
from evalc.errors import ExitCode
from evalc.store import Store
from evalc.store.environment import QUARANTINE, RECORDS
from evalc.store.records import Likelihood, decode_answer, decode_likelihoods

KEYS = [bytes([n]) * 32 for n in range(1, 6)]
PAYLOADS = [f"payload {n}".encode() for n in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def edited(folder: Path, bucket: bytes, key: bytes, value: bytes | None) -> bytes | None:
    """Replace (or only read, for None) a raw value behind the store's back."""
    with lmdb.open(str(folder), max_dbs=16, lib_version=0) as env:
        db = env.open_db(bucket)
        with env.begin(write=value is not None, db=db) as txn:
            before = txn.get(key)
            if value is not None:
                txn.put(key, value)
    return before


def code(caught: pytest.ExceptionInfo[Faults]) -> str:
    return caught.value.diagnostics[0].code


def test_what_is_committed_is_read_back_after_reopening(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.commit(KEYS, PAYLOADS)
    with Store.open(tmp_path) as store:
        assert store.read([KEYS[3], b"\xff" * 32, KEYS[0]]) == [PAYLOADS[3], None, PAYLOADS[0]]
        assert store.records() == 5
        assert store.damaged == 0


def test_hits_are_one_byte_for_each_sorted_key(store: Store) -> None:
    store.commit(KEYS[::2], PAYLOADS[::2])
    assert store.hits(b"".join(KEYS)) == b"\1\0\1\0\1"
    assert store.hits(b"") == b""


def test_an_empty_store_hits_nothing(store: Store) -> None:
    assert store.hits(b"".join(KEYS)) == bytes(5)
    assert store.read(KEYS) == [None] * 5


@pytest.mark.parametrize("place", [0, 1, 5, -1])
def test_a_damaged_value_is_a_miss_and_goes_into_quarantine(tmp_path: Path, place: int) -> None:
    with Store.open(tmp_path) as store:
        store.commit(KEYS, PAYLOADS)
    raw = bytearray(edited(tmp_path, RECORDS, KEYS[2], None) or b"")
    raw[place] ^= 0x10
    edited(tmp_path, RECORDS, KEYS[2], bytes(raw))
    with Store.open(tmp_path) as store:
        assert store.hits(b"".join(KEYS)) == b"\1\1\0\1\1"
        assert store.damaged == 1
        assert store.read(KEYS)[2] is None
        assert store.records() == 4
        store.commit([KEYS[2]], [b"asked again"])
        assert store.read([KEYS[2]]) == [b"asked again"]
        assert store.damaged == 1
    assert edited(tmp_path, QUARANTINE, KEYS[2], None) == bytes(raw)


def test_reading_a_damaged_value_quarantines_it_too(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.commit(KEYS, PAYLOADS)
    edited(tmp_path, RECORDS, KEYS[0], b"")
    with Store.open(tmp_path) as store:
        assert store.read(KEYS[:2]) == [None, PAYLOADS[1]]
        assert (store.damaged, store.records()) == (1, 4)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_has_32_bytes(store: Store, size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        store.commit([KEYS[0], b"k" * size], PAYLOADS[:2])
    assert store.records() == 0


def test_a_commit_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match=r"shorter|argument"):
        store.commit(KEYS, PAYLOADS[:3])
    assert store.records() == 0


def test_a_commit_cut_off_before_its_end_leaves_nothing(store: Store) -> None:
    """An error in the middle of the transaction, as an interrupt would raise it."""
    with pytest.raises(KeyboardInterrupt), store._begin(write=True) as txn:
        txn.put(KEYS[0], b"half", db=store._buckets[RECORDS])
        raise KeyboardInterrupt
    assert store.records() == 0


def test_sealing_survives_a_round_trip_and_no_change() -> None:
    values = [b"", b"x", bytes(range(256)) * 40]
    sealed = _core.seal_values(values)
    assert _core.unseal_values(sealed) == values
    assert _core.sealed_intact([*sealed, None, sealed[1][:-1]]) == b"\1\1\1\0\0"
    assert _core.unseal_values([None, b"", sealed[0] + b"y"]) == [None, None, None]


def test_likelihoods_are_13_bytes_and_missing_ones_are_nan() -> None:
    payload = Likelihood(-1.25, True, 3).encode()
    assert payload == struct.pack("<dBI", -1.25, 1, 3)
    sums, greedy = decode_likelihoods([payload, None])
    assert sums[0] == -1.25
    assert sums[1] != sums[1]
    assert greedy.tolist() == [True, False]
    assert [column.shape for column in decode_likelihoods([])] == [(0,), (0,)]


def test_answers_are_decoded_with_how_they_ended() -> None:
    answer = decode_answer(
        '{"text": "é", "tokens": [1, 2], "finish": "stop", "stop": "\\n"}'.encode()
    )
    assert (answer.text, answer.tokens, answer.finish, answer.stop) == ("é", (1, 2), "stop", "\n")


def test_runs_come_back_in_the_order_of_their_names(store: Store) -> None:
    store.write_run(b"b", b"{}")
    store.write_run(b"a", b"[]")
    assert store.runs() == [(b"a", b"[]"), (b"b", b"{}")]


def test_notes_are_remembered_and_may_be_replaced(store: Store) -> None:
    assert store.note(b"speed") is None
    store.remember(b"speed", b"1")
    store.remember(b"speed", b"2")
    assert store.note(b"speed") == b"2"


def test_a_store_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Faults) as caught:
        Store.open(tmp_path / "file" / "store")
    assert code(caught) == "cache-unusable"
    assert caught.value.exit_code == ExitCode.FAILURE


def test_a_file_in_place_of_the_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not a store" * 1000)
    with pytest.raises(Faults) as caught:
        Store.open(tmp_path)
    assert code(caught) == "cache-unusable"


@pytest.fixture
def unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A filled store in a directory that says it cannot be written (root writes everywhere)."""
    with Store.open(tmp_path) as store:
        store.commit(KEYS, PAYLOADS)
        store.remember(b"n", b"1")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    return tmp_path


def test_a_read_only_store_answers_and_refuses_to_be_written(unwritable: Path) -> None:
    with Store.open(unwritable) as store:
        assert store.readonly
        assert store.read(KEYS) == PAYLOADS
        assert store.hits(b"".join(KEYS)) == b"\1" * 5
        store.remember(b"n", b"2")
        assert store.note(b"n") == b"1"
        with pytest.raises(Faults) as caught:
            store.commit(KEYS[:1], [b"new"])
        assert code(caught) == "cache-read-only"
        assert store.read(KEYS[:1]) == PAYLOADS[:1]


def test_a_damaged_value_of_a_read_only_store_is_a_miss_and_stays(unwritable: Path) -> None:
    edited(unwritable, RECORDS, KEYS[1], b"bad")
    with Store.open(unwritable) as store:
        assert store.read(KEYS[:2]) == [PAYLOADS[0], None]
        assert store.damaged == 1
        assert store.records() == 5


def test_a_full_map_is_reported_and_loses_nothing(store: Store) -> None:
    store.commit(KEYS[:1], PAYLOADS[:1])
    store._env.set_mapsize(1 << 16)
    with pytest.raises(Faults) as caught:
        store.commit(KEYS[1:2], [b"x" * (1 << 20)])
    assert code(caught) == "cache-full"
    assert store.read(KEYS[:2]) == [PAYLOADS[0], None]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lmdb.CorruptedError("page 3"), "cache-damaged"),
        (lmdb.Error("File too large"), "cache-full"),
        (lmdb.ReadersFullError("512"), "cache-failed"),
    ],
)
def test_a_failing_environment_is_reported_by_its_own_code(
    store: Store, error: lmdb.Error, expected: str
) -> None:
    with pytest.raises(Faults) as caught, store._begin():
        raise error
    assert code(caught) == expected


def test_stores_of_one_directory_share_what_is_open_until_the_last_closes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "store", target_is_directory=True)
    with Store.open(tmp_path / "store") as first:
        with Store.open(tmp_path / "link") as second:
            second.commit(KEYS[:2], PAYLOADS[:2])
            assert first.read(KEYS[:3]) == [*PAYLOADS[:2], None]
        second.close()
        first.commit(KEYS[2:], PAYLOADS[2:])
        assert first.records() == 5
    with pytest.raises(Faults):
        first.records()
    with Store.open(tmp_path / "store") as third:
        assert third.read(KEYS) == PAYLOADS


def test_threads_open_one_store_at_the_same_time_and_lose_nothing(tmp_path: Path) -> None:
    def work(number: int) -> int:
        for turn in range(10):
            key = bytes([number, turn]) * 16
            with Store.open(tmp_path) as store:
                store.commit([key], [bytes([number, turn])])
                assert store.read([key]) == [bytes([number, turn])]
        return number

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 28
    with Store.open(tmp_path) as store:
        assert store.records() == 80


@pytest.mark.parametrize("count", [3, 4, 5, 7, 8, 9])
def test_hits_are_those_of_reading_wherever_a_batch_of_keys_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("evalc.store.environment.PROBED", 4)
    keys = [bytes(8) + bytes([n]) * 24 for n in range(count)]
    for stored in ([], keys[:1], keys[-1:], keys[3:4], keys[::2], keys):
        missing = [key for key in stored if store.read([key]) == [None]]
        store.commit(missing, [key[-1:] for key in missing])
        held = [payload is not None for payload in store.read(keys)]
        assert list(store.hits(b"".join(keys))) == held
        assert sum(held) >= len(stored)
