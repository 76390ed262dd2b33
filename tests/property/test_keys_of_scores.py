"""What is in the key of a score: each line of the list is edited."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalc.plan import functions
from evalc.score import CellRecords, CodeSettings, Extract, Scoring, score_cell, scorers
from evalc.score.cache import ScoreCache
from evalc.score.metrics import code, overlap
from evalc.score.programs import Outcome
from evalc.store import Store
from evalc.store.environment import SCORES

Patch = pytest.MonkeyPatch


HOOK = "from listed_rules import WORTH\n\ndef judge(case):\n    return WORTH\n"


class Scores:
    """One case with its records, scored by a hook, by a program and by BLEU."""

    def __init__(self, folder: Path, patch: Patch) -> None:
        self.folder = folder
        self.patch = patch
        self.text, self.target = "a cat sat on the mat", "the cat sat on a mat"
        self.case: dict[str, Any] = {"row": {"n": 1}, "prompt": "q", "choices": []}
        self.id = "one"
        self.extract = Extract()
        self.code = CodeSettings("print({{ completion | tojson }})", timeout=30)
        self.hook = "listed_scorers:judge"
        self.metrics = [self.hook, "code_pass@1", "bleu"]
        self.write("scorers", HOOK)
        self.write("rules", "WORTH = 1\n")
        self.stores = 0

    def write(self, name: str, text: str) -> None:
        (self.folder / f"listed_{name}.py").write_text(text)

    def cell(self) -> CellRecords:
        return CellRecords(
            model="m",
            task="t",
            kind="generate",
            case_ids=[self.id],
            targets=[json.dumps(self.target)],
            offsets=np.array([0, 1], dtype=np.uint32),
            texts=[self.text],
            row=lambda _: {**self.case, "target": self.target},
        )

    def keys(self, *metrics: str) -> set[bytes]:
        """Score keys of a report into an empty store."""
        self.stores += 1
        scoring = Scoring(metrics or tuple(self.metrics), {"": self.extract}, self.code)
        with Store.open(self.folder / f"store{self.stores}") as store:
            score_cell(
                self.cell(),
                scoring,
                root=self.folder,
                allow_code_execution=True,
                sandbox="none",
                cache=ScoreCache(store),
            )
            return {key for batch in store.scan(SCORES) for key, _ in batch}


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: Patch) -> Iterator[Scores]:
    yield Scores(tmp_path, monkeypatch)


def _layer(s: Scores) -> None:
    """The same function extracts instead of judging."""
    s.write("scorers", "def judge(*seen):\n    return '1'\n")
    s.extract, s.metrics = Extract(python=s.hook), ["exact_match"]


def _room(s: Scores) -> None:
    s.patch.setattr(scorers, "room_digest", lambda files: "0" * 64)


def _boxed(s: Scores) -> None:
    s.patch.setattr(code, "in_use", lambda asked: "bwrap")
    s.patch.setattr(code, "run_programs", lambda programs, *_: [Outcome("passed")] * len(programs))


PROGRAM, BLEU = ("code_pass@1",), ("bleu",)
SCORE: dict[str, tuple[tuple[str, ...], Callable[[Scores], object]]] = {
    "the layer: extraction, metric or program": ((), _layer),
    "the name of the scorer": (
        (),
        lambda s: (s.write("twin", HOOK), s.metrics.__setitem__(0, "listed_twin:judge")),
    ),
    "a hook's source": ((), lambda s: s.write("scorers", HOOK + "# edited\n")),
    "what the hook imports of the spec's own folder": (
        (),
        lambda s: s.write("rules", "WORTH = 2\n"),
    ),
    "the versions of the packages that the hook imports": (
        (),
        lambda s: s.patch.setattr(functions, "package_state", lambda name: "99"),
    ),
    "the files of evalc's score room that take part": (PROGRAM, _room),
    "the version of how evalc calls a hook": (
        (),
        lambda s: s.patch.setattr(scorers, "CALLED", {"metric": "2", "extract": "2"}),
    ),
    "the Python that runs it": (
        PROGRAM,
        lambda s: s.patch.setattr(scorers, "interpreter", lambda: "CPython 3.99.0"),
    ),
    "the limits of a program: time, memory, file size": (
        PROGRAM,
        lambda s: setattr(s, "code", replace(s.code, memory_mb=1024)),
    ),
    "the sandbox of a program, or that there is none": (PROGRAM, _boxed),
    "what the model said: texts or log-likelihoods, as the scorer sees them": (
        (),
        lambda s: setattr(s, "text", "a dog"),
    ),
    "the answers that were extracted, for a metric": (
        BLEU,
        lambda s: setattr(s, "extract", Extract(regex="cat.*")),
    ),
    "the row, the prompt, the choices, the target and the id, for a hook": (
        (),
        lambda s: s.case.update(row={"n": 2}),
    ),
    "the text of a program": (
        PROGRAM,
        lambda s: setattr(s, "code", replace(s.code, program="pass")),
    ),
    "the versions of the packages that a program may import": (
        PROGRAM,
        lambda s: s.patch.setattr(code, "packages_in", lambda program: [("numpy", "99")]),
    ),
    "the version of sacrebleu, for BLEU and chrF": (
        BLEU,
        lambda s: s.patch.setattr(overlap, "version", lambda name: "99"),
    ),
}


@pytest.mark.parametrize("line", SCORE)
def test_what_is_in_a_score_key_makes_another(line: str, scored: Scores) -> None:
    metrics, edit = SCORE[line]
    only = metrics or (scored.hook,)
    if "packages that the hook" in line:
        scored.write("scorers", "import numpy\n" + HOOK)
    before = scored.keys(*only)
    edit(scored)
    after = scored.keys(*(metrics or scored.metrics[:1]))
    assert before and after
    assert not before & after


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.case.update(prompt="other"),
        lambda s: s.case.update(choices=["a"]),
        lambda s: setattr(s, "target", "other"),
        lambda s: setattr(s, "id", "other"),
        lambda s: setattr(s, "extract", Extract(regex="cat")),
    ],
)
def test_each_part_of_what_a_hook_sees_makes_another_score_key(
    edit: Callable[[Scores], object], scored: Scores
) -> None:
    before = scored.keys(scored.hook)
    edit(scored)
    assert not before & scored.keys(scored.hook)
