"""Counting what a cache holds, and finding what is damaged in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from caches import edit, fill, key, opened, payload

from evalc.store.environment import NOTES, QUARANTINE, RECORDS, RUNS
from evalc.store.statistics import held_namespaces
from workspaces import Done, Workspace

Cache = Callable[..., Done]


def test_records_are_counted_by_namespace(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(5000))
    fill(tmp_path / "a", range(10), namespace=2**64 - 1)
    found = cache("stat", "--cache", "a", "--json").json
    assert found["schema"] == "evalc.cache-stat/1"
    assert (found["records"], found["runs"], found["quarantined"]) == (5010, 0, 0)
    assert [entry["records"] for entry in found["namespaces"]] == [5000, 10]
    # a key of 32 bytes, a header of 10, a payload of 13
    assert [entry["bytes"] for entry in found["namespaces"]] == [5000 * 55, 10 * 55]
    with opened(tmp_path / "a") as store:
        assert held_namespaces(store) == [(1).to_bytes(8, "big"), b"\xff" * 8]


def test_a_namespace_has_the_names_of_its_models_and_its_runs(workspace: Workspace) -> None:
    workspace.both()
    assert workspace.call("exec", "specs", "--no-report").code == 0
    (entry,) = workspace.call("cache", "stat", "--json").json["namespaces"]
    assert (entry["models"], entry["runs"]) == (["m"], 1)
    assert entry["last_written"] == entry["first_written"] is not None
    table = workspace.call("cache", "stat").out
    assert entry["namespace"] in table


def test_an_unfinished_run_names_its_model_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.quiz()
    monkeypatch.setattr("evalc.run.execute._write_run", _interrupt)
    assert workspace.call("exec", "specs").code == 130
    (entry,) = workspace.call("cache", "stat", "--json").json["namespaces"]
    assert (entry["models"], entry["runs"]) == (["m"], 0)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_intact_cache_verifies(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(100))
    done = cache("verify", "--cache", "a")
    assert done.code == 0
    assert "100 records" in done.err


def test_bad_values_of_all_kinds_are_quarantined_and_reported(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(10))
    with opened(tmp_path / "a") as store:
        store.write_run(b"20260101T000000.0", b"{}")
        store.remember(b"fact", b"1")
    edit(tmp_path / "a", RECORDS, {key(1): b"rot", key(2): b""})
    edit(tmp_path / "a", RUNS, {b"20260101T000000.0": b"rot"})
    edit(tmp_path / "a", NOTES, {b"fact": b"rot"})
    done = cache("verify", "--cache", "a", "--json")
    assert done.code == 1
    assert done.json["bad"]["records"] == 2
    assert (done.json["bad"]["runs"], done.json["bad"]["notes"]) == (1, 1)
    assert {"bucket": "notes", "name": "fact"} in done.json["listed"]
    assert cache("verify", "--cache", "a").code == 0
    with opened(tmp_path / "a") as store:
        assert (store.records(), store.runs(), store.count(QUARANTINE)) == (8, [], 4)
        store.commit([key(1)], [payload(1)])


def test_damage_is_told_in_words(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(10))
    edit(tmp_path / "a", RECORDS, {key(1): b"rot"})
    done = cache("verify", "--cache", "a")
    assert done.code == 1
    assert "cache-damaged" in done.err
    assert key(1).hex() in done.err


def test_a_read_only_cache_is_looked_into_and_left_alone(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a", range(10))
    fill(tmp_path / "b", range(20))
    cache("export", "b.evalc", "--cache", "b")
    edit(tmp_path / "a", RECORDS, {key(1): b"rot"})
    real = os.access
    own = str(tmp_path / "a")
    monkeypatch.setattr(
        os, "access", lambda p, mode: real(p, mode) and (mode != os.W_OK or own not in str(p))
    )
    assert cache("stat", "--cache", "a", "--json").json["readonly"]
    done = cache("verify", "--cache", "a", "--json")
    assert (done.code, done.json["bad"]["records"], done.json["quarantined"]) == (1, 1, 0)
    assert cache("export", "a.evalc", "--cache", "a").code == 1
    for words in (("import", "b.evalc"), ("merge", "b"), ("gc", "--older-than", "0")):
        done = cache(*words, "--cache", "a")
        assert done.code == 1
        assert "cache-read-only" in done.err
    assert cache("gc", "--older-than", "0", "--dry-run", "--cache", "a").code == 0
    assert cache("merge", "a", "--cache", "b").code == 1
    with opened(tmp_path / "a") as store:
        assert store.records() == 10
