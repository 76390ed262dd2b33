from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cell_builders import choice_cell, generate_cell

from evalc.diagnostics import Faults
from evalc.hooks.crew import CREW
from evalc.plan import functions
from evalc.plan.functions import source_digest
from evalc.score import INVALID, Extract, Scoring, score_cell, scorers
from evalc.score.cache import ScoreCache
from evalc.store import Store
from evalc.store.environment import SCORES


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A user's repository with the package `my_pkg`."""
    folder = tmp_path / "my_pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "rules.py").write_text("BEST = 'a'\n")
    (folder / "scorers.py").write_text(
        "from my_pkg.rules import BEST\n"
        "def best(case):\n    return case['extracted'][0] == BEST\n"
        "def margin(case):\n    return case['logliks'][0] - case['logliks'][1]\n"
        "def broken(case):\n    return {}[case['id']]\n"
        "def wordy(case):\n    return 'high'\n"
        "def endless(case):\n    return float('nan')\n"
        "def last_word(text, case):\n    words = text.split()\n"
        "    return words[-1] if words else None\n"
        "def number(text, case):\n    return 3\n"
        "class Judge:\n    @staticmethod\n    def fair(case):\n        return 0.25\n"
    )
    return tmp_path


def score(cell: Any, root: Path, metric: str, **extract: Any) -> Any:
    return score_cell(cell, Scoring((metric,), {"": Extract(**extract)}), root=root)


def test_a_hook_scores_cases_with_its_own_imports(package: Path) -> None:
    found = score(generate_cell([["a"], ["b"]], [None, None]), package, "my_pkg.scorers:best")
    column = found.columns["my_pkg.scorers:best"]
    assert column.values.tolist() == [1, 0]
    assert column.binary


def test_a_hook_sees_logliks_and_skips_cases_without_records(package: Path) -> None:
    cell = choice_cell([[-1, -3], [-1, float("nan")]], [0, 0])
    column = score(cell, package, "my_pkg.scorers:margin").columns["my_pkg.scorers:margin"]
    assert column.values[0] == 2
    assert column.present.tolist() == [True, False]


def test_a_hook_may_live_in_a_class(package: Path) -> None:
    name = "my_pkg.scorers:Judge.fair"
    found = score(generate_cell([["a"]], [None]), package, name)
    assert found.columns[name].values.tolist() == [0.25]


def test_an_extraction_hook_finds_the_answer_or_none(package: Path) -> None:
    cell = generate_cell([["it is b"], [" "]], ["b", "b"])
    found = score(cell, package, "exact_match", python="my_pkg.scorers:last_word")
    assert found.answers[""] == [["b"], [INVALID]]
    assert found.columns["exact_match"].values.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("function", "why"),
    [("broken", "KeyError"), ("wordy", "'high'"), ("endless", "nan")],
)
def test_a_hook_that_fails_is_reported_with_its_case(
    package: Path, function: str, why: str
) -> None:
    with pytest.raises(Faults) as caught:
        score(generate_cell([["a"]] * 7, [None] * 7), package, f"my_pkg.scorers:{function}")
    first, *_, last = caught.value.diagnostics
    assert first.code == "hook-failed"
    assert "`case-0`" in first.message and why in first.message
    assert "and 2 more like it" in last.notes


def test_the_place_in_the_users_file_is_noted(package: Path) -> None:
    with pytest.raises(Faults) as caught:
        score(generate_cell([["a"]], [None]), package, "my_pkg.scorers:broken")
    (note,) = caught.value.diagnostics[0].notes
    assert note.endswith("scorers.py:7")


def test_an_extraction_hook_must_return_text(package: Path) -> None:
    with pytest.raises(Faults) as caught:
        cell = generate_cell([["a"]], ["a"])
        score(cell, package, "exact_match", python="my_pkg.scorers:number")
    assert caught.value.diagnostics[0].code == "hook-failed"


