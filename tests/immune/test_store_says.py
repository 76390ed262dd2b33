"""I24: what goes wrong with LMDB in other tools, as one clear message each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ledger import asked, command, to_run

from evalc.store import Store, environment
from workspaces import Workspace


def said(workspace: Workspace, code: str) -> str:
    """What `exec` says; it must fail with this one diagnostic and no traceback."""
    done = command(workspace, "exec", "--no-report")
    assert done.code == 1, done.text
    assert f"error[{code}]" in done.err
    assert done.err.count("error[") == 1
    assert "hint" in done.err or "help" in done.err
    assert "Traceback" not in done.text
    return done.err


def test_a_reader_that_was_killed_holds_nothing_up(workspace: Workspace) -> None:
    """I24: stale readers keep old pages alive until the file is full."""
    workspace.both()
    assert asked(workspace, "--task", "sums") == 6
    hung = workspace.python(
        "import os, signal, sys\nfrom pathlib import Path\nfrom evalc.store import Store\n"
        "txn = Store.open(Path(sys.argv[1]))._env.begin()\nos.kill(os.getpid(), signal.SIGKILL)\n",
        str(workspace.cache / "store"),
    )
    assert hung.code == -9
    assert asked(workspace) == 24
    with workspace.store() as store:
        assert str(store._env.readers()).strip().count("\n") == 0


def test_a_full_map_is_said_and_what_was_committed_stays(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I24: `MDB_MAP_FULL` as a traceback, the run's answers lost."""
    workspace.both(200)
    with monkeypatch.context() as patch:
        patch.setattr(environment, "MAP_BYTES", 1 << 17)
        patch.setattr("evalc.run.turns.PACK_REQUESTS", {"cpu": 16})
        assert "cannot be written" in said(workspace, "cache-full")
    kept = len(workspace.records())
    assert to_run(workspace) == 1000 - kept
    assert asked(workspace) == 1000 - kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_so(workspace: Workspace) -> None:
    """I24: an environment carried over a fork corrupts the file without a word."""
    workspace.cache.mkdir(exist_ok=True)
    done = workspace.python(
        "import os, sys\nfrom pathlib import Path\nfrom evalc.diagnostics import Faults\n"
        "from evalc.store import Store\nstore = Store.open(Path(sys.argv[1]))\n"
        "if os.fork() == 0:\n"
        "    try:\n        store.commit([b'k' * 32], [b'v'])\n"
        "    except Faults as faults:\n        print(faults.diagnostics[0].code, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\nprint(store.records())\n",
        str(workspace.cache / "store"),
    )
    assert (done.code, done.out.split()) == (0, ["cache-forked", "0"]), done.text


def test_a_network_file_system_is_refused_before_anything_is_asked(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I24: LMDB's locks do not hold over NFS."""
    workspace.both()
    with monkeypatch.context() as patch:
        patch.setattr(environment, "network_filesystem", lambda _: "nfs4")
        text = said(workspace, "cache-on-network")
    assert "nfs4" in text
    assert "--cache" in text
    assert not (workspace.cache / "store" / "data.mdb").exists()


def test_a_second_opener_in_one_process_shares_what_is_open(tmp_path: Path) -> None:
    """I24: LMDB forbids opening one file twice in a process; the second is given the first's."""
    with Store.open(tmp_path) as store:
        with Store.open(tmp_path) as second:
            second.commit([b"k" * 32], [b"v"])
        store.commit([b"l" * 32], [b"w"])
        assert store.read([b"k" * 32, b"l" * 32]) == [b"v", b"w"]
    with Store.open(tmp_path) as again:
        assert again.records() == 2


def test_a_second_process_runs_beside_the_first(workspace: Workspace) -> None:
    """I24: a second run waits for the writer's lock; it is neither refused nor lost."""
    workspace.both(4)
    both = [workspace.start("exec", "--no-report") for _ in range(2)]
    ended = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert len(workspace.records()) == 20
    assert asked(workspace) == 0
