from __future__ import annotations

import re
from pathlib import Path

import pytest
from cell_builders import generate_cell
from hypothesis import given
from hypothesis import strategies as st

from evalc.diagnostics import Faults
from evalc.hooks.limits import Limits
from evalc.score import INVALID, Extract
from evalc.score.answers import found_in
from evalc.score.cache import ScoreCache
from evalc.score.extract import Extractor
from evalc.score.patience import TooSlow


def found(text: str, **extract: object) -> str:
    extractor = Extractor(Extract(**extract))  # type: ignore[arg-type]
    return extractor.answer_of(extractor.find(text))


# The example of the spec language.
SPEC = {
    "regex": r"#### (\-?[0-9\.,]+)",
    "take": "first",
    "otherwise": r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
}


def test_the_example_of_the_spec_language_works() -> None:
    assert found("so 3 + 4.\n#### 7\n#### 9", **SPEC) == "7"
    assert found("it is 12, or 13", **SPEC) == "12,"
    assert found("no number here", **SPEC) == INVALID


def test_take_picks_among_the_matches() -> None:
    text = "1 2 3"
    for take, wanted in (("first", "1"), ("last", "3"), (1, "2"), (-1, "3"), (-3, "1")):
        assert found(text, regex=r"\d", take=take) == wanted
    assert found(text, regex=r"\d", take=3) == INVALID
    assert found(text, regex=r"\d", take=-4) == INVALID


def test_otherwise_uses_the_same_take() -> None:
    assert found("1 2 3", regex="x", take="last", otherwise=r"\d") == "3"


def test_without_a_group_the_first_that_is_not_empty_is_the_answer() -> None:
    assert found("b", regex="(a)?|(b)", take="last") == INVALID  # the empty match at the end
    assert found("b", regex="(a)|(b)") == "b"
    assert found("ab", regex="a(b)") == "b"
    assert found("ab", regex="ab") == "ab"


def test_a_group_can_be_chosen() -> None:
    assert found("3 of 9", regex=r"(\d) of (\d)", group=2) == "9"
    with pytest.raises(Faults) as caught:
        found("3 of 9", regex=r"(\d) of (\d)", group=3)
    assert caught.value.diagnostics[0].code == "bad-regex"


def test_a_group_that_took_no_part_is_no_answer() -> None:
    assert found("b", regex="(a)|(b)", group=1, otherwise="b") == "b"


def test_normalisation_strips_ignores_and_lowers_in_that_order() -> None:
    assert found(" $1,000. ", ignore=(",", r"\$", r"\.$")) == "1000"
    # stripped before, so that a pattern finds the ends, and again after, for what it leaves there
    assert found("  # 5 .  ", ignore=(r"^#", r"\.$")) == "5"
    assert found("  # 5 .  ", ignore=(r"^#", r"\.$"), strip=False) == "  # 5 .  "
    # a pattern sees capitals that are lowered later
    assert found("A Xa", ignore=("A",), lower=True) == "xa"
    assert found(" Yes ", lower=True) == "yes"
    assert found(" Yes ", strip=False) == " Yes "


def test_a_broken_pattern_is_a_fault() -> None:
    with pytest.raises(Faults) as caught:
        found("x", regex="(")
    assert caught.value.diagnostics[0].code == "bad-regex"


def harness(pattern: str, text: str, select: int) -> str:
    """The documented behaviour of the reference harness's regex filter, over `findall`."""
    matches = re.findall(pattern, text)
    if not matches:
        return INVALID
    match = matches[select]
    if isinstance(match, tuple):
        match = next((group for group in match if group), INVALID)
    return match.strip()


PATTERNS = [
    r"#### (\-?[0-9\.\,]+)",
    r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
    r"[a-c]+",
    r"(a)(b)?|(c)",
    "a*",
]


@given(st.text(alphabet="abc#1 2.,$-\n"), st.sampled_from(PATTERNS), st.booleans())
def test_extraction_equals_the_harness_filter(text: str, pattern: str, last: bool) -> None:
    take = "last" if last else "first"
    assert found(text, regex=pattern, take=take) == harness(pattern, text, -1 if last else 0)


@given(st.text(), st.integers(-5, 5))
def test_extraction_never_fails_and_finds_a_part_of_the_text(text: str, take: int) -> None:
    answer = Extractor(Extract(regex=r"\w+", take=take)).find(text)
    assert answer is None or answer in text


@given(st.text())
def test_normalisation_is_idempotent(text: str) -> None:
    extractor = Extractor(Extract(ignore=(",", r"\$")))
    assert extractor.normalise(extractor.normalise(text)) == extractor.normalise(text)


def test_a_pattern_that_backtracks_without_end_is_named_with_its_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evalc.score.patience.SECONDS", 0.2)
    cell = generate_cell([["aaab"], ["a" * 64 + "b"]], ["a", "a"])
    extractor = Extractor(Extract(regex=r"(a+)+$"))
    with pytest.raises(Faults) as raised:
        found_in(cell, extractor, Path(), ScoreCache(), Limits(), "strict")
    [diagnostic] = raised.value.diagnostics
    assert diagnostic.code == "slow-pattern"
    for part in ("extraction `strict`", "task `answers`", "case `case-1`", "`(a+)+$`"):
        assert part in diagnostic.message


def test_what_is_ignored_of_an_answer_is_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalc.score.patience.SECONDS", 0.2)
    extractor = Extractor(Extract(ignore=[r"(a|aa)+$"]))
    with pytest.raises(TooSlow):
        extractor.normalise("a" * 64 + "b")
    assert extractor.normalise("a" * 9) == "", "the next text has its own time"
