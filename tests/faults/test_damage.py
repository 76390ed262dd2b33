"""A store with flipped bits, lost pages or a lost end gives no wrong value and dies of none."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from evalc.diagnostics import Faults
from evalc.store import Store
from evalc.store.environment import NOTES
from workspaces import ROOT

DAMAGED = int(os.environ.get("EVALC_DAMAGED", "600"))
SECONDS = 60
"""More than any one copy takes: a reader that runs longer hangs."""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A store with records of three namespaces, small and of several pages, a run and notes."""
    draw = random.Random(3)
    with Store.open(tmp_path / "sound") as store:
        for namespace in range(3):
            keys = [namespace.to_bytes(8, "big") + draw.randbytes(24) for _ in range(300)]
            sizes = [draw.choice([13, 13, 13, 400, 3000, 9000]) for _ in keys]
            for start in range(0, len(keys), 50):
                batch = slice(start, start + 50)
                store.commit(keys[batch], [draw.randbytes(size) for size in sizes[batch]])
        store.write_run(b"run", b"{}")
        store.remember(b"note", b"n" * 100)
    return tmp_path / "sound"


def read(sound: Path, first: int) -> tuple[list[str], int, str]:
    """Lines of one reader, its exit code and what it says; it may end at one of the copies."""
    script = Path(__file__).with_name("damaged_reader.py")
    arguments = [sound, sound.parent / "scratch", first, DAMAGED]
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        timeout=SECONDS * 5,
        check=False,
    )
    return done.stdout.splitlines(), done.returncode, done.stderr


def test_no_damage_gives_a_wrong_value_or_ends_the_process_without_a_word(
    sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Counter[str] = Counter()
    first = 0
    while first < DAMAGED:
        lines, code, said = read(sound, first)
        for line in lines:
            outcome = (line.split()[2:] or ["last words"])[0]
            assert outcome not in ("WRONG", "RAISED"), line
            found[outcome] += 1
        first = int(lines[-1].split()[0]) + 1
        if code:
            assert code == 1, f"{lines[-1]}: it died of signal {-code}: {said}"
            assert "error[cache-damaged]" in said, said
            assert "hint: " in said
    with capsys.disabled():
        print(f"\n{found.total()} damaged stores: {dict(found.most_common())}")
    assert found["missed"] > 0 < found["whole"]


def test_a_store_that_lost_its_end_is_said_to_be_damaged(sound: Path) -> None:
    """Reading behind the end of a mapped file would be a bus error."""
    os.truncate(sound / "data.mdb", (sound / "data.mdb").stat().st_size // 2)
    with pytest.raises(Faults) as caught:
        Store.open(sound)
    assert caught.value.diagnostics[0].code == "cache-damaged"


def test_a_sound_file_that_is_short_of_freed_pages_loses_nothing(tmp_path: Path) -> None:
    """Pages that one transaction takes and gives back are never written."""
    key, file = b"k" * 32, tmp_path / "data.mdb"
    with Store.open(tmp_path) as store:
        store.commit([key], [b"kept"])
        with store._begin(write=True) as txn:
            txn.put(b"x", bytes(100_000), db=store._buckets[NOTES])
            txn.delete(b"x", db=store._buckets[NOTES])
            txn.put(b"y", b"y", db=store._buckets[NOTES])
        size = file.stat().st_size
    with Store.open(tmp_path) as store:
        assert file.stat().st_size > size, "the file was whole: this tests nothing"
        assert store.read([key]) == [b"kept"]


CRASH = """
import ctypes, sys, threading
from pathlib import Path
from evalc.store import Store
store = Store.open(Path(sys.argv[1]))
crash = lambda: ctypes.string_at(8)
if sys.argv[2] == "inside":
    with store._begin():
        crash()
elif sys.argv[2] == "thread":
    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
else:
    crash()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("where", ["inside", "outside", "thread"])
def test_only_a_crash_in_a_transaction_is_blamed_on_the_store(tmp_path: Path, where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), where],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    inside = where == "inside"
    assert done.returncode == (1 if inside else -signal.SIGSEGV), done.stderr
    assert ("cache-damaged" in done.stderr) == inside
