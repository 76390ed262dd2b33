"""Collecting: by model, age and size, and never what a recorded run cites."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from caches import fill, key, opened, payload
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalc.store import Store
from evalc.store.ages import marks
from evalc.store.environment import CITATIONS, DAYS, QUARANTINE, RECORDS
from evalc.store.gc import Policy, collect
from evalc.store.runs import cites
from workspaces import QUIZ, Done, Workspace, quiz_rows

Cache = Callable[..., Done]
SIZE = 55
"""Bytes of a record: its key, a header of 10, a payload of 13."""


def written(cache: Path, numbers: range, day: int, namespace: int = 1) -> None:
    """Records written on a day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalc.store.environment.today", lambda: day)
        fill(cache, numbers, namespace)


def record_run(store: Store, name: str, numbers: range | list[int], namespace: int = 1) -> None:
    """A run that cites records."""
    keys = marks([key(n, namespace) for n in numbers])
    entry, pair = cites("m", "t", namespace.to_bytes(8, "big"), keys)
    store.write_run(name.encode(), json.dumps({"cites": [entry]}).encode(), [pair])


def left(cache: Path, numbers: range, namespace: int = 1) -> list[int]:
    """Which of some records are there."""
    with opened(cache) as store:
        found = store.read([key(n, namespace) for n in numbers])
    return [n for n, value in zip(numbers, found, strict=True) if value is not None]


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> int:
    """Today is day 1000."""
    monkeypatch.setattr("evalc.cli.commands.cache.gc.today", lambda: 1000)
    return 1000


def test_records_older_than_some_days_go(tmp_path: Path, cache: Cache, days: int) -> None:
    written(tmp_path / "a", range(10), 900)
    written(tmp_path / "a", range(10, 20), 970)
    written(tmp_path / "a", range(20, 30), 971)
    done = cache("gc", "--older-than", "30", "--cache", "a", "--json")
    assert (done.code, done.json["records"], done.json["left"]["records"]) == (0, 20, 10)
    assert left(tmp_path / "a", range(30)) == list(range(20, 30))


def test_a_record_written_again_is_as_young_as_that(
    tmp_path: Path, cache: Cache, days: int
) -> None:
    written(tmp_path / "a", range(10), 900)
    written(tmp_path / "a", range(5), 999)
    cache("gc", "--older-than", "30", "--cache", "a")
    assert left(tmp_path / "a", range(10)) == list(range(5))


def test_a_dry_run_counts_and_removes_nothing(tmp_path: Path, cache: Cache, days: int) -> None:
    written(tmp_path / "a", range(10), 900)
    done = cache("gc", "--older-than", "30", "--dry-run", "--cache", "a", "--json")
    assert (done.json["records"], done.json["bytes"], done.json["dry_run"]) == (10, 10 * SIZE, True)
    assert left(tmp_path / "a", range(10)) == list(range(10))


def test_what_a_recorded_run_cites_stays_until_the_run_is_forgotten(
    tmp_path: Path, cache: Cache, days: int
) -> None:
    written(tmp_path / "a", range(10), 100)
    with opened(tmp_path / "a") as store:
        record_run(store, "19700421T000000.0", range(4))  # day 110
        record_run(store, "19720301T000000.0", range(2, 6))  # day 790
    found = cache("gc", "--older-than", "1", "--cache", "a", "--json").json
    assert (found["records"], found["kept_for_runs"]) == (4, 6)
    found = cache("gc", "--older-than", "1", "--forget-runs", "300", "--cache", "a", "--json").json
    assert (found["runs_forgotten"], found["records"], found["kept_for_runs"]) == (1, 2, 4)
    assert left(tmp_path / "a", range(10)) == [2, 3, 4, 5]
    with opened(tmp_path / "a") as store:
        assert (len(store.runs()), store.count(CITATIONS)) == (1, 1)


def test_a_run_that_does_not_say_what_it_cites_cites_everything(
    tmp_path: Path, cache: Cache, days: int
) -> None:
    written(tmp_path / "a", range(10), 100)
    with opened(tmp_path / "a") as store:
        store.write_run(b"20200101T000000.0", b"{}")
    cache("gc", "--older-than", "1", "--cache", "a")
    assert left(tmp_path / "a", range(10)) == list(range(10))


def test_a_run_whose_cited_keys_are_lost_cites_everything_of_its_models(
    tmp_path: Path, cache: Cache, days: int
) -> None:
    written(tmp_path / "a", range(10), 100)
    written(tmp_path / "a", range(10), 100, namespace=2)
    with opened(tmp_path / "a") as store:
        record_run(store, "20200101T000000.0", range(2))
        store.remove(CITATIONS, [name for batch in store.scan(CITATIONS) for name, _ in batch])
    cache("gc", "--older-than", "1", "--cache", "a")
    assert left(tmp_path / "a", range(10)) == list(range(10))
    assert left(tmp_path / "a", range(10), namespace=2) == []


def test_a_size_is_reached_by_removing_the_oldest(tmp_path: Path, cache: Cache, days: int) -> None:
    written(tmp_path / "a", range(10), 990)
    written(tmp_path / "a", range(10, 20), 980)
    written(tmp_path / "a", range(20, 30), 985)
    done = cache("gc", "--keep-bytes", str(15 * SIZE), "--cache", "a", "--json")
    assert done.json["records"] == 15
    found = left(tmp_path / "a", range(30))
    assert len(found) == 15
    assert set(range(10)) <= set(found)
    assert not set(range(10, 20)) & set(found)
    assert cache("gc", "--keep-bytes", "1MiB", "--cache", "a", "--json").json["records"] == 0


