"""A clock that jumps between runs: nothing is asked again, nothing stale believed, nothing goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from evalc.store.marks import DAY_SECONDS
from tiny_models import write_model
from workspaces import Workspace

YEAR = 365 * DAY_SECONDS
Jump = Callable[[float], None]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Puts the clock that evalc sees some seconds off the machine's."""
    plain = time.time_ns

    def to(seconds: float) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: plain() + int(seconds * 1e9))

    return to


@pytest.fixture
def mine(workspace: Workspace) -> Workspace:
    """A workspace with a model of its own."""
    own = Workspace(workspace.root, write_model(workspace.root / "mine"))
    own.both(3)
    return own


@pytest.mark.parametrize("seconds", [-YEAR, -5.0, 5.0, YEAR])
def test_a_jump_asks_nothing_again_and_reports_the_latest_run(
    mine: Workspace, jump: Jump, seconds: float
) -> None:
    first = mine.call("exec", "specs", "--json").json
    jump(seconds)
    again = mine.call("exec", "specs", "--json").json
    assert again["results"] == first["results"]
    assert again["runs"] == first["runs"]
    longer = ("--set", "tasks.sums.generate.max_new_tokens=5")
    done = mine.call("exec", "specs", "--json", *longer).json
    assert [run["asked"] for run in done["runs"]] == [3], "the run of before was shown for it"


@pytest.mark.parametrize("seconds", [-YEAR, 0.0, YEAR])
def test_weights_written_over_under_any_clock_are_other_weights(
    mine: Workspace, jump: Jump, seconds: float
) -> None:
    """Also when their date lies in the future, or is put back to what it was."""
    weights = mine.model / "model.safetensors"
    os.utime(weights, (time.time() + YEAR,) * 2)
    jump(seconds)
    assert mine.call("exec", "specs", "--json").json["runs"][0]["asked"] == 15
    state = weights.stat()
    changed = {name: tensor + np.float32(0.5) for name, tensor in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert mine.call("plan", "specs", "--json").json["total"]["to_run"] == 15


@pytest.mark.parametrize("seconds", [-YEAR, -2 * DAY_SECONDS, YEAR])
def test_a_collection_under_a_wrong_clock_spares_what_a_run_cites(
    mine: Workspace, jump: Jump, seconds: float
) -> None:
    assert mine.call("exec", "specs", "--no-report").code == 0
    jump(seconds)
    assert mine.call("cache", "gc", "--older-than", "30").code == 0
    assert len(mine.records()) == 15


def test_records_from_the_future_are_young(mine: Workspace, jump: Jump) -> None:
    jump(YEAR)
    assert mine.call("exec", "specs", "--no-report").code == 0
    jump(0.0)
    with mine.store() as store:
        store.remove(b"runs.v1", [name for name, _ in store.runs()])
    assert mine.call("cache", "gc", "--older-than", "30").code == 0
    assert len(mine.records()) == 15
    assert mine.call("plan", "specs", "--json").json["nothing_to_run"]


@pytest.mark.parametrize("year", [1901, 1969, 9999, 12_000])
def test_a_clock_that_no_date_can_express_stops_nothing(
    mine: Workspace, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    """Python's own `time` raises beyond 2262."""

    def nanoseconds() -> int:
        if year > 2262:
            raise OverflowError("timestamp too large to convert to C _PyTime_t")
        return (year - 1970) * int(YEAR * 1e9)

    monkeypatch.setattr(time, "time_ns", nanoseconds)
    assert mine.call("plan", "specs").code == 0
    done = mine.call("exec", "specs", "--json", "--record", "main").json
    assert done["runs"][0]["asked"] == 15
    assert mine.call("exec", "specs", "--json", "--record", "main").json["runs"] == done["runs"]
    assert mine.call("cache", "stat").code == 0
    assert mine.call("cache", "export", "all.evalc").code == 0
    assert mine.call("cache", "gc", "--older-than", "30").code == 0
    assert len(mine.records()) == 15
