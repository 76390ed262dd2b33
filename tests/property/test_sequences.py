"""Random edits: the report is that of an empty cache, and only new requests are asked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from blake3_by_hand import blake3
from counting import WatchedEngine
from edits import EDITS
from evaluations import prepare_models
from sequences import Outcome, run_sequences

from evalc import _core

SEQUENCES = int(os.environ.get("EVALC_SEQUENCES", "1000"))
"""How many sequences are run with the counting engine; a failure names the seed that repeats it."""
REAL_SEQUENCES = 12
MEMORY = Path("/dev/shm")
"""Where syncing costs nothing; what a sync is worth is tested in tests/faults."""


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """A folder with the weights that evaluations are made of."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent, prefix="evalc-sequences-") as folder:
        prepare_models(Path(folder))
        yield Path(folder)


def test_after_any_edits_only_what_is_new_is_asked_and_the_report_is_that_of_scratch(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = os.cpu_count() or 1
    total = Outcome()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts = [range(first, SEQUENCES, 4 * workers) for first in range(4 * workers)]
        for outcome in pool.map(run_sequences, parts, [store] * len(parts)):
            total.add(outcome)
    with capsys.disabled():
        print(f"\n{SEQUENCES:,} sequences: {total.summary()}")
    assert SEQUENCES < 1000 or set(total.edits) == set(EDITS)
    assert total.cached > total.asked > 0


def test_the_real_engine_agrees_as_well(store: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        total = run_sequences(range(REAL_SEQUENCES), store, WatchedEngine)
    finally:
        torch.set_num_threads(threads)
    assert total.cached > total.asked > 0


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 128, 1000, 1024])
def test_the_oracles_hash_is_blake3(tmp_path: Path, length: int) -> None:
    content = bytes(n % 251 for n in range(length))
    (tmp_path / "content").write_bytes(content)
    assert blake3(content).hex() == _core.hash_files([str(tmp_path / "content")])[0]
