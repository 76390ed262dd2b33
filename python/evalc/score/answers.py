"""Answers: what was extracted from every generated text of a cell, and the case for hooks.

Extraction is a layer of its own: what a hook finds is kept by the hook, the text and the case, and
no metric takes part. Patterns are applied anew, which costs no more than looking up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from evalc.diagnostics import Diagnostic
from evalc.score.cache import ScoreCache, Scored
from evalc.score.cells import CaseDict, CellRecords
from evalc.score.extract import INVALID, Extractor
from evalc.score.faults import faults
from evalc.score.hooks import HookError, load_hook
from evalc.score.keys import canonical
from evalc.score.scorers import hook_scorer

SOURCES = ("answers.py", "hooks.py")
"""What of this room takes part in what an extraction hook finds."""

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


def found_in(cell: CellRecords, extractor: Extractor, root: Path, cache: ScoreCache) -> Found:
    """What is found in every text; a hook is imported from `root`, if anything is to be asked.

    Raises `Faults` (`hook-failed`) naming the cases.
    """
    hook = extractor.extract.python
    answered = cell.answered()
    texts = [cell.texts_of(case) if answered[case] else [] for case in range(len(cell))]
    if hook is None:
        return [[extractor.find(text) for text in own] for own in texts]
    found = iter(_asked(cell, hook, texts, root, cache))
    return [[next(found) for _ in own] for own in texts]


def _asked(
    cell: CellRecords, name: str, texts: list[list[str]], root: Path, cache: ScoreCache
) -> list[str | None]:
    """What the hook finds in each text, those of a case one after the other."""
    flat = [(case, text) for case, own in enumerate(texts) for text in own]
    failures: list[Diagnostic] = []

    def keys() -> list[bytes]:
        scorer = hook_scorer("extract", name, root, SOURCES)
        views = [canonical(case_of(cell, case)) if own else b"" for case, own in enumerate(texts)]
        return [scorer.key(canonical(text), views[case]) for case, text in flat]

    def compute(missing: list[int]) -> Iterator[Scored]:
        hook = load_hook(name, root)
        for at in missing:
            case, text = flat[at]
            try:
                yield Scored(at, canonical(hook.text(text, case_of(cell, case))))
            except HookError as error:
                failures.append(error.diagnostic)

    values = cache.values(len(flat), keys, compute)
    if failures:
        raise faults(failures)
    return [json.loads(value or b"null") for value in values]


def answers_of(found: Found, extractor: Extractor) -> Answers:
    """The normalised answers."""
    return [[extractor.answer_of(one) for one in own] for own in found]


def is_valid(answer: str) -> bool:
    """Whether an answer was found at all; one that was not scores 0 under every metric."""
    return answer != INVALID
