"""Scores in a cache: counted, checked, carried with it, and let go by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from caches import content, edit, fill, key, opened

from evalc.store import Store
from evalc.store.environment import DAYS, QUARANTINE, SCORES
from evalc.store.segments import HEADER
from workspaces import Done

Cache = Callable[..., Done]


def kept(
    cache: Path, numbers: range, day: int = 1000, scorer: int = 77, value: bytes = b"0.5"
) -> None:
    """Scores of a scorer, written on a day."""
    with pytest.MonkeyPatch.context() as patch, opened(cache) as store:
        patch.setattr("evalc.store.environment.today", lambda: day)
        store.commit([key(n, scorer) for n in numbers], [value] * len(numbers), SCORES)


def left(cache: Path) -> int:
    with opened(cache) as store:
        return store.count(SCORES)


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today is day 1000."""
    monkeypatch.setattr("evalc.cli.commands.cache.gc.today", lambda: 1000)


def test_scores_are_counted_beside_the_records(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(3))
    kept(tmp_path / "a", range(5))
    found = cache("stat", "--cache", "a", "--json").json
    assert (found["records"], found["scores"], len(found["namespaces"])) == (3, 5, 1)
    assert "5 scores" in cache("stat", "--cache", "a").out


def test_a_damaged_score_is_found_and_quarantined(tmp_path: Path, cache: Cache) -> None:
    kept(tmp_path / "a", range(5))
    edit(tmp_path / "a", SCORES, {key(1, 77): b"rot"})
    done = cache("verify", "--cache", "a", "--json")
    assert (done.code, done.json["bad"]["scores"], done.json["checked"]["scores"]) == (1, 1, 5)
    assert left(tmp_path / "a") == 4
    with opened(tmp_path / "a") as store:
        assert store.count(QUARANTINE) == 1
    assert "4 scores" in cache("verify", "--cache", "a").err


def test_scores_go_by_their_own_age(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(3))
    kept(tmp_path / "a", range(5), 900)
    kept(tmp_path / "a", range(5, 7), 990)
    kept(tmp_path / "a", range(4), 900, scorer=78)
    kept(tmp_path / "a", range(1), 995, scorer=78)
    dry = cache("gc", "--older-than", "30", "--dry-run", "--cache", "a", "--json")
    assert (dry.json["scores"], left(tmp_path / "a")) == (8, 11)
    done = cache("gc", "--older-than", "30", "--cache", "a", "--json")
    assert (done.json["scores"], done.json["records"], left(tmp_path / "a")) == (8, 0, 3)
    again = cache("gc", "--older-than", "30", "--cache", "a", "--json")
    assert again.json["scores"] == 0


@pytest.mark.parametrize("choice", [("--keep-bytes", "0"), ("--model", "01")])
def test_a_choice_of_records_by_model_or_size_leaves_scores_alone(
    tmp_path: Path, cache: Cache, choice: tuple[str, str]
) -> None:
    fill(tmp_path / "a", range(3), namespace=1 << 56)
    kept(tmp_path / "a", range(5), 900)
    done = cache("gc", *choice, "--older-than", "0", "--cache", "a", "--json")
    assert (done.code, done.json["scores"], left(tmp_path / "a")) == (0, 0, 5)


def test_all_scores_go_when_asked_for_and_no_record_with_them(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(3))
    kept(tmp_path / "a", range(5))
    done = cache("gc", "--scores", "--cache", "a", "--json")
    assert (done.json["scores"], done.json["records"], done.json["left"]["records"]) == (5, 0, 3)
    assert left(tmp_path / "a") == 0
    with opened(tmp_path / "a") as store:
        assert store.count(DAYS) == 1, "the days of what went are gone, those of records stay"
    assert cache("gc", "--cache", "a").code == 2


def test_scores_travel_with_a_whole_cache(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(3))
    kept(tmp_path / "a", range(5))
    out = cache("export", "a.evalc", "--cache", "a", "--json").json
    assert (out["records"], out["scores"]) == (3, 5)
    taken = cache("import", "a.evalc", "--cache", "b", "--json")
    assert (taken.code, taken.json["scores"], taken.json["records"]) == (0, 5, 3)
    assert cache("merge", "a", "--cache", "c", "--json").json["scores"] == 5
    assert content(tmp_path / "a") == content(tmp_path / "b") == content(tmp_path / "c")
    assert cache("merge", "a", "--cache", "b", "--json").json["known"] == 8


def test_scores_stay_behind_when_one_model_is_exported(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(3), namespace=1 << 56)
    kept(tmp_path / "a", range(5))
    out = cache("export", "a.evalc", "--model", "01", "--cache", "a", "--json").json
    assert (out["records"], out["scores"]) == (3, 0)


def test_scores_that_differ_are_a_conflict_and_the_own_one_stays(
    tmp_path: Path, cache: Cache
) -> None:
    kept(tmp_path / "a", range(2), value=b"0.5")
    kept(tmp_path / "b", range(1, 3), value=b"0.75")
    done = cache("merge", "a", "--cache", "b", "--json")
    assert (done.code, done.json["conflicts"], done.json["scores"]) == (1, 1, 1)
    (listed,) = done.json["listed"]
    assert (listed["bucket"], listed["kept"], listed["refused"]) == ("scores", "0.75", "0.5")
    assert "score `" in cache("merge", "a", "--cache", "b").err
    with opened(tmp_path / "b") as store:
        assert store.read([key(1, 77)], SCORES) == [b"0.75"]


def test_a_score_under_a_name_that_is_no_key_makes_a_segment_bad(
    tmp_path: Path, cache: Cache
) -> None:
    kept(tmp_path / "a", range(1))
    with opened(tmp_path / "a") as store:
        (value,) = store.sealed(SCORES, [key(0, 77)])
        assert value is not None
        store.write_sealed(SCORES, [(b"short", value)])
    assert cache("export", "a.evalc", "--cache", "a").code == 0
    assert (tmp_path / "a.evalc").read_bytes().startswith(HEADER)
    done = cache("import", "a.evalc", "--cache", "b")
    assert (done.code, "bad-segment" in done.err) == (1, True)


def test_scores_and_records_of_one_key_are_two_values(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.commit([key(1)], [b"record"])
        store.commit([key(1)], [b"score"], SCORES)
        assert store.read([key(1)]) == [b"record"]
        assert store.read([key(1)], SCORES) == [b"score"]
        assert store.records() == 1
