"""Whatever the order and however often, caches brought together are their union."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path

import pytest
from caches import content, fill, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workspaces import Workspace

NAMES = ("a", "b", "c")
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["segment", "merge"])), max_size=8
)
SETS = st.tuples(*[st.frozensets(st.integers(0, 40), max_size=25) for _ in NAMES])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sets=SETS, steps=STEPS)
def test_imports_and_merges_in_any_order_and_number_give_one_union(
    sets: tuple[frozenset[int], ...], steps: list[tuple[str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run = Workspace(root, root).call
        for index, (name, numbers) in enumerate(zip(NAMES, sets, strict=True)):
            fill(root / name, sorted(numbers))
            with opened(root / name) as store:
                manifest = json.dumps({"name": name}).encode()
                store.write_run(f"2026010{index + 1}T000000.0".encode(), manifest)
            assert run("cache", "export", f"{name}.evalc", "--cache", name).code == 0
        # every cache at least once, then whatever the steps say
        for name, how in [*[(name, "segment") for name in NAMES], *steps]:
            words = ("import", f"{name}.evalc") if how == "segment" else ("merge", name)
            assert run("cache", *words, "--cache", "all").code == 0
        union = {}
        for name in NAMES:
            union |= content(root / name)
        assert content(root / "all") == union


KILLED = """
import os, signal, sys
from evalc.cli import main
from evalc.store import Store
real, left = Store.write_sealed, [int(sys.argv[1])]
def write(store, bucket, pairs):
    if sys.argv[2] == "after":
        real(store, bucket, pairs)
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    if sys.argv[2] == "before":
        real(store, bucket, pairs)
Store.write_sealed = write
main(["cache", "import", "a.evalc", "--cache", "b"])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_import_leaves_a_sound_part_and_is_finished_by_the_next(
    tmp_path: Path, when: str
) -> None:
    """Killed at each of its transactions; the next one goes on where it was."""
    count = 20_000
    fill(tmp_path / "a", range(count))
    with opened(tmp_path / "a") as store:
        store.write_run(b"20260101T000000.0", b"{}")
    workspace = Workspace(tmp_path, tmp_path)
    workspace.call("cache", "export", "a.evalc", "--cache", "a")
    whole, held = content(tmp_path / "a"), 0
    for transactions in (0, 1, 2, 0, 0, 0):
        done = workspace.python(KILLED, str(transactions), when)
        assert done.code in (0, -signal.SIGKILL)
        found = content(tmp_path / "b")
        assert found.items() <= whole.items()
        assert len(found) >= held
        held = len(found)
        with opened(tmp_path / "b") as store:
            assert not store.runs() or store.records() == count
        assert workspace.call("cache", "verify", "--cache", "b").code == 0
    assert held > 0
    assert workspace.call("cache", "import", "a.evalc", "--cache", "b").code == 0
    assert content(tmp_path / "b") == whole
