"""One plan and one run of the golden suite for all of its tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from references import ROOT, Suite

from evalc.plan import Planned
from evalc.store import Store


@pytest.fixture(scope="session")
def suite(shared: Path, real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(shared, real_model, tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def planned(suite: Suite) -> Planned:
    return suite.planned()


@pytest.fixture(scope="session")
def answered(suite: Suite) -> Iterator[Store]:
    """The store after `evalc exec` has asked everything."""
    path = os.pathsep.join([str(ROOT / "python"), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-m", "evalc", "exec", *suite.arguments(), "--no-report"],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    with Store.open(suite.cache / "store") as store:
        yield store
