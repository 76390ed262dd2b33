"""kill -9 at any moment of `exec` loses at most the pack in flight."""

from __future__ import annotations

import random
import shutil
import signal
import time
from typing import Any

import pytest

from workspaces import QUIZ, SMALL_PACKS, SUMS, Workspace, quiz_rows, sum_rows

ROWS = 60
REQUESTS = 5 * ROWS
KILLS = 3


@pytest.fixture
def asking(workspace: Workspace) -> Workspace:
    workspace.write(QUIZ, SUMS)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    workspace.rows("sums.jsonl", sum_rows(ROWS))
    return workspace


def killed(workspace: Workspace, known: int, draw: random.Random) -> None:
    """Run until a few packs more than `known` records are there, then kill at a random moment."""
    process = workspace.start("exec", "specs", "--no-report", script=SMALL_PACKS)
    enough = known + draw.randint(1, 40)
    while len(workspace.records()) < enough and process.poll() is None:
        time.sleep(0.005)
    time.sleep(draw.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"


def without_runs(report: dict[str, Any]) -> dict[str, Any]:
    return {**report, "runs": []}


def test_a_killed_run_loses_nothing_and_is_continued(asking: Workspace) -> None:
    draw = random.Random(5)
    records: dict[bytes, bytes] = {}
    for _ in range(KILLS):
        killed(asking, len(records), draw)
        after = asking.records()
        assert records.items() <= after.items(), "a record was lost or changed"
        records = after
    assert 0 < len(records) < REQUESTS
    with asking.store() as store:
        assert store.runs() == []
        assert store.damaged == 0
    last = asking.call("exec", "specs", "--json")
    assert last.code == 0, last.err
    assert last.json["runs"][0]["asked"] == REQUESTS - len(records)
    assert records.items() <= asking.records().items()
    shutil.rmtree(asking.cache / "store")
    whole = asking.call("exec", "specs", "--json")
    assert whole.json["runs"][0]["asked"] == REQUESTS
    assert without_runs(last.json) == without_runs(whole.json)


def test_a_run_killed_before_its_first_answer_leaves_an_empty_store(asking: Workspace) -> None:
    process = asking.start("exec", "specs", "--no-report")
    while not (asking.cache / "store" / "data.mdb").exists() and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert asking.call("plan", "specs", "--detailed-exitcode").code == 6
    assert asking.records() == {}


def test_two_runs_at_once_do_not_disturb_each_other(asking: Workspace) -> None:
    asking.rows("quiz.jsonl", quiz_rows(8))
    asking.rows("sums.jsonl", sum_rows(2))
    both = [asking.start("exec", "specs", "--json", script=SMALL_PACKS) for _ in range(2)]
    ended = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert len(asking.records()) == 4 * 8 + 2
