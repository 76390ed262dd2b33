from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalc.diagnostics import CATALOGUE

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def provoked() -> str:
    """The text of every test and expectation except this one."""
    files = [*TESTS.rglob("*.py"), *TESTS.rglob("expected.txt")]
    return "\n".join(f.read_text(encoding="utf-8") for f in files if f != Path(__file__))


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_code_is_provoked_by_a_test(code: str, provoked: str) -> None:
    found = re.search(rf"(?<![\w-]){re.escape(code)}(?![\w-])", provoked)
    assert found is not None, f"no test provokes `{code}`"


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_codes_and_their_explanations_are_in_house_style(code: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", code)
    text = CATALOGUE[code]
    assert text and not text.endswith(".") and "\n" not in text
    assert text[0] == text[0].lower()
