"""Segments: whole or refused, named by content, and never a silent disagreement."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from caches import content, edit, fill, key, opened, payload

from evalc import _core
from evalc.store.ages import marks
from evalc.store.environment import RECORDS
from evalc.store.runs import cites
from evalc.store.segments import HEADER, write_segment
from evalc.store.union import Contents
from workspaces import Done

Cache = Callable[..., Done]


def record_run(cache: Path, name: bytes, cells: list[tuple[str, int, range]]) -> None:
    """A run that cites records by model, namespace and numbers."""
    with opened(cache) as store:
        made = [
            cites(model, "t", bytes(7) + bytes([ns]), marks([key(n, ns) for n in numbers]))
            for model, ns, numbers in cells
        ]
        manifest = {"models": [], "cites": [entry for entry, _ in made]}
        store.write_run(name, json.dumps(manifest).encode(), [pair for _, pair in made])


@pytest.fixture
def exported(tmp_path: Path, cache: Cache) -> Path:
    """A segment of 10,000 records in two namespaces and a run."""
    fill(tmp_path / "a", range(9000))
    fill(tmp_path / "a", range(1000), namespace=2)
    record_run(tmp_path / "a", b"20260101T000000.000000", [("m", 1, range(9000))])
    assert cache("export", "a.evalc", "--cache", "a").code == 0
    return tmp_path / "a.evalc"


def test_an_export_imported_elsewhere_is_the_same_cache(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    done = cache("import", exported, "--cache", "b", "--json")
    assert (done.code, done.json["records"], done.json["runs"]) == (0, 10_000, 1)
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_importing_again_changes_nothing(tmp_path: Path, exported: Path, cache: Cache) -> None:
    cache("import", exported, "--cache", "b")
    done = cache("import", exported, exported, "--cache", "b", "--json")
    assert (done.code, done.json["records"], done.json["known"]) == (0, 0, 2 * 10_002)


def test_equal_caches_make_equal_segments_under_the_digest_of_the_file(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    cache("import", exported, "--cache", "b")
    (tmp_path / "shelf").mkdir()
    paths = [cache("export", "shelf", "--cache", name).out.strip() for name in ("a", "b")]
    assert paths[0] == paths[1]
    assert Path(paths[0]).stem == _core.hash_files([str(tmp_path / paths[0])])[0]
    assert [file.name for file in (tmp_path / "shelf").iterdir()] == [Path(paths[0]).name]
    assert (tmp_path / paths[0]).read_bytes() == exported.read_bytes()


def test_a_segment_renamed_to_another_digest_is_refused(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    wrong = exported.rename(tmp_path / f"{'0' * 64}.evalc")
    done = cache("import", wrong, "--cache", "b")
    assert done.code == 1
    assert "bad-segment" in done.err


def test_an_export_of_one_model_leaves_runs_of_others_behind(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    record_run(tmp_path / "a", b"20260102T000000.0", [("m", 1, range(5)), ("n", 2, range(5))])
    done = cache("export", "m.evalc", "--model", "m", "--cache", "a", "--json")
    assert (done.code, done.json["records"], done.json["runs"]) == (0, 9000, 1)
    by_hex = cache("export", "2.evalc", "--model", "0000000000000002", "--cache", "a", "--json")
    assert (by_hex.json["records"], by_hex.json["runs"]) == (1000, 0)


def test_a_model_without_records_is_named_with_those_that_have_some(
    exported: Path, cache: Cache
) -> None:
    done = cache("export", "x.evalc", "--model", "base", "--cache", "a")
    assert done.code == 2
    assert "unknown-namespace" in done.err
    assert "`m`" in done.err
    assert not exported.with_name("x.evalc").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9999])
def test_a_truncated_segment_is_refused_whole(
    tmp_path: Path, exported: Path, cache: Cache, share: float
) -> None:
    whole = exported.read_bytes()
    exported.write_bytes(whole[: int(share * len(whole))])
    done = cache("import", exported, "--cache", "b")
    assert done.code == 1
    assert "bad-segment" in done.err
    assert content(tmp_path / "b") == {}


def test_every_lost_or_flipped_byte_of_a_segment_is_noticed(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(2))
    cache("export", "a.evalc", "--cache", "a")
    segment = tmp_path / "a.evalc"
    whole = segment.read_bytes()
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        for damaged in (bytes(flipped), whole[:at]):
            segment.write_bytes(damaged)
            assert cache("import", "a.evalc", "--cache", "b").code == 1, at
    segment.write_bytes(whole + b"\0")
    assert cache("import", "a.evalc", "--cache", "b").code == 1
    assert content(tmp_path / "b") == {}


def test_one_bad_segment_of_many_keeps_all_of_them_out(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    bad = tmp_path / "bad.evalc"
    bad.write_bytes(HEADER)
    assert cache("import", exported, bad, "--cache", "b").code == 1
    assert content(tmp_path / "b") == {}


@pytest.mark.parametrize("name", ["missing.evalc", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, cache: Cache, name: str) -> None:
    (tmp_path / "folder").mkdir()
    done = cache("import", name, "--cache", "b")
    assert done.code == 1
    assert "bad-segment" in done.err
    assert "Traceback" not in done.err


def test_another_value_of_a_key_is_a_conflict_and_all_else_comes_in(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    with opened(tmp_path / "b") as store:
        store.commit([key(3), key(10_001)], [payload(3, 0.5), payload(1)])
    done = cache("import", exported, "--cache", "b")
    assert done.code == 1
    assert "cache-conflict" in done.err
    assert key(3).hex()[:16] in done.err
    assert "-3.5 here, -3.0 there" in done.err
    with opened(tmp_path / "b") as store:
        assert store.read([key(3)]) == [payload(3, 0.5)]
        assert store.records() == 10_001
    again = cache("import", exported, "--cache", "b", "--json")
    assert (again.code, again.json["conflicts"], again.json["records"]) == (1, 1, 0)
    assert again.json["listed"][0]["name"] == key(3).hex()


def test_a_damaged_value_is_no_conflict_but_replaced(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    cache("import", exported, "--cache", "b")
    edit(tmp_path / "b", RECORDS, {key(7): b"rot"})
    done = cache("import", exported, "--cache", "b", "--json")
    assert (done.code, done.json["records"]) == (0, 1)
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_a_damaged_value_does_not_travel_and_is_reported(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    edit(tmp_path / "a", RECORDS, {key(7): b"rot"})
    done = cache("export", "part.evalc", "--cache", "a")
    assert done.code == 1
    assert "cache-damaged" in done.err
    merged = cache("merge", "a", "--cache", "b", "--json")
    assert (merged.code, merged.json["damaged"], merged.json["records"]) == (1, 1, 9999)


def test_a_file_that_is_there_is_not_overwritten(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    assert cache("export", "a.evalc", "--cache", "a").code == 0
    fill(tmp_path / "a", range(9000, 9001))
    before = exported.read_bytes()
    done = cache("export", "a.evalc", "--cache", "a")
    assert done.code == 2
    assert "file-exists" in done.err
    assert exported.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_segment_that_cannot_be_written_is_reported(tmp_path: Path, cache: Cache) -> None:
    fill(tmp_path / "a", range(3))
    done = cache("export", "no/such/folder.evalc", "--cache", "a")
    assert done.code != 0
    assert "segment-unwritable" in done.err


def test_an_interrupted_export_leaves_no_file(tmp_path: Path) -> None:
    fill(tmp_path / "a", range(5000))

    def cut() -> object:
        with opened(tmp_path / "a") as store:
            yield from Contents(store)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_segment(tmp_path / "a.evalc", cut())  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_merge_takes_in_another_cache_and_leaves_it_as_it_is(
    tmp_path: Path, exported: Path, cache: Cache
) -> None:
    fill(tmp_path / "b", range(8000, 9500))
    before = content(tmp_path / "a")
    done = cache("merge", "a", "--cache", "b", "--json")
    assert (done.code, done.json["records"], done.json["runs"]) == (0, 9000, 1)
    assert content(tmp_path / "a") == before
    assert before.items() <= content(tmp_path / "b").items()


@pytest.mark.parametrize("other", ["a", "nowhere"])
def test_only_another_cache_can_be_merged(tmp_path: Path, cache: Cache, other: str) -> None:
    fill(tmp_path / "a", range(3))
    done = cache("merge", other, "--cache", "a")
    assert done.code == 2
    assert "not-a-cache" in done.err
    assert not (tmp_path / "nowhere").exists()
