"""A collection beside a run: what the run rests on stays, whoever else is collected."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from caches import fill, key, opened

from evalc.store.ages import marks
from evalc.store.leases import collecting, guarded
from workspaces import Workspace

NAMESPACE = (1).to_bytes(8, "big")


def test_what_a_lease_holds_is_kept_and_goes_when_it_ends(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    fill(tmp_path / "a", range(20))
    everything = ("cache", "gc", "--older-than", "0", "--cache", "a")
    # another process, as two in one would share the guard's file
    held = HOLDING.format(cache=str(tmp_path / "a"), tests=str(Path(__file__).parent))
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"held\n"
        assert workspace.call(*everything).code == 0
        with opened(tmp_path / "a") as store:
            left = store.read([key(n) for n in range(20)])
        assert [n for n, value in enumerate(left) if value] == list(range(5))
        child.send_signal(signal.SIGKILL)
    assert workspace.call(*everything).code == 0
    with opened(tmp_path / "a") as store:
        assert store.records() == 0, "a lease outlived the process that it was of"
        assert not list(store.directory.glob("*.lease"))


HOLDING = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from caches import key
from evalc.store import Store
from evalc.store.ages import marks
from evalc.store.leases import guarded
with Store.open(Path({cache!r}) / "store") as store, guarded(store) as lease:
    lease.hold([((1).to_bytes(8, "big"), marks([key(n) for n in range(5)]))])
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_collection_waits_for_what_is_being_planned(tmp_path: Path) -> None:
    waited: list[float] = []
    fill(tmp_path / "a", range(2))
    with (
        opened(tmp_path / "a") as store,
        subprocess.Popen(
            [sys.executable, "-c", PLANNING.format(cache=str(tmp_path / "a"))],
            stdout=subprocess.PIPE,
        ) as planner,
    ):
        assert planner.stdout is not None
        assert planner.stdout.readline() == b"guarded\n"
        with collecting(store, lambda: waited.append(time.monotonic())) as held:
            assert held == []
            assert planner.wait() == 0, "the collection began before the planning had ended"
    assert len(waited) == 1


PLANNING = """
import time
from pathlib import Path
from evalc.store import Store
from evalc.store.leases import guarded
with Store.open(Path({cache!r}) / "store") as store, guarded(store):
    print("guarded", flush=True)
    time.sleep(0.5)
"""


def test_a_lease_that_is_cut_off_holds_everything(tmp_path: Path) -> None:
    fill(tmp_path / "a", range(3))
    with opened(tmp_path / "a") as store:
        with guarded(store) as lease:
            lease.hold([(NAMESPACE, marks([key(1)]))])
            path = next(store.directory.glob("*.lease"))
            path.write_bytes(path.read_bytes()[:-1])
            with collecting(store, lambda: None) as held:
                assert held is None
        with collecting(store, lambda: None) as held:
            assert held == []


def test_a_lease_says_what_was_put_into_it(tmp_path: Path) -> None:
    fill(tmp_path / "a", range(3))
    own = [(NAMESPACE, marks([key(1), key(2)])), (bytes(8), marks([]))]
    with opened(tmp_path / "a") as store, guarded(store) as lease:
        lease.hold(own)
        with collecting(store, lambda: None) as held:
            assert held is not None
            assert [name for name, _ in held] == [name for name, _ in own]
            assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(held, own, strict=True))


def test_exec_loses_nothing_to_a_collection_in_its_middle(workspace: Workspace) -> None:
    """The collection runs after every commit of the run."""
    workspace.both(6)
    done = workspace.python(COLLECTED, str(workspace.root))
    assert done.code == 0, done.err
    assert "12 answered, 0 to run" in done.out or "0 to run" in done.out, done.out
    assert workspace.call("exec", "specs", "--no-report").err.strip().endswith("in the cache")


COLLECTED = """
import subprocess, sys
from evalc.cli import main
from evalc.plan.why import Ledger
real, seen = Ledger.commit, []
def commit(self, keys, payloads):
    real(self, keys, payloads)
    words = ["cache", "gc", "--older-than", "0"]
    gone = subprocess.run([sys.executable, "-m", "evalc", *words], capture_output=True, text=True)
    assert gone.returncode == 0, gone.stderr
    assert "removed 0 records" in gone.stderr, gone.stderr
    seen.append(gone)
Ledger.commit = commit
try:
    main(["exec", "specs"])
finally:
    assert seen, "nothing was committed"
"""
