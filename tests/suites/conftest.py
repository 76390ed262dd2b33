"""All of specs/, planned once for a tiny model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evalc.plan import Planned, plan
from evalc.spec import load, select
from evalc.store import Store

SPECS = Path(__file__).resolve().parents[2] / "specs"


@pytest.fixture(scope="session")
def planned(
    shared: Path, tiny_model: Path, bundles: Path, tmp_path_factory: pytest.TempPathFactory
) -> Planned:
    cache = tmp_path_factory.mktemp("suites")
    shutil.copytree(bundles, cache / "tokenizers")
    overrides = [
        f'paths.data="{shared / "data"}"',
        f'models.base.path="{tiny_model}"',
        "models.base.max_length=100000",
    ]
    folder = load([SPECS], overrides)
    with Store.open(cache / "store") as store:
        return plan(folder, select(folder), cache, store)
