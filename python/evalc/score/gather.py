"""A planned cell and its records, as the columns that scoring reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evalc.plan import Planned
from evalc.score.cells import CellRecords, U32Array
from evalc.score.scoring import CodeSettings, Extract, Scoring
from evalc.spec.metrics import slice_name
from evalc.spec.models import TaskSpec
from evalc.store import Store
from evalc.store.answers import read_answers
from evalc.store.environment import KEY_BYTES
from evalc.store.records import Answer, decode_answer, decode_likelihoods


def gather(planned: Planned, index: int, store: Store) -> CellRecords:
    """Records of cell `planned.selection.cells[index]`; what is not in the store is missing."""
    model, task = planned.selection.cells[index]
    spec = planned.folder.spec.tasks[task]
    columns = planned.cell(index)
    requests = _u32(columns["requests"])
    keys = [
        planned.keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at in requests.astype(int).tolist()
    ]
    generates = spec.type == "generate"
    payloads = read_answers(store, keys, generates)
    empty: list[bytes | None] = []
    loglik, greedy = decode_likelihoods(empty if generates else payloads)
    answers = [None if p is None else decode_answer(p) for p in payloads] if generates else []
    slices = zip(spec.slices, columns["slices"], strict=True)
    offsets = _u32(columns["request_offsets"])
    return CellRecords(
        model=model,
        task=task,
        kind=spec.type,
        case_ids=columns["case_ids"],
        targets=columns["targets"],
        offsets=offsets,
        row=lambda case: planned.case(index, case),
        choice_texts_chars=_u32(columns["choice_chars"]),
        choice_bytes=_u32(columns["choice_bytes"]),
        cont_tokens=_u32(columns["cont_tokens"]),
        loglik=loglik,
        greedy=greedy,
        texts=[None if answer is None else answer.text for answer in answers],
        text_words=_u32(columns["text_words"]),
        text_bytes=_u32(columns["text_bytes"]),
        clusters=columns["clusters"] or None,
        slices={slice_name(template): values for template, values in slices},
        population=columns["population"],
        cut_off=_cut_off(answers, offsets),
    )


def _cut_off(answers: Sequence[Answer | None], offsets: U32Array) -> int:
    """Cases of which an answer ended because it was as long as it may be."""
    at = [i for i, answer in enumerate(answers) if answer and answer.finish == "length"]
    return len(np.unique(np.searchsorted(offsets, at, side="right")))


def scoring_of(spec: TaskSpec) -> Scoring:
    """A task's scoring definition, resolved."""
    extracts = {
        name: Extract(
            regex=extract.regex,
            take=extract.take,
            group=extract.group,
            otherwise=extract.otherwise,
            strip=extract.strip,
            lower=extract.lower,
            ignore=tuple(extract.ignore),
            python=extract.python,
        )
        for name, extract in spec.extractions.items()
    }
    code = CodeSettings(program=spec.code.program, timeout=spec.code.timeout) if spec.code else None
    return Scoring(tuple(spec.metrics), extracts, code, spec.average)


def _u32(column: Any) -> U32Array:
    values: npt.NDArray[np.uint32] = np.frombuffer(column, dtype="<u4")
    return values
