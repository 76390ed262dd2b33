"""The reference harness's results, and the suite that asks the same of evalc."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc.plan import Planned, plan
from evalc.score import CellScores, score_cell
from evalc.score.gather import gather, scoring_of
from evalc.spec import load, select
from evalc.store import Store

ROOT = Path(__file__).resolve().parents[2]
SPECS = (ROOT / "specs", Path(__file__).with_name("contexts.toml"))

FILES = {
    "crows_pairs": ("crows_pairs", 300),
    "golden_gsm8k": ("gsm8k", 20),
    "golden_hellaswag10": ("hellaswag10", 20),
    "hellaswag": ("hellaswag0", 200),
    "mmlu_high_school_psychology": ("mmlu_high_school_psychology_local", 50),
    "mmlu_world_religions": ("mmlu_world_religions_local", 50),
    "truthfulqa_mc1": ("truthfulqa_mc1", 60),
}
"""Task -> the harness's file and how many cases it holds."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """The suite `golden` with the rows that the harness was given."""

    shared: Path
    model: Path
    cache: Path

    def arguments(self) -> list[str]:
        """What follows `evalc <command>`."""
        sets = [argument for text in self.overrides() for argument in ("--set", text)]
        return [*map(str, SPECS), "--suite", "golden", "--cache", str(self.cache), *sets]

    def overrides(self) -> list[str]:
        """The texts after `--set`: where things lie, and as many first rows as were asked."""
        paths = {
            "paths.data": self.shared / "data",
            "paths.golden": self.shared / "golden",
            "models.base.path": self.model,
        }
        rows = {
            f"datasets.{task}.rows": f"0:{count}"
            for task, (_, count) in FILES.items()
            if task not in ("golden_gsm8k", "golden_hellaswag10", "truthfulqa_mc1")
        }
        rows["datasets.truthfulqa.rows"] = "0:60"
        return [f"{key}={json.dumps(str(value))}" for key, value in (paths | rows).items()]

    def planned(self) -> Planned:
        """The plan of the whole suite."""
        folder = load(SPECS, self.overrides())
        with Store.open(self.cache / "store") as store:
            return plan(folder, select(folder, suites=["golden"]), self.cache, store)

    def lines(self, task: str) -> list[list[Line]]:
        """The harness's lines of each case: one, or one for each filter."""
        name, count = FILES[task]
        cases: dict[int, list[Line]] = {}
        for text in (self.shared / "golden" / f"{name}.jsonl").read_text("utf-8").splitlines():
            line = json.loads(text)
            cases.setdefault(line["doc_id"], []).append(line)
        assert sorted(cases) == list(range(count))
        return [cases[number] for number in range(count)]


def exact(model: Path, requests: Sequence[Line]) -> list[float]:
    """Log-likelihoods of requests by transformers in float64, in nats."""
    if not requests:
        return []
    import torch
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64).eval()
    found = []
    for request in requests:
        ids = torch.tensor([request["ctx_ids"] + request["cont_ids"]])
        with torch.inference_mode():
            chances = torch.log_softmax(whole(ids).logits[0, :-1], dim=-1)
        own = chances.gather(1, ids[0, 1:, None])[-len(request["cont_ids"]) :]
        found.append(float(own.sum()))
    return found


@dataclass(frozen=True)
class Asked:
    """A cell of the plan beside the harness's results; cases in the plan's order."""

    planned: Planned
    index: int
    theirs: list[list[Line]]
    """The harness's lines of the case at each place of the plan's order."""

    @classmethod
    def of(cls, suite: Suite, planned: Planned, task: str) -> Asked:
        index = [name for _, name in planned.selection.cells].index(task)
        lines = suite.lines(task)
        assert len(planned.cell(index)["case_ids"]) == len(lines)
        # The plan has its own order of cases; the harness counted the rows of the file.
        in_file = [planned.case(index, at)["line"] for at in range(len(lines))]
        rank = {line: number for number, line in enumerate(sorted(in_file))}
        return cls(planned, index, [lines[rank[line]] for line in in_file])

    @property
    def task(self) -> Any:
        """The task of the spec."""
        _, name = self.planned.selection.cells[self.index]
        return self.planned.folder.spec.tasks[name]

    def scores(self, store: Store) -> CellScores:
        """Scores from the store's records."""
        return score_cell(gather(self.planned, self.index, store), scoring_of(self.task))
