"""What a package is: its version when it is installed, its files when it is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from evalc.plan.packages import ABSENT, package_state


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    package_state.cache_clear()
    yield
    package_state.cache_clear()


def test_an_installed_package_is_its_version() -> None:
    assert package_state("numpy") == f"numpy {version('numpy')}"


def test_a_package_is_found_under_the_name_of_its_distribution() -> None:
    assert package_state("_pytest") == f"pytest {version('pytest')}"


def test_what_cannot_be_imported_is_absent() -> None:
    assert package_state("no_such_package_at_all") == ABSENT
    assert package_state("") == ABSENT


def test_a_package_that_is_not_installed_is_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "worked_on"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "deep" / "part.py").write_text("x = 1\n")
    before = package_state("worked_on")
    package_state.cache_clear()
    (folder / "deep" / "part.py").write_text("x = 2\n")
    assert package_state("worked_on") not in (before, ABSENT)
