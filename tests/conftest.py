"""What tests of several rooms stand on: benchmark files, the real model, and tiny ones.

The first two are not in the repository. Where one is missing its tests are skipped, but fail with
CI=true.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# before torch is imported, here and in children: threads that spin while they wait take the cores
# from each other where several tests or other work run at once (289 s instead of 60 s for one file)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# a shell's background job ignores Ctrl-C, and so would every command that the tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from evalc.plan.tokenizers import bundle
from tiny_models import CHATML, write_model
from workspaces import Workspace

ROOT = Path(__file__).resolve().parent.parent
LONGEST = (
    "property/test_sequences.py",
    "golden/test_parity.py",
    "exec/test_gpu_programs.py",
    "immune/test_batches.py",
    "faults/test_kill.py",
    "exec/test_memory.py",
    "exec/test_repacking_bench.py",
    "exec/test_memory_bench.py",
    "faults/test_disk_full.py",
    "exec/test_real_model.py",
)
"""Files that take a minute and more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: what is left to the end runs while other workers have none."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def present(path: Path, how: str) -> Path:
    """`path` if it exists; else the test ends. `how` says how to get it."""
    if path.exists():
        return path
    reason = f"{path} is missing: {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with `data/` (benchmark files) and `golden/` (the reference harness's results)."""
    folder = Path(os.environ.get("EVALC_SHARED", ROOT.parent / "shared"))
    return present(folder, "set EVALC_SHARED to a folder with data/ and golden/")


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The converted SmolLM2-135M-Instruct: EVALC_DEMO_MODEL, the repository's, or a cached one.

    Converted into the user's cache folder when there is none, so later runs find it there.
    """
    if named := os.environ.get("EVALC_DEMO_MODEL"):
        return present(Path(named) / "model.safetensors", "correct EVALC_DEMO_MODEL").parent
    local = ROOT / "models" / "smollm2-135m"
    if (local / "model.safetensors").is_file():
        return local
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "evalc-tests" / "smollm2-135m"
    script = ROOT / "specs" / "demo" / "fetch_model.py"
    command = [sys.executable, str(script), str(folder)]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    why = (fetched.stderr.strip().splitlines() or ["no reason given"])[-1]
    return present(folder / "model.safetensors", f"the conversion failed ({why})").parent


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny model that no test changes; see `tiny_models`."""
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with a chat template."""
    return write_model(tmp_path_factory.mktemp("model") / "chat", chat=CHATML)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with the tiny model's tokenizer bundle, so that tests start no child for it."""
    made = bundle(tiny_model, tmp_path_factory.mktemp("bundles"), False, None)
    return made.parent


@pytest.fixture
def workspace(
    tmp_path: Path, tiny_model: Path, bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """An empty folder of specs for the tiny model, with its tokenizer's bundle in the cache."""
    shutil.copytree(bundles, tmp_path / "cache" / "tokenizers")
    monkeypatch.setenv("EVALC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "python"))
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path, tiny_model)
