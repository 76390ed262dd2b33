"""Whatever the order and however often, caches brought together are their union."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from caches import content, fill, key, opened, payload
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workspaces import ROOT, Workspace

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
                store.write_run(f"2026010{index + 1}T000000.0".encode(), name.encode())
            assert run("cache", "export", f"{name}.evalc", "--cache", name).code == 0
        # every cache at least once, then whatever the steps say
        for name, how in [*[(name, "segment") for name in NAMES], *steps]:
            words = ("import", f"{name}.evalc") if how == "segment" else ("merge", name)
            assert run("cache", *words, "--cache", "all").code == 0
        union = {}
        for name in NAMES:
            union |= content(root / name)
        assert content(root / "all") == union


def test_a_killed_import_leaves_a_sound_part_and_is_finished_by_the_next(tmp_path: Path) -> None:
    count = 60_000
    with opened(tmp_path / "a") as store:
        for start in range(0, count, 10_000):
            numbers = range(start, start + 10_000)
            store.commit([key(n) for n in numbers], [payload(n) for n in numbers])
        store.write_run(b"20260101T000000.0", b"{}")
    run = Workspace(tmp_path, tmp_path).call
    run("cache", "export", "a.evalc", "--cache", "a")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "evalc", "cache", "import", "a.evalc", "--cache", "b"]
    cut = 0
    for attempt in range(12):
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
        )
        time.sleep(0.25 + 0.05 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not (tmp_path / "b" / "store" / "data.mdb").exists():
            continue
        found = content(tmp_path / "b")
        assert found.items() <= content(tmp_path / "a").items()
        with opened(tmp_path / "b") as store:
            assert not store.runs() or store.records() == count
            cut += 0 < store.records() < count
        assert run("cache", "verify", "--cache", "b").code == 0
    assert run("cache", "import", "a.evalc", "--cache", "b").code == 0
    assert content(tmp_path / "b") == content(tmp_path / "a")
