"""The score cache: what is computed, what is kept, and what happens when it cannot be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalc.score import cache
from evalc.score.cache import Missing, ScoreCache, Scored
from evalc.score.keys import Scorer
from evalc.store import Store, environment
from evalc.store.environment import SCORES

SCORER = Scorer("metric", "m", "0" * 64, "py")


def keys(*texts: str) -> list[bytes]:
    return [SCORER.key(text.encode()) for text in texts]


class Count:
    """Computes the text itself, and notes for which inputs."""

    def __init__(self, *texts: str, lasting: bool = True) -> None:
        self.texts = texts
        self.lasting = lasting
        self.ran: list[str] = []

    def __call__(self, missing: Missing) -> Iterator[Scored]:
        for at in missing:
            self.ran.append(self.texts[at])
            yield Scored(at, self.texts[at].encode(), self.lasting)

    def values(self, own: ScoreCache) -> list[bytes | None]:
        return own.values(len(self.texts), lambda: keys(*self.texts), self)


def test_inputs_of_one_key_are_computed_once_and_each_has_its_value(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        first, second = Count("a", "b", "a"), Count("b", "c", "a")
        assert first.values(ScoreCache(store)) == [b"a", b"b", b"a"]
        assert second.values(ScoreCache(store)) == [b"b", b"c", b"a"]
    assert (first.ran, second.ran) == (["a", "b"], ["c"])


@pytest.mark.parametrize("seed", range(8))
def test_what_is_missing_is_found_in_pieces_and_computed_once(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    texts = [str(draw.randrange(900)) for _ in range(draw.randrange(1, 2000))]
    kept = [text for text in dict.fromkeys(texts) if draw.random() < 0.1 * seed]
    with Store.open(tmp_path) as store:
        Count(*kept).values(ScoreCache(store))
        count = Count(*texts)
        assert count.values(ScoreCache(store)) == [text.encode() for text in texts]
        assert sorted(count.ran) == sorted(set(texts) - set(kept))


def test_a_computation_that_stops_early_leaves_what_is_kept(tmp_path: Path) -> None:
    texts = [str(n) for n in range(3 * cache.LOOKED_UP)]
    with Store.open(tmp_path) as store:
        Count(texts[-1]).values(ScoreCache(store))

        def one(missing: Missing) -> Iterator[Scored]:
            yield Scored(next(missing), b"0")
            assert len(texts) - missing.left() < 2 * cache.LOOKED_UP

        found = ScoreCache(store).values(len(texts), lambda: keys(*texts), one)
    assert [at for at, value in enumerate(found) if value is not None] == [0, len(texts) - 1]


def test_without_a_store_everything_is_computed_and_no_key_is_made() -> None:
    count = Count("a", "a")

    def refused() -> list[bytes]:
        raise AssertionError("a key without a store")

    assert ScoreCache().values(2, refused, count) == [b"a", b"a"]
    assert count.ran == ["a", "a"]


def test_what_does_not_last_is_a_value_once(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for _ in range(2):
            count = Count("a", lasting=False)
            assert count.values(ScoreCache(store)) == [b"a"]
            assert count.ran == ["a"]
        assert store.count(SCORES) == 0


def test_what_was_computed_before_an_interruption_is_kept(tmp_path: Path) -> None:
    def interrupted(missing: Missing) -> Iterator[Scored]:
        yield Scored(next(missing), b"a")
        raise KeyboardInterrupt

    with Store.open(tmp_path) as store:
        with pytest.raises(KeyboardInterrupt):
            ScoreCache(store).values(2, lambda: keys("a", "b"), interrupted)
        count = Count("a", "b")
        assert count.values(ScoreCache(store)) == [b"a", b"b"]
    assert count.ran == ["b"]


def test_values_are_written_while_others_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a kill loses a bounded number of them."""
    monkeypatch.setattr(cache, "WRITTEN_VALUES", 2)
    seen = []
    with Store.open(tmp_path) as store:

        def compute(missing: Missing) -> Iterator[Scored]:
            for at in missing:
                yield Scored(at, b"v")
                seen.append(store.count(SCORES))

        ScoreCache(store).values(5, lambda: keys(*"abcde"), compute)
        assert store.count(SCORES) == 5
    assert seen == [0, 2, 2, 4, 4]


def test_a_full_store_keeps_no_score_and_still_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "MAP_BYTES", 1 << 17)
    texts = [f"{n}" * 400 for n in range(500)]
    with Store.open(tmp_path) as store:
        own = ScoreCache(store)
        assert Count(*texts).values(own) == [text.encode() for text in texts]
        assert own.unwritten is not None
        assert own.unwritten.diagnostics[0].code == "cache-full"
