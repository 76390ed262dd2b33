"""Cells made by hand, as the planner and the store would fill them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from evalc.score import CellRecords


def _offsets(sizes: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint32)


def choice_cell(
    logliks: Sequence[Sequence[float]],
    targets: Sequence[Any],
    *,
    choices: Sequence[Sequence[str]] | None = None,
    **others: Any,
) -> CellRecords:
    """A multiple-choice cell: a row of log-likelihoods a case, targets as Python values."""
    texts = choices or [[f"choice {j}" for j in range(len(own))] for own in logliks]
    flat = [text for own in texts for text in own]
    return CellRecords(
        **{
            "model": "base",
            "task": "quiz",
            "kind": "multiple_choice",
            "case_ids": [f"case-{i}" for i in range(len(logliks))],
            "targets": [json.dumps(target) for target in targets],
            "offsets": _offsets([len(own) for own in logliks]),
            "loglik": np.array([x for own in logliks for x in own], dtype=np.float64),
            "greedy": np.zeros(len(flat), dtype=np.bool_),
            "choice_texts_chars": np.array([len(t) for t in flat], dtype=np.uint32),
            "choice_bytes": np.array([len(t.encode()) for t in flat], dtype=np.uint32),
            "row": lambda i: {
                "row": {"n": i},
                "prompt": f"q{i}",
                "choices": list(texts[i]),
                "target": targets[i],
            },
            **others,
        }
    )


def generate_cell(
    texts: Sequence[Sequence[str | None]],
    targets: Sequence[Any],
    rows: Sequence[dict[str, Any]] | None = None,
    **others: Any,
) -> CellRecords:
    """A generation cell: the repeats of each case, targets as Python values."""
    own_rows = rows or [{"n": i} for i in range(len(texts))]
    return CellRecords(
        **{
            "model": "base",
            "task": "answers",
            "kind": "generate",
            "case_ids": [f"case-{i}" for i in range(len(texts))],
            "targets": [json.dumps(target) for target in targets],
            "offsets": _offsets([len(own) for own in texts]),
            "texts": [text for own in texts for text in own],
            "row": lambda i: {
                "row": own_rows[i],
                "prompt": own_rows[i].get("prompt", f"q{i}"),
                "choices": [],
                "target": targets[i],
            },
            **others,
        }
    )


def perplexity_cell(
    windows: Sequence[Sequence[float]],
    words: Sequence[int],
    bytes_: Sequence[int],
    **others: Any,
) -> CellRecords:
    """A perplexity cell: the log-likelihoods of each text's windows, 10 tokens each."""
    flat = [x for own in windows for x in own]
    return CellRecords(
        model="base",
        task="texts",
        kind="perplexity",
        case_ids=[f"case-{i}" for i in range(len(windows))],
        targets=["null"] * len(windows),
        offsets=_offsets([len(own) for own in windows]),
        loglik=np.array(flat, dtype=np.float64),
        cont_tokens=np.full(len(flat), 10, dtype=np.uint32),
        text_words=np.array(words, dtype=np.uint32),
        text_bytes=np.array(bytes_, dtype=np.uint32),
        row=lambda i: {"row": {}, "prompt": "", "choices": [], "target": None},
        **others,
    )