@pytest.mark.parametrize(
    "name", ["my_pkg.scorers:absent", "my_pkg.nowhere:best", "no_such_pkg.x:y", "my_pkg.bad:f"]
)
def test_a_hook_that_cannot_be_loaded_is_a_fault(package: Path, name: str) -> None:
    (package / "my_pkg" / "bad.py").write_text("1 / 0\n")
    with pytest.raises(Faults) as caught:
        score(generate_cell([["a"]], [None]), package, name)
    assert caught.value.diagnostics[0].code == "unknown-hook"


def test_the_digest_follows_the_source_and_what_it_imports(package: Path) -> None:
    def digest() -> str:
        return source_digest("my_pkg.scorers:best", package)

    first = digest()
    assert digest() == first
    (package / "unrelated.py").write_text("x = 1\n")
    assert digest() == first
    for name in ("rules.py", "scorers.py", "__init__.py"):
        before = digest()
        with (package / "my_pkg" / name).open("a") as file:
            file.write("# changed\n")
        assert digest() != before
    assert digest() != source_digest("my_pkg.scorers:margin", package)


def test_the_digest_follows_relative_imports(package: Path) -> None:
    (package / "my_pkg" / "near.py").write_text("from . import rules\ndef f(case): return 1\n")
    before = source_digest("my_pkg.near:f", package)
    (package / "my_pkg" / "rules.py").write_text("BEST = 'b'\n")
    assert source_digest("my_pkg.near:f", package) != before


def called(name: str, root: Path) -> float:
    """What a metric hook makes of one case."""
    return float(score(generate_cell([["a"]], [None]), root, name).columns[name].values[0])


def test_an_edit_of_the_same_length_and_date_is_what_runs(package: Path) -> None:
    """Python's own cache of compiled modules would run the function of before."""
    scorers, rules = package / "my_pkg" / "scorers.py", package / "my_pkg" / "rules.py"
    scorers.write_text("from my_pkg.rules import BEST\ndef score(case):\n    return BEST\n")
    for value in ("0.25", "0.75"):
        rules.write_text(f"BEST = {value}\n")
        os.utime(rules, (1_700_000_000, 1_700_000_000))
        assert called("my_pkg.scorers:score", package) == float(value), "in a child that goes on"
        CREW.close()
        assert called("my_pkg.scorers:score", package) == float(value), "in a new one"
    assert not list(package.rglob("__pycache__"))


def test_modules_of_one_name_in_two_folders_are_told_apart(package: Path, tmp_path: Path) -> None:
    roots = [package / "one", package / "two"]
    for index, root in enumerate(roots):
        root.mkdir()
        (root / "apart_scorer.py").write_text(f"def score(case):\n    return {index}\n")
    for index in (0, 1, 0):
        assert called("apart_scorer:score", roots[index]) == index


def test_a_digest_runs_nothing(package: Path) -> None:
    (package / "my_pkg" / "loud.py").write_text("raise SystemExit\ndef f(case): return 1\n")
    assert len(source_digest("my_pkg.loud:f", package)) == 32


def test_an_installed_hook_has_a_digest_too(tmp_path: Path) -> None:
    assert len(source_digest("json.decoder:JSONDecoder", tmp_path)) == 32


def test_a_package_goes_before_a_module_of_its_name_as_in_python(package: Path) -> None:
    (package / "my_pkg" / "twice.py").write_text("VALUE = 1\ndef f(case): return 1\n")
    (package / "my_pkg" / "twice").mkdir()
    (package / "my_pkg" / "twice" / "__init__.py").write_text("def f(case): return 2\n")
    assert called("my_pkg.twice:f", package) == 2
    before = source_digest("my_pkg.twice:f", package)
    (package / "my_pkg" / "twice" / "__init__.py").write_text("def f(case): return 3\n")
    assert source_digest("my_pkg.twice:f", package) != before


@pytest.mark.parametrize(
    "line",
    [
        "import my_pkg.far",
        "from my_pkg.far import FAR",
        "from .far import FAR",
        "importlib.import_module('my_pkg.far')",
        "def late():\n    import my_pkg.far",
    ],
)
def test_the_digest_follows_every_form_of_import(package: Path, line: str) -> None:
    (package / "my_pkg" / "near.py").write_text(f"{line}\ndef f(case): return 1\n")
    (package / "my_pkg" / "far.py").write_text("from my_pkg.rules import BEST\nFAR = 1\n")
    before = source_digest("my_pkg.near:f", package)
    (package / "my_pkg" / "rules.py").write_text("BEST = 'c'\n")
    assert source_digest("my_pkg.near:f", package) != before


