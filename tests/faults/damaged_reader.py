"""Opens damaged copies of a store one after another, and says what became of each.

    python damaged_reader.py SOUND_STORE SCRATCH FIRST LAST

A line of stdout for each seed from FIRST to LAST: the seed, the kind of damage, and `whole`,
`missed N`, a diagnostic's code, `WRONG` for a value that was never stored under its key, or
`RAISED` and an exception.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

from evalc.diagnostics import Faults
from evalc.store import Store
from evalc.store.environment import RECORDS
from evalc.store.statistics import verify

PAGE = 4096
HEAD = 64
"""The first bytes of a page: its header and the places of its first nodes."""


def damage(file: Path, draw: random.Random) -> str:
    """Damage a data file and say how."""
    kind = draw.choice(["bits", "bits", "heads", "heads", "pages", "zeros", "cut"])
    content = bytearray(file.read_bytes())
    pages = len(content) // PAGE
    if kind == "cut":
        file.write_bytes(content[: draw.randrange(2 * PAGE, len(content))])
        return kind
    for _ in range(draw.choice([1, 2, 8])):
        page = draw.randrange(pages) * PAGE
        if kind in ("bits", "heads"):
            at = page + draw.randrange(PAGE if kind == "bits" else HEAD)
            content[at] ^= 1 << draw.randrange(8)
        else:
            filling = draw.randbytes(PAGE) if kind == "pages" else bytes(PAGE)
            content[page : page + PAGE] = filling
    file.write_bytes(content)
    return kind


def outcome(folder: Path, sound: dict[bytes, bytes]) -> str:
    """Use a store as a run does, and compare what it says with what it was given."""
    keys = sorted(sound)
    with Store.open(folder) as store:
        store.hits(b"".join(keys))
        values = store.read(keys)
        if any(value not in (None, sound[key]) for key, value in zip(keys, values, strict=True)):
            return "WRONG"
        store.runs()
        verify(store)
        store.commit([b"\x7f" * 32], [b"new"])
        if store.read([b"\x7f" * 32]) != [b"new"]:
            return "WRONG"
        missed = values.count(None)
    return f"missed {missed}" if missed else "whole"


def contents(folder: Path) -> dict[bytes, bytes]:
    """Every record of the sound store."""
    with Store.open(folder) as store:
        keys = [key for batch in store.scan(RECORDS) for key, _ in batch]
        return {key: value for key, value in zip(keys, store.read(keys), strict=True) if value}


def main(sound: Path, scratch: Path, first: int, last: int) -> None:
    """Damage a copy for every seed."""
    records = contents(sound)
    for seed in range(first, last):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        shutil.copyfile(sound / "data.mdb", scratch / "data.mdb")
        kind = damage(scratch / "data.mdb", random.Random(seed))
        print(seed, kind, end=" ", flush=True)
        try:
            print(outcome(scratch, records), flush=True)
        except Faults as faults:
            print(faults.diagnostics[0].code, flush=True)
        except Exception as error:
            print("RAISED", repr(error), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
