"""Answers: what was extracted from every generated text of a cell, and the case for hooks.

Extraction is a layer of its own: what a hook finds is kept by the hook, the text and the case, and
no metric takes part. Patterns are applied anew, which costs no more than looking up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from evalc.hooks.crew import CREW
from evalc.hooks.limits import Failure, Limits
from evalc.hooks.values import Unfit, as_text
from evalc.score.cache import ScoreCache
from evalc.score.cells import CaseDict, CellRecords
from evalc.score.extract import INVALID, Extractor
from evalc.score.faults import fault
from evalc.score.hooks import Asked
from evalc.score.keys import canonical
from evalc.score.patience import SECONDS, TooSlow
from evalc.score.scorers import hook_scorer

T = TypeVar("T")

SEEN = ("row", "prompt", "choices", "target")

Found = list[list[str | None]]
"""Per case, what was found in the text of each repeat as it stands there, or None; empty where the
case is not answered."""
Answers = list[list[str]]
"""Per case, the normalised answer of each repeat; empty where the case is not answered."""


def case_of(cell: CellRecords, case: int) -> CaseDict:
    """The case as a hook sees it, without answers: nothing of where its row lies is in it."""
    fields = cell.row(case)
    return {**{name: fields[name] for name in SEEN}, "id": cell.case_ids[case]}


def patient(cell: CellRecords, case: int, name: str, work: Callable[[], T]) -> T:
    """What the patterns of the extraction `name` make of a text of a case.

    Raises `Faults` (`slow-pattern`) naming both.
    """
    try:
        return work()
    except TooSlow as slow:
        extraction = f"extraction `{name}`" if name else "the extraction"
        pattern = slow.pattern if len(slow.pattern) <= 80 else f"{slow.pattern[:77]}..."
        raise fault(
            "slow-pattern",
            f"{extraction} of task `{cell.task}` takes more than {SECONDS:g} s on case "
            f"`{cell.case_ids[case]}`: `{pattern}`",
            hint="rewrite the pattern so that no repetition can match one text in many ways",
        ) from None


def found_in(  # noqa: PLR0917
    cell: CellRecords,
    extractor: Extractor,
    root: Path,
    cache: ScoreCache,
    limits: Limits,
    name: str = "",
) -> Found:
    """What is found in every text; a hook is imported from `root`, if anything is to be asked.

    Raises `Faults` (`hook-failed`) naming the cases.
    """
    hook = extractor.extract.python
    answered = cell.answered()
    texts = [cell.texts_of(case) if answered[case] else [] for case in range(len(cell))]
    if hook is None:
        return [
            [patient(cell, case, name, partial(extractor.find, text)) for text in own]
            for case, own in enumerate(texts)
        ]
    found = iter(_asked(cell, hook, texts, root, cache, limits))
    return [[next(found) for _ in own] for own in texts]


def _asked(  # noqa: PLR0917
    cell: CellRecords,
    name: str,
    texts: list[list[str]],
    root: Path,
    cache: ScoreCache,
    limits: Limits,
) -> list[str | None]:
    """What the hook finds in each text, those of a case one after the other."""
    flat = [(case, text) for case, own in enumerate(texts) for text in own]
    ids = [cell.case_ids[case] for case, _ in flat]
    views = _Views(cell)

    def halves(at: int) -> tuple[bytes, bytes]:
        case, text = flat[at]
        return canonical(text), views.of(case)

    asked = Asked(name, root, "text", ids, halves, limits)

    def keys() -> Iterator[bytes]:
        scorer = hook_scorer("extract", name, root)
        return (scorer.key(*asked.seen(at)) for at in range(len(flat)))

    values = cache.values(len(flat), keys, asked.values, CREW.expect)
    found = [_kept(asked, at, value) for at, value in enumerate(values)]
    asked.check()
    return found


def _kept(asked: Asked, at: int, value: bytes | None) -> str | None:
    """A value of the store, which an earlier evalc may have taken without a look."""
    try:
        return as_text(json.loads((value or b"null").decode()))
    except Unfit as unfit:
        asked.failed(at, Failure(str(unfit)))
        return None


class _Views:
    """Cases as JSON texts; that of the last is kept, as repeats of a case follow one another."""

    def __init__(self, cell: CellRecords) -> None:
        self._cell = cell
        self._last: tuple[int, bytes] = (-1, b"")

    def of(self, case: int) -> bytes:
        if self._last[0] != case:
            self._last = (case, canonical(case_of(self._cell, case)))
        return self._last[1]


def answers_of(cell: CellRecords, found: Found, extractor: Extractor, name: str) -> Answers:
    """The normalised answers."""
    return [
        [patient(cell, case, name, partial(extractor.answer_of, one)) for one in own]
        for case, own in enumerate(found)
    ]


def is_valid(answer: str) -> bool:
    """Whether an answer was found at all; one that was not scores 0 under every metric."""
    return answer != INVALID
