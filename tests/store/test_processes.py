"""Several processes on one store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalc.diagnostics import Faults
from evalc.store import Store

ROOT = Path(__file__).resolve().parents[2]
KEYS = [bytes([n]) * 32 for n in range(1, 4)]


HEAD = "import sys\nfrom pathlib import Path\nfrom evalc.store import Store\n"


def waiting(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A script in another process, its stdin open."""
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def child(script: str, *arguments: str) -> str:
    """What a script in another process prints; CalledProcessError if it fails."""
    process = waiting(script, *arguments)
    out, _ = process.communicate(timeout=60)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, script)
    return out.strip()


READ = """
with Store.open(Path(sys.argv[1])) as store:
    print(store.read([bytes([1]) * 32]), store.records())
"""
READ_WHEN_TOLD = """
with Store.open(Path(sys.argv[1])) as store:
    print("open", flush=True)
    sys.stdin.readline()
    print(store.read([bytes([1]) * 32]), store.records())
"""
WRITE = """
with Store.open(Path(sys.argv[1])) as store:
    for n in range(int(sys.argv[2])):
        store.commit([n.to_bytes(32, "big")], [b"x" * 200_000])
    print(store.records())
"""


def test_a_second_process_reads_while_the_first_writes(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, waiting(READ_WHEN_TOLD, str(tmp_path)) as reader:
        store.commit(KEYS[:1], [b"one"])
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        with store._begin(write=True) as txn:
            txn.put(KEYS[1], b"not yet", db=store._buckets[b"records.v1"])
            out, _ = reader.communicate("read\n", timeout=60)
        assert out == "[b'one'] 1\n"


def test_two_processes_see_what_the_other_committed(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.commit(KEYS[:1], [b"one"])
        assert child(WRITE, str(tmp_path), "3") == "4"
        assert store.records() == 4
        store.commit(KEYS[1:], [b"two", b"three"])
        assert child(READ, str(tmp_path)) == "[b'one'] 6"


def test_a_store_grown_by_another_process_is_still_read_and_written(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.commit(KEYS[:1], [b"one"])
        store._env.set_mapsize(1 << 20)
        child(WRITE, str(tmp_path), "20")
        assert store.read(KEYS[:1]) == [b"one"]
        store.commit(KEYS[1:2], [b"two"])
        assert store.records() == 22


def test_a_killed_readers_slot_is_cleared_at_the_next_opening(tmp_path: Path) -> None:
    hang = """
import os, signal
store = Store.open(Path(sys.argv[1]))
txn = store._env.begin()
os.kill(os.getpid(), signal.SIGKILL)
"""
    with Store.open(tmp_path) as store:
        store.commit(KEYS[:1], [b"one"])
    with pytest.raises(subprocess.CalledProcessError):
        child(hang, str(tmp_path))
    with Store.open(tmp_path) as store:
        assert str(store._env.readers()).strip().count("\n") == 0
        store.commit(KEYS[1:2], [b"two"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                store.read(KEYS)
                said = "no fault"
            except Faults as faults:
                said = faults.diagnostics[0].code
            os.write(writer, said.encode())
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reader, 100) == b"cache-forked"
        os.close(reader)
        os.close(writer)
