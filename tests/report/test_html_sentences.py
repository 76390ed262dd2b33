"""The sentences in which a page tells verdicts, races and what was not judged."""

from __future__ import annotations

from typing import Any

import pytest
from page_tree import Tree
from pages import condition, gate, page
from reports import quiz

from evalc.report import build_report
from evalc.report.html import report_page, sentences


@pytest.mark.parametrize(
    ("entry", "others", "phrase"),
    [
        (condition("pass", key="max"), {}, "acc is at most 0.8000."),
        (condition("fail", key="max"), {}, "acc is above 0.8000."),
        (
            condition("pass", key="half_width", bound=0.02),
            {},
            "acc is known to within 0.0200 on each side.",
        ),
        (
            condition("fail", key="max_drop", scope="difference", bound=-0.02),
            {"baseline": "main"},
            "acc lost more than 0.0200 against main.",
        ),
        (
            condition("pass", basis="certain", seen=120),
            {"basis": "certain", "error": 0.0},
            "All 120 cases were looked at, so this is certain.",
        ),
        (
            condition("pass", basis="certain"),
            {"basis": "certain", "error": 0.0},
            "nothing that is left could change it",
        ),
        (
            condition("inconclusive"),
            {"needed": False},
            "The budget ended before it was decided; it does not fail the run.",
        ),
        (
            condition("inconclusive"),
            {"why": "`main` has answered none of its cases"},
            "`main` has answered none of its cases.",
        ),
    ],
    ids=str,
)
def test_every_kind_of_condition_has_its_sentence(
    entry: Any, others: dict[str, Any], phrase: str
) -> None:
    assert phrase in sentences.sentence(gate("g", entry["state"], entry, **others))


@pytest.mark.parametrize(
    ("states", "headline", "others"),
    [
        (["pass"], "The gate passed", ""),
        (["inconclusive"], "The gate is not decided", ""),
        (["fail", "fail"], "All 2 gates failed", ""),
        (["inconclusive", "inconclusive"], "All 2 gates are not decided", ""),
        (["pass", "fail", "pass"], "1 of 3 gates failed", "2 passed"),
        (["pass", "inconclusive"], "1 of 2 gates is not decided", "1 passed"),
    ],
    ids=str,
)
def test_the_headline_says_the_worst_first(states: list[str], headline: str, others: str) -> None:
    made = [gate("g", state) for state in states]
    assert sentences.headline(build_report([], gates=made))[1:] == (headline, others)


def test_the_headline_counts_what_was_not_judged_and_the_page_says_why() -> None:
    apart = [("floor", "sums", "task not selected"), ("drop", "sums", "task not selected")]
    for judged, others in (["pass"], "2 not judged"), (["pass", "fail"], "1 passed, 2 not judged"):
        made = build_report([], gates=[gate("g", state) for state in judged], unjudged=apart)
        assert sentences.headline(made)[2] == others
    alone = Tree(report_page(build_report([quiz([1])], unjudged=apart))).said()
    assert "Gates Not judged: floor, drop: task not selected" in alone


def race(state: str, *standings: str, **others: Any) -> Any:
    """A race of models m0, m1, ... that stand so."""
    candidates = [
        {
            "model": f"m{n}",
            "standing": standing,
            "seen": 96 - 32 * n,
            "value": 0.9 - 0.2 * n,
            "difference": -0.2 * n,
            "low": -0.3 * n,
            "high": -0.1 * n,
        }
        for n, standing in enumerate(standings)
    ]
    return gate("best", state, model="m0", conditions=[], candidates=candidates, **others)


@pytest.mark.parametrize(
    ("entry", "phrases"),
    [
        (
            race("pass", "best", "out", "out"),
            ["decided best the best acc of 3 models on quiz", "m0 is the best of 3. Decided after"],
        ),
        (race("pass", "best", "best", "out"), ["m0 and m1 are equally the best of 3."]),
        (
            race("inconclusive", "open", "open", "out"),
            [
                "not decided",
                "m0 and m1 can still be the best.",
                "m1 may be the best 0.7000 -0.2000",
            ],
        ),
        (race("inconclusive", why="it needs a switch"), ["It needs a switch."]),
    ],
    ids=str,
)
def test_a_race_says_who_is_best_and_how_far_the_others_are(entry: Any, phrases: list[str]) -> None:
    text = page(gates=[entry])
    for phrase in phrases:
        assert phrase in Tree(text).said()
    drawn = "Difference from the leader</title>" in text
    assert drawn == bool(entry["candidates"])
