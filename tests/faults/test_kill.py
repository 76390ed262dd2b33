"""kill -9 at any moment of `exec` loses at most the pack in flight."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zygote import STAGES

from workspaces import QUIZ, SMALL_PACKS, SUMS, Workspace, quiz_rows, sum_rows

KILLS = int(os.environ.get("EVALC_KILLS", "200"))
SEED = int(os.environ.get("EVALC_KILL_SEED", "5"))
ROWS = 24
REQUESTS = 5 * ROWS
AIMED = STAGES[:-1]
"""Every other kill is aimed at one of these in turn; the others fall anywhere in a run."""


@pytest.fixture
def asking(workspace: Workspace) -> Workspace:
    workspace.write(QUIZ, SUMS)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    workspace.rows("sums.jsonl", sum_rows(ROWS))
    return workspace


class Runs:
    """Runs of one workspace in children of a zygote, with the journal of what they asked."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.journal, self.report = workspace.root / "journal", workspace.root / "report.json"
        self._zygote = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py")), str(workspace.root)],
            env=workspace.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, seconds: float, stage: str | None = None) -> dict[str, Any]:
        """Start a run and kill it `seconds` after it enters a stage, or after it starts."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        asked = {"journal": str(self.journal), "report": str(self.report)}
        self._zygote.stdin.write(json.dumps({**asked, "stage": stage, "seconds": seconds}) + "\n")
        self._zygote.stdin.flush()
        found: dict[str, Any] = json.loads(self._zygote.stdout.readline())
        return found

    def asked(self) -> list[tuple[str, str]]:
        """The journal: (what, key) in order. A kill may have torn no line of it."""
        if not self.journal.exists():
            return []
        lines = self.journal.read_text().splitlines()
        return [(what, key) for what, _, key in (line.partition(" ") for line in lines)]

    def forget(self) -> None:
        """Begin anew, with an empty cache but for the tokenizer's bundle."""
        self.journal.unlink(missing_ok=True)
        for folder in ("store", "memo"):
            shutil.rmtree(self.workspace.cache / folder, ignore_errors=True)

    def result(self) -> dict[str, Any]:
        """The report of the last run, but for what was measured."""
        return {**json.loads(self.report.read_text()), "runs": []}

    def close(self) -> None:
        """End the zygote."""
        self._zygote.communicate()


@pytest.fixture
def runs(asking: Workspace) -> Iterator[Runs]:
    found = Runs(asking)
    yield found
    found.close()


def seen(runs: Runs) -> dict[bytes, bytes]:
    """Records of the store, if there is one."""
    there = (runs.workspace.cache / "store" / "data.mdb").exists()
    return runs.workspace.records() if there else {}


def check_kill(runs: Runs, before: dict[bytes, bytes], known: int) -> dict[bytes, bytes]:
    """Nothing is lost or changed, what was kept is there, nothing known was asked again.

    `known` is the length of the journal before the run that was killed, `before` the records then.
    """
    after = seen(runs)
    assert before.items() <= after.items(), "a record was lost or changed"
    journal = runs.asked()
    kept = {key for what, key in journal if what == "kept"}
    assert kept <= {key.hex() for key in after}, "a commit returned, and its record is not there"
    again = [
        key for what, key in journal[known:] if what == "asked" and bytes.fromhex(key) in before
    ]
    assert not again, f"{len(again)} requests with a record were asked again"
    return after


def test_runs_killed_anywhere_lose_nothing_and_ask_nothing_twice(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(SEED)
    whole = runs.run(3600.0)
    assert whole["code"] == 0
    expected, longest = runs.result(), whole["seconds"]
    fallen: Counter[str] = Counter()
    episodes = 0
    while fallen.total() < KILLS:
        runs.forget()
        records: dict[bytes, bytes] = {}
        ended = False
        while not ended and fallen.total() < KILLS:
            aim = AIMED[fallen.total() // 2 % len(AIMED)] if fallen.total() % 2 else None
            seconds = draw.random() * (longest if aim is None else draw.choice([0.0, 0.002, 0.01]))
            known = len(runs.asked())
            done = runs.run(seconds, aim)
            assert done["killed"] or done["code"] == 0, done
            records = check_kill(runs, records, known)
            fallen[done["stage"]] += done["killed"]
            ended = not done["killed"]
        if not ended:
            known = len(runs.asked())
            assert runs.run(3600.0)["code"] == 0
            records = check_kill(runs, records, known)
        episodes += 1
        check_end(runs, records, expected)
    with capsys.disabled():
        listed = ", ".join(f"{stage} {fallen[stage]}" for stage in STAGES if fallen[stage])
        print(f"\n{fallen.total()} kills in {episodes} evaluations: {listed}")
    assert KILLS < 200 or set(AIMED) <= set(fallen), "a stage in which no kill fell"


def check_end(runs: Runs, records: dict[bytes, bytes], expected: dict[str, Any]) -> None:
    """The evaluation is complete: all records, one run or more, and the report of the whole run."""
    assert len(records) == REQUESTS
    assert runs.result() == expected
    with runs.workspace.store() as store:
        assert store.damaged == 0
        assert store.count(b"quarantine.v1") == 0
    kept = Counter(key for what, key in runs.asked() if what == "kept")
    assert max(kept.values()) == 1, "a request was answered and kept twice"


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
