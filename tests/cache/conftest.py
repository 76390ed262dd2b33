"""A folder in which commands of `evalc cache` run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces import Done, Workspace

Cache = Callable[..., Done]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Run `evalc cache ARGUMENTS` in the test's folder."""
    return lambda *arguments: Workspace(tmp_path, tmp_path).call("cache", *arguments)