def test_only_the_named_models_records_go(tmp_path: Path, cache: Cache, days: int) -> None:
    written(tmp_path / "a", range(10), 999)
    written(tmp_path / "a", range(10), 999, namespace=2)
    done = cache("gc", "--model", "0000000000000002", "--cache", "a", "--json")
    assert done.json["records"] == 10
    assert left(tmp_path / "a", range(10)) == list(range(10))


def test_the_days_of_removed_records_go_with_them(tmp_path: Path, cache: Cache, days: int) -> None:
    written(tmp_path / "a", range(10), 900)
    written(tmp_path / "a", range(10, 20), 990)
    with opened(tmp_path / "a") as store:
        record_run(store, "20200101T000000.0", range(3))
    cache("gc", "--older-than", "30", "--cache", "a")
    with opened(tmp_path / "a") as store:
        sizes = [len(value) for batch in store.scan(DAYS) for _, value in batch]
        assert sizes == [10 + 4 * 3, 10 + 4 * 10]
        assert collect(store, Policy(day=999), dry=True).records == 10


def test_the_quarantine_is_emptied_when_asked(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(10))
    with opened(tmp_path / "a") as store:
        store.set_aside(RECORDS, [key(1), key(2)])
    assert cache("gc", "--keep-bytes", "1G", "--cache", "a", "--json").json["quarantined"] == 0
    done = cache("gc", "--keep-bytes", "1G", "--quarantine", "--cache", "a", "--json")
    assert done.json["quarantined"] == 2
    with opened(tmp_path / "a") as store:
        assert (store.records(), store.count(QUARANTINE)) == (8, 0)


@pytest.mark.parametrize(
    "words", [(), ("--dry-run",), ("--keep-bytes", "lots"), ("--older-than", "-1")]
)
def test_a_collection_without_a_sound_choice_is_refused(cache: Cache, words: tuple[str]) -> None:
    assert cache("gc", *words).code == 2


def test_files_beside_the_store_go_when_no_plan_has_used_them(workspace: Workspace) -> None:
    workspace.quiz()
    assert workspace.call("plan", "specs").code == 0
    long_ago = time.time() - 100 * 86_400
    snapshots = workspace.cache / "snapshots"
    snapshots.mkdir()
    for path in [*workspace.cache.rglob("*.json"), snapshots / "old.jsonl"]:
        path.touch()
        os.utime(path, (long_ago, long_ago))
    done = workspace.call("cache", "gc", "--older-than", "30", "--json")
    assert done.json["files"] == 1
    assert not (snapshots / "old.jsonl").exists()
    # its use was noted by `plan`, whatever the file system says
    assert len(list((workspace.cache / "tokenizers").iterdir())) == 1
    again = workspace.call("cache", "gc", "--older-than", "0", "--json")
    assert again.json["files"] > 0
    assert not list((workspace.cache / "tokenizers").iterdir())


def test_after_a_collection_exec_asks_only_what_no_run_rests_on(workspace: Workspace) -> None:
    """An edit leaves records that no run cites once the run before it is forgotten."""
    workspace.quiz(6)
    workspace.call("exec", "specs", "--no-report")
    workspace.rows("quiz.jsonl", quiz_rows(4))
    workspace.write(QUIZ.replace("{{ question }}", "Q: {{ question }}"))
    workspace.call("exec", "specs", "--no-report")
    with workspace.store() as store:
        assert store.records() == 40
        (first, _), _ = store.runs()
        store.remove(b"runs.v1", [first])
    done = workspace.call("cache", "gc", "--model", "m", "--json")
    assert (done.json["records"], done.json["kept_for_runs"]) == (24, 16)
    assert workspace.call("exec", "specs").err.startswith("nothing to run")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    commits=st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 20), st.integers(1, 6)), max_size=6
    ),
    cited=st.lists(st.lists(st.integers(0, 50), max_size=20), max_size=3),
    day=st.integers(0, 7),
    keep=st.one_of(st.none(), st.integers(0, 60)),
)
def test_what_goes_is_old_enough_uncited_and_no_more_than_has_to(
    commits: list[tuple[int, int, int]],
    cited: list[list[int]],
    day: int,
    keep: int | None,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        days: dict[int, int] = {}
        for start, count, when in commits:
            written(root, range(start, start + count), when)
            for number in range(start, start + count):
                days[number] = max(when, days.get(number, 0))
        with opened(root) as store:
            for index, numbers in enumerate(cited):
                record_run(store, f"2026010{index + 1}T000000.0", numbers)
            limit = None if keep is None else keep * SIZE
            found = collect(store, Policy(day=day, keep_bytes=limit))
            assert collect(store, Policy(day=day, keep_bytes=limit)).records == 0
        stay = set(left(root, range(60)))
        named = {number for numbers in cited for number in numbers}
        gone = set(days) - stay
        free = {n for n in days if n not in named and days[n] <= day}
        assert stay <= set(days)
        assert gone <= free
        assert len(gone) == found.records
        wanted = len(free) if keep is None else min(len(free), max(0, len(days) - keep))
        assert len(gone) == wanted
        # the oldest first
        assert max((days[n] for n in gone), default=0) <= min(
            (days[n] for n in free - gone), default=99
        )


def test_a_commit_dates_its_records_in_the_same_transaction(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
            patch.setattr("evalc.store.environment.day_entries", _interrupt)
            store.commit([key(1)], [payload(1)])
        assert (store.records(), store.count(DAYS)) == (0, 0)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
