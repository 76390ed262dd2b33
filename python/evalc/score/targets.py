"""Targets: the JSON texts of a cell, read as right choices or as acceptable texts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from evalc.diagnostics import Diagnostic
from evalc.score.cells import BoolArray, CellRecords, IntArray
from evalc.score.faults import fault, faults


def right_choices(cell: CellRecords) -> BoolArray:
    """bool[m]: which choices are right.

    An index is that choice. A text is the choice of the same text, else the index it spells. A
    list holds one 0/1 label per choice, or the texts of the right choices. Raises `Faults`
    (`bad-target`) naming the cases whose target is none of these.
    """
    labels = np.zeros(int(cell.offsets[-1]), dtype=np.bool_)
    indices = _all_indices(cell)
    if indices is not None:
        labels[cell.starts + indices] = True
        return labels
    wrong = []
    for case, target in enumerate(cell.targets):
        picked = _right(cell, case, json.loads(target))
        if picked is None:
            wrong.append(_bad_target(cell, case))
        else:
            labels[cell.starts[case] + np.asarray(picked, dtype=np.int64)] = True
    if wrong:
        raise faults(wrong)
    return labels


def _all_indices(cell: CellRecords) -> IntArray | None:
    """The targets as int64[n] when every one is an index in range: the common case, made fast."""
    try:
        indices = np.fromiter(map(int, cell.targets), np.int64, len(cell))
    except ValueError:
        return None
    return indices if bool(((indices >= 0) & (indices < cell.sizes)).all()) else None


def _right(cell: CellRecords, case: int, target: Any) -> list[int] | None:
    size = int(cell.sizes[case])
    if isinstance(target, bool) or target is None:
        return None
    if isinstance(target, int):
        return [target] if 0 <= target < size else None
    if isinstance(target, str):
        return _spelt(cell, case, target)
    if not isinstance(target, list) or not target:
        return None
    if all(label in (0, 1) and not isinstance(label, str) for label in target):
        right = [i for i, label in enumerate(target) if label]
        return right if len(target) == size and right else None
    found = [_spelt(cell, case, text) if isinstance(text, str) else None for text in target]
    return None if None in found else [i for some in found if some for i in some]


def _spelt(cell: CellRecords, case: int, text: str) -> list[int] | None:
    choices = cell.row(case)["choices"]
    if text in choices:
        return [choices.index(text)]
    if text.strip().isdecimal() and int(text) < len(choices):
        return [int(text)]
    return None


def _bad_target(cell: CellRecords, case: int) -> Diagnostic:
    size = int(cell.sizes[case])
    return Diagnostic(
        "bad-target",
        f"the target `{cell.targets[case]}` of case `{cell.case_ids[case]}` in task "
        f"`{cell.task}` names none of its {size} choices",
        hint="give `target` as a choice's index or text, or as one 0/1 label per choice",
    )


def references(cell: CellRecords) -> list[list[str]]:
    """Per case, the acceptable texts; other values as Python prints them (and prompts do).

    Raises `Faults` (`bad-target`) for a case without any.
    """
    texts = [_texts(json.loads(target)) for target in cell.targets]
    for case, found in enumerate(texts):
        if not found:
            raise fault(
                "bad-target",
                f"case `{cell.case_ids[case]}` in task `{cell.task}` has no target text to "
                "compare with",
                hint="set `target` in the task, or choose a metric that needs none",
            )
    return texts


def _texts(target: Any) -> list[str]:
    if target is None:
        return []
    if isinstance(target, list):
        return [text for item in target for text in _texts(item)]
    return [str(target)]
