"""Bad specs and what the terminal shows for them, word for word.

A folder of `tests/corpus` holds spec files, perhaps `set.txt` (one `--set` a line), and
`expected.txt`. `EVALC_UPDATE=1` rewrites the expectations: read the difference before it is kept.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalc.diagnostics import Faults, render
from evalc.spec import load

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
CASES = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())


def shown(case: Path) -> str:
    sets = case / "set.txt"
    overrides = sets.read_text(encoding="utf-8").splitlines() if sets.exists() else []
    with pytest.raises(Faults) as caught:
        load([case], overrides)
    return render(caught.value.diagnostics, root=case)


@pytest.mark.parametrize("name", CASES)
def test_a_bad_spec_is_told_as_expected(name: str) -> None:
    case = CORPUS / name
    expected = case / "expected.txt"
    found = shown(case)
    if os.environ.get("EVALC_UPDATE") == "1":
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_the_corpus_has_at_least_thirty_specs() -> None:
    assert len(CASES) >= 30
