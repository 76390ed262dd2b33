"""Power lost at any moment of a commit: everything committed before is there, and nothing else.

The writes and syncs of real commits are noted below LMDB and replayed: for every moment, files are
made of all that had been synced and of any part of what had not, sector by sector. Trusted: that
fdatasync and O_DSYNC do what they say, and that a disk writes a sector of 512 bytes whole.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalc.diagnostics import Faults
from evalc.store import Store
from workspaces import ROOT

SECTOR = 512
IMAGES = 4
"""Files made for a moment, besides those with none and with all of what was not synced."""
HEAD = struct.Struct("<cQQ")
COMMIT = """
import os, random, sys
from pathlib import Path
from evalc.store import Store
draw = random.Random(11)
log = os.open(os.environ["EVALC_WRITES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
with Store.open(Path(sys.argv[1])) as store:
    os.write(log, b"o" + bytes(16))
    for number in range(12):
        keys = [number.to_bytes(8, "big") + draw.randbytes(24) for _ in range(12)]
        store.commit(keys, [draw.randbytes(draw.choice([13, 300, 9000])) for _ in keys])
        os.write(log, b"c" + b"".join([bytes(8), (32 * len(keys)).to_bytes(8, "little"), *keys]))
        store.remember(b"note", draw.randbytes(20))
        store.set_aside(b"records.v1", keys[:1])
        os.write(log, b"g" + bytes(8) + (32).to_bytes(8, "little") + keys[0])
"""


@dataclass(frozen=True)
class Event:
    """`w` and `d` write, `s` syncs, `o` the store is open, `c` keys are committed, `g` one goes."""

    kind: str
    offset: int
    content: bytes


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """What commits of a process write and sync."""
    folder = tmp_path_factory.mktemp("written")
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("noting writes below LMDB needs Linux and a C compiler")
    source = Path(__file__).with_name("written.c")
    library, log = folder / "written.so", folder / "log"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    own = {"PYTHONPATH": str(ROOT / "python"), "LD_PRELOAD": str(library), "EVALC_WRITES": str(log)}
    script = [sys.executable, "-c", COMMIT, str(folder / "store")]
    subprocess.run(script, check=True, env={**os.environ, **own})
    return list(_events(log.read_bytes()))


def _events(log: bytes) -> Iterator[Event]:
    at = 0
    while at < len(log):
        kind, offset, length = HEAD.unpack_from(log, at)
        at += HEAD.size
        yield Event(kind.decode(), offset, log[at : at + length])
        at += length


class Disk:
    """What is on the disk for sure, and writes that may be there, in whole or in part."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[Event] = []

    def take(self, event: Event) -> None:
        """Let an event be over."""
        if event.kind == "s":
            for write in self.pending:
                _put(self.durable, write.offset, write.content)
            self.pending.clear()
        elif event.kind == "d":
            _put(self.durable, event.offset, event.content)
        elif event.kind == "w":
            self.pending.append(event)

    def images(self, torn: list[Event], draw: random.Random) -> Iterator[bytes]:
        """Files that may be found; `torn` are durable writes that have not returned."""
        writes = [*self.pending, *torn]
        shares = [0.0, 1.0, *([0.5] * IMAGES if writes else [])]
        for share in shares if writes else [0.0]:
            image = bytearray(self.durable)
            for write in writes:
                for start, end in _sectors(write):
                    if draw.random() < share:
                        part = write.content[start - write.offset : end - write.offset]
                        _put(image, start, part)
            yield bytes(image)


def _sectors(write: Event) -> Iterator[tuple[int, int]]:
    start, last = write.offset, write.offset + len(write.content)
    while start < last:
        end = min(last, (start // SECTOR + 1) * SECTOR)
        yield start, end
        start = end


def _put(image: bytearray, offset: int, content: bytes) -> None:
    image.extend(bytes(max(0, offset + len(content) - len(image))))
    image[offset : offset + len(content)] = content


def test_after_power_loss_at_any_moment_what_was_committed_is_there(
    events: list[Event], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, disk = random.Random(1), Disk()
    committed: set[bytes] = set()
    made = opened = 0
    for event in events:
        torn = [event] if event.kind == "d" else []
        for image in disk.images(torn, draw) if event.kind in "dwsc" else ():
            made += 1
            opened += _check(image, tmp_path / "store", committed, event)
        disk.take(event)
        if event.kind == "c":
            committed |= {event.content[at : at + 32] for at in range(0, len(event.content), 32)}
            # the next transaction but one takes the first of them away
            committed.discard(event.content[:32])
    with capsys.disabled():
        print(f"\n{made} files after power loss at {len(events)} events, {opened} hold records")
    assert len(committed) > 100
    assert opened > 500


def _check(image: bytes, folder: Path, committed: set[bytes], event: Event) -> bool:
    """Whether records are there; all of `committed` must be, and intact."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "data.mdb").write_bytes(image)
    try:
        with Store.open(folder) as store:
            values = store.read(sorted(committed))
            assert None not in values, f"a committed record is lost at a `{event.kind}`"
            assert store.damaged == 0
            store.commit([b"\xfe" * 32], [b"goes on"])
            return store.records() > 1
    except Faults as faults:
        assert not committed, faults.diagnostics[0].message
        return False


def test_every_commit_is_synced_before_it_returns(events: list[Event]) -> None:
    """Pages first, then a sync, then the page that points to them, durable when it returns."""
    order = "".join(event.kind for event in events)
    opened = order.index("o")
    for part in filter(None, re.split("[cg]", order[opened + 1 :])):
        assert re.fullmatch("(w+sd)+", part), part