def test_a_package_that_a_hook_imports_from_elsewhere_counts_by_its_version(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(text: str) -> str:
        (package / "my_pkg" / "near.py").write_text(f"{text}\ndef f(case): return 1\n")
        return source_digest("my_pkg.near:f", package)

    with_numpy, without = digest("import numpy.linalg"), digest("import json")
    monkeypatch.setattr(functions, "package_state", lambda name: f"{name} 99")
    assert digest("import numpy.linalg") != with_numpy
    assert digest("import json") == without, "the standard library is the interpreter's"


def test_an_edited_module_is_imported_anew_with_those_that_import_it(package: Path) -> None:
    cell = generate_cell([["a"], ["b"]], [None, None])
    name = "my_pkg.scorers:best"
    assert score(cell, package, name).columns[name].values.tolist() == [1, 0]
    (package / "my_pkg" / "rules.py").write_text("BEST = 'b'\n")
    assert score(cell, package, name).columns[name].values.tolist() == [0, 1]


def test_a_module_of_the_same_name_in_another_folder_is_another(
    package: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "my_pkg"
    other.mkdir(parents=True)
    (other / "scorers.py").write_text("def best(case):\n    return 7\n")
    name, cell = "my_pkg.scorers:best", generate_cell([["a"]], [None])
    found = [
        score(cell, root, name).columns[name].values.tolist()
        for root in (package, other.parent, package)
    ]
    assert found == [[1], [7], [1]]


KEPT = {
    "793d3ba81f725f5a105aca21df207e49531c943bd507153784a6bc83064d94b1",
    "793d3ba81f725f5ae39353b2b0bd60282c98ed93a68ca85711ba2bbe11b0f7de",
    "cb2a9dba693be9021b40b8eca284be6f01063694252353d7789fb0ce14eafb26",
    "cb2a9dba693be9025a2188b90993ba70c8acb4bf0e22bd3856882bd337373184",
}
"""Keys that the first evalc which kept scores, and called hooks in its own process, gave these."""
GOLDEN = """\
def judge(case):
    open(__file__ + '.calls', 'a').write('j')
    return case['extracted'][0] == 'b'
def last(text, case):
    open(__file__ + '.calls', 'a').write('l')
    return text.split()[-1]
"""


def test_scores_that_were_kept_before_hooks_had_a_process_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "interpreter", lambda: "CPython 3.11.7")
    (tmp_path / "golden_hook.py").write_text(GOLDEN)
    scoring = Scoring(
        ("golden_hook:judge", "exact_match"), {"": Extract(python="golden_hook:last")}
    )
    cell = generate_cell([["a b"], ["c"]], ["b", "c"])
    with Store.open(tmp_path / "store") as store:
        for _ in range(2):
            score_cell(cell, scoring, root=tmp_path, cache=ScoreCache(store))
        assert {key.hex() for batch in store.scan(SCORES) for key, _ in batch} == KEPT
    assert sorted((tmp_path / "golden_hook.py.calls").read_text()) == ["j", "j", "l", "l"]


@pytest.mark.parametrize(("value", "why"), [(b"1e308", "beyond"), (b"NaN", "finite")])
def test_a_kept_score_that_no_hook_may_give_is_not_served(
    package: Path, tmp_path: Path, value: bytes, why: str
) -> None:
    cell = generate_cell([["a"]], [None])
    scoring = Scoring(("my_pkg.scorers:best",))
    with Store.open(tmp_path / "store") as store:
        score_cell(cell, scoring, root=package, cache=ScoreCache(store))
        ((key, _),) = [pair for batch in store.scan(SCORES) for pair in batch]
        store.commit([key], [value], SCORES)
        with pytest.raises(Faults) as caught:
            score_cell(cell, scoring, root=package, cache=ScoreCache(store))
    assert why in caught.value.diagnostics[0].message
