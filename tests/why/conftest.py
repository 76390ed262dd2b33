"""A workspace with answers, made once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workspaces import Workspace


@pytest.fixture(scope="session")
def answered(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, bundles: Path
) -> Workspace:
    """A workspace whose quiz and sums have been answered; no test changes it."""
    root = tmp_path_factory.mktemp("answered")
    shutil.copytree(bundles, root / "cache" / "tokenizers")
    made = Workspace(root, tiny_model)
    made.both()
    done = made.call("exec", "--no-report", "--cache", made.cache)
    assert done.code == 0, done.text
    return made


@pytest.fixture
def ran(answered: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of it, to be changed at will."""
    root = shutil.copytree(answered.root, tmp_path / "ran")
    monkeypatch.setenv("EVALC_CACHE", str(root / "cache"))
    return Workspace(root, answered.model)
