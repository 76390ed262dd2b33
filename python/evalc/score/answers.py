"""Answers: what was extracted from every generated text of a cell, and the case for hooks."""

from __future__ import annotations

from pathlib import Path

from evalc.diagnostics import Diagnostic
from evalc.score.cells import CaseDict, CellRecords
from evalc.score.extract import INVALID, Extractor
from evalc.score.faults import faults
from evalc.score.hooks import HookError, load_hook
from evalc.score.scoring import Extract

Answers = list[list[str]]
"""Per case, the normalised answer of each repeat; empty where the case is not answered."""


def extractor_of(extract: Extract, root: Path | None) -> Extractor:
    """The extractor, its hook imported from `root` (default: the working directory)."""
    hook = load_hook(extract.python, root or Path()) if extract.python else None
    return Extractor(extract, hook)


def case_of(cell: CellRecords, case: int) -> CaseDict:
    """The case as a hook sees it, without answers."""
    return {**cell.row(case), "id": cell.case_ids[case]}


def answers_of(cell: CellRecords, extractor: Extractor) -> Answers:
    """Extract from every text. Raises `Faults` (`hook-failed`) naming the cases."""
    answered = cell.answered()
    found: Answers = []
    failures: list[Diagnostic] = []
    for case in range(len(cell)):
        texts = cell.texts_of(case) if answered[case] else []
        view = case_of(cell, case) if extractor.hook is not None and texts else None
        try:
            found.append([extractor.answer(text, view) for text in texts])
        except HookError as error:
            failures.append(error.diagnostic)
            found.append([])
    if failures:
        raise faults(failures)
    return found


def is_valid(answer: str) -> bool:
    """Whether an answer was found at all; one that was not scores 0 under every metric."""
    return answer != INVALID
