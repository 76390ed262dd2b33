"""What comes from elsewhere and is no record, run, result or set of keys is not taken in."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from caches import key, opened

from evalc import _core
from evalc.store.environment import CITATIONS, RECORDED, RECORDS, RUNS, SCORES
from evalc.store.records import Answer, Likelihood
from evalc.store.segments import write_segment
from workspaces import Done, Workspace

Cache = Callable[..., Done]
RUN = b"20260101T000000.0"
MODEL = {"name": "m", "model_id": "a", "engine_id": "b"}
CITE = {"model": "m", "task": "t", "namespace": "00" * 8, "keys": "00" * 32}
BAD = {
    "a log-likelihood that is none": (RECORDS, key(1), b"nonsense"),
    "half an answer": (RECORDS, key(1), b'{"text":"a"}'),
    "tokens that are words": (
        RECORDS,
        key(1),
        b'{"text":"a","tokens":["b"],"finish":"eos","stop":null}',
    ),
    "a manifest that is a list": (RUNS, RUN, b"[]"),
    "a manifest that is no JSON": (RUNS, RUN, b"{"),
    "a count in words": (RUNS, RUN, b'{"asked":"many"}'),
    "seconds without end": (RUNS, RUN, b'{"seconds":1e999}'),
    "models in words": (RUNS, RUN, b'{"models":["m"]}'),
    "cells of three": (RUNS, RUN, b'{"cells":[["a","b","c"]]}'),
    "a name that is half a character": (RUNS, RUN, b'{"name":"\\ud800"}'),
    "a citation cut off": (RUNS, RUN, json.dumps({"cites": [{**CITE, "keys": "00"}]}).encode()),
    "a score that is no JSON": (SCORES, key(1), b"{"),
    "marks cut off": (CITATIONS, bytes(32), b"abc"),
    "a result that is not packed": (RECORDED, b"main" + bytes(17), b"{}"),
    "a result that is a number": (RECORDED, b"main" + bytes(17), zlib.compress(b"1")),
    "a result without a time": (RECORDED, b"main", zlib.compress(b"{}")),
}
cases = pytest.mark.parametrize(("bucket", "name", "value"), BAD.values(), ids=BAD.keys())


def segment(folder: Path, bucket: bytes, name: bytes, value: bytes) -> Path:
    """A segment whose digests are right, with one entry."""
    sealed = _core.seal_values([value])[0]
    return write_segment(folder / "bad.evalc", [(bucket, [(name, sealed)])]).path


@cases
def test_a_segment_with_it_is_refused_whole(
    tmp_path: Path, cache: Cache, bucket: bytes, name: bytes, value: bytes
) -> None:
    done = cache("import", str(segment(tmp_path, bucket, name, value)), "--cache", "a")
    assert done.code == 1
    assert "error[bad-segment]" in done.err
    with opened(tmp_path / "a") as store:
        assert store.count(bucket) == 0


@cases
def test_a_cache_that_has_it_reports_and_verify_sets_it_aside(
    workspace: Workspace, bucket: bytes, name: bytes, value: bytes
) -> None:
    """As a cache may that took it in before this was looked at."""
    workspace.both(3)
    first = workspace.call("exec", "specs", "--json").json
    with workspace.store() as store:
        store.write_sealed(bucket, [(name, _core.seal_values([value])[0])])
    again = workspace.call("report", "specs", "--json")
    assert again.code == 0, again.err
    assert again.json["results"] == first["results"]
    assert again.json["runs"] == first["runs"]
    assert workspace.call("cache", "stat").code == 0
    assert workspace.call("cache", "verify").code == 1
    assert workspace.call("cache", "verify").code == 0


@pytest.mark.parametrize("wrong", [b"nonsense", Likelihood(-1.0, True, 1).encode()])
def test_a_record_of_the_wrong_kind_under_a_real_key_is_asked_again(
    workspace: Workspace, wrong: bytes
) -> None:
    workspace.both(3)
    chosen = ("specs", "--task", "sums")
    first = workspace.call("exec", *chosen, "--json").json
    with workspace.store() as store:
        own = next(k for batch in store.scan(RECORDS) for k, _ in batch)
        store.commit([own], [wrong])
    told = workspace.call("report", *chosen, "--json")
    assert told.code == 0, told.err
    assert told.json["results"][0]["scored"] == 2
    again = workspace.call("exec", *chosen, "--json").json
    assert again["runs"][0]["asked"] == 1
    assert again["results"] == first["results"]


def test_answers_that_say_the_same_are_no_conflict(tmp_path: Path, cache: Cache) -> None:
    """What is known beside an answer, such as its day, differs between the machines that asked."""
    answer = Answer("a", (1,), "eos", None)
    facts = type(answer.facts)(day="2026-01-01")
    dated = Answer(answer.text, answer.tokens, answer.finish, answer.stop, facts)
    for name, payload in (("a", answer.encode()), ("b", dated.encode())):
        with opened(tmp_path / name) as store:
            store.commit([key(1)], [payload])
    merged = cache("merge", "b", "--cache", "a", "--json")
    assert (merged.code, merged.json["conflicts"], merged.json["known"]) == (0, 0, 1)


def test_a_cache_path_that_no_file_system_takes_is_said_so(workspace: Workspace) -> None:
    workspace.both(1)
    for path in ("x" * 5000, "/".join(["y" * 200] * 40)):
        for command in (("plan", "specs"), ("exec", "specs"), ("cache", "stat")):
            done = workspace.call(*command, "--cache", path)
            assert done.code == 1
            assert "error[cache-unusable]" in done.err
