"""A disk without room: one message, nothing lost, and the next run goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalc.run import turns
from workspaces import QUIZ, SUMS, Done, Workspace, quiz_rows, sum_rows

ROWS = 40
REQUESTS = 5 * ROWS
BARE = (16, 48, 56)
"""Kilobytes of a disk on which even the tokenizer's bundle is yet to be written."""
SIZES = (64, 80, 96, 112, 128, 160, 192, 512)
"""Kilobytes of a disk on which it is."""
LIMITED = """
import resource, sys
from evalc.cli import main
from evalc.run import turns
turns.PACK_REQUESTS.update(cpu=8)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
main(sys.argv[2:])
"""


@pytest.fixture
def asking(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace.write(QUIZ, SUMS)
    workspace.rows("quiz.jsonl", quiz_rows(ROWS))
    workspace.rows("sums.jsonl", sum_rows(ROWS))
    monkeypatch.setitem(turns.PACK_REQUESTS, "cpu", 8)
    return workspace


def require_clear(done: Done) -> str:
    """One diagnostic with a hint, and nothing that Python itself says; the code of it."""
    assert done.code == 1, done.text
    assert done.err.count("error[") == 1, done.text
    assert "hint" in done.err or "help" in done.err
    assert "Traceback" not in done.text
    assert "internal error" not in done.text
    return done.err.partition("error[")[2].partition("]")[0]


def test_a_file_that_may_not_grow_is_a_full_disk_and_the_run_goes_on_later(
    asking: Workspace,
) -> None:
    pytest.importorskip("resource")
    assert asking.call("plan", "specs").code == 0
    room = (asking.cache / "store" / "data.mdb").stat().st_size + 3 * 4096
    process = asking.start(str(room), "exec", "specs", "--no-report", script=LIMITED)
    out, err = process.communicate()
    assert require_clear(Done(process.returncode, out, err)) == "cache-full"
    kept = asking.records()
    assert 0 < len(kept) < REQUESTS
    done = asking.call("exec", "specs", "--json")
    assert done.json["runs"][0]["asked"] == REQUESTS - len(kept)
    assert kept.items() <= asking.records().items()


@dataclass
class SmallDisk:
    """A file system in memory whose size can be changed."""

    point: Path

    def resize(self, kilobytes: int) -> None:
        """Change its size."""
        options = f"remount,size={kilobytes}k"
        subprocess.run(["mount", "-o", options, str(self.point)], check=True, capture_output=True)

    def clear(self) -> None:
        """Empty it."""
        for path in self.point.iterdir():
            shutil.rmtree(path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if shutil.which("mount") is None:
        pytest.skip("there is no `mount` here")
    point = tmp_path / "disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(point)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system needs the right to mount: {done.stderr.strip()}")
    yield SmallDisk(point)
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_wherever_the_room_ends_it_is_said_once_and_nothing_is_lost(
    asking: Workspace, disk: SmallDisk
) -> None:
    """From no room for the tokenizer's bundle to room for all but the last commits."""
    cache = disk.point / "cache"
    codes: list[str] = []
    for kilobytes in BARE + SIZES:
        disk.clear()
        disk.resize(kilobytes)
        if kilobytes in SIZES:
            shutil.copytree(asking.cache / "tokenizers", cache / "tokenizers")
        done = asking.call("exec", "specs", "--no-report", "--cache", cache)
        codes.append(require_clear(done) if done.code else "done")
        disk.resize(65536)
        left = asking.call("plan", "specs", "--json", "--cache", cache).json["total"]["to_run"]
        resumed = asking.call("exec", "specs", "--json", "--cache", cache)
        assert resumed.code == 0, resumed.text
        assert resumed.json["complete"]
        assert sum(run["asked"] for run in resumed.json["runs"][-1:]) in (left, REQUESTS)
    assert set(codes) == {"cache-failed", "cache-full", "done"}
    assert codes[-1] == "done"
