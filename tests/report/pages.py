"""Pages of reports made by hand, with everything on them and texts that try to break out."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from typing import Any

from cell_builders import choice_cell, generate_cell, perplexity_cell
from reports import PLAN, RUN, SCORING

from evalc.report import Report, build_report
from evalc.report.html import report_page
from evalc.report.shape import ConditionEntry, GateEntry
from evalc.score import CellScores, Scoring, score_cell

HOSTILE = (
    "<script>window.broken = 1</script></script><img src=x onerror='window.broken=1'>"
    "&amp;\"'\u2028{{ 7*7 }}"
)
"""What a dataset or a model may write: mark-up, quotes, a line separator, template syntax."""
CASES = 120
SHOTS = "Here are some examples, which every prompt of this task begins with.\n" * 5


def choices(model: str, wrong: set[int], **others: Any) -> CellScores:
    """A quiz of `CASES` cases; those in `wrong` are answered wrongly. Case 3 is hostile."""

    def row(i: int) -> dict[str, Any]:
        prompt = f"{SHOTS}Question {i}: {HOSTILE if i == 3 else 'which colour is it?'}"
        texts = ["red", HOSTILE if i == 3 else "green"]
        return {"row": {}, "prompt": prompt, "choices": texts, "target": 0}

    logs = [[-2.0, -1.0] if i in wrong else [-1.0, -2.0] for i in range(CASES)]
    parity = ["odd" if i % 2 else "even" for i in range(CASES)]
    cell = choice_cell(logs, [0] * CASES, model=model, row=row, slices={"parity": parity}, **others)
    return score_cell(cell, Scoring(("acc", "acc_norm")))


def sums(model: str, right: int) -> CellScores:
    """Eight sums, `right` of them right; the last answer is hostile."""
    texts = [f"#### {7 if i < right else 8}" for i in range(7)] + [f"{HOSTILE} #### 9"]
    rows = [{"prompt": f"What is {i} + {7 - i}?"} for i in range(8)]
    cell = generate_cell([[text] for text in texts], ["7"] * 8, rows, model=model, task="sums")
    return score_cell(cell, SCORING)


def prose(model: str, scale: float) -> CellScores:
    """A perplexity task."""
    windows = [[-10.0 * scale, -20.0 * scale], [-6.0 * scale]]
    cell = replace(perplexity_cell(windows, [10, 2], [50, 10]), model=model, task="prose")
    return score_cell(cell, Scoring(("word_perplexity",)))


def cells() -> list[CellScores]:
    """Two models under three tasks; `tuned` breaks cases 3, 10 and 20 and fixes case 5."""
    return [
        choices("base", {5, 40}),
        choices("tuned", {3, 10, 20, 40}),
        sums("base", 3),
        sums("tuned", 5),
        prose("base", 1.0),
        prose("tuned", 1.1),
    ]


def condition(state: str, **others: Any) -> ConditionEntry:
    """A condition with three looks."""
    looks = [
        {"seen": 32, "value": 0.9, "low": 0.7, "high": 1.0, "log_for": 0.4, "log_against": -0.7},
        {"seen": 64, "value": 0.95, "low": 0.8, "high": 1.0, "log_for": 2.0, "log_against": -2.0},
        {"seen": 96, "value": 0.96, "low": 0.85, "high": 0.99, "log_for": 5.0, "log_against": -4.0},
    ]
    entry: Any = {
        "key": "min",
        "scope": "value",
        "bound": 0.8,
        "state": state,
        "basis": "none" if state == "inconclusive" else "evidence",
        "value": 0.96,
        "low": 0.85,
        "high": 0.99,
        "seen": 96,
        "total": CASES,
        "looks": 3,
        "rounds": looks,
        "pass_at": 3.0,
        "fail_at": 3.7,
        **others,
    }
    found: ConditionEntry = entry
    return found


def gate(name: str, state: str, *conditions: ConditionEntry, **others: Any) -> GateEntry:
    """A gate on the quiz."""
    entry: Any = {
        "gate": name,
        "model": "tuned",
        "task": "quiz",
        "metric": "acc",
        "baseline": None,
        "state": state,
        "basis": "none" if state == "inconclusive" else "evidence",
        "alpha": 0.05,
        "error": 1.0 if state == "inconclusive" else 0.05,
        "needed": True,
        "why": None,
        "conditions": list(conditions) or [condition(state)],
        **others,
    }
    found: GateEntry = entry
    return found


def gates() -> list[GateEntry]:
    """One gate of each state, the failed one against a baseline."""
    drop = condition("fail", key="max_drop", bound=0.98)
    return [
        gate("floor", "pass"),
        gate("known", "inconclusive", condition("inconclusive", key="half_width", bound=0.01)),
        gate("regression", "fail", drop, baseline="base"),
    ]


def report(**others: Any) -> Report:
    """The report of `cells` with `gates`, its plan and its run."""
    kept: dict[str, Any] = {"gates": gates(), "plan": PLAN, "runs": [RUN], "cases": True, **others}
    return build_report(cells(), tier="quick", **kept)


def page(**others: Any) -> str:
    """The page of `report`."""
    return report_page(report(**others), cells=cells())


def recorded_page() -> str:
    """Two models, each with a result of its own recorded as `main`: `m` breaks 3, and `n` 4."""
    before = [choices("m", {1}), choices("n", {1, 2})]
    after = [choices("m", {1, 3}), choices("n", {1, 2, 4})]
    drop = condition("pass", key="max_drop", bound=0.9)
    judged = [gate("r", "pass", drop, model=model, baseline="main") for model in "mn"]
    recorded = build_report(before, cases=True)["results"]
    made = build_report(after, gates=judged, cases=True)
    return report_page(made, others=[("main", result) for result in recorded])


def browsed(text: str) -> Any:
    """The data of a page's case browser."""
    found = re.search(r'id="case-data">([^<]*)<', text)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def many(right: list[int]) -> CellScores:
    """A quiz of many cases with a prompt each; case i is wrong where right[i] is 0."""

    def row(i: int) -> dict[str, Any]:
        prompt = f"Item {i} of a long list, of which the model is to say whether it is right."
        return {"row": {}, "prompt": prompt, "choices": ["yes", "no"], "target": 0}

    logs = [[-1.0, -2.0] if r else [-2.0, -1.0] for r in right]
    return score_cell(choice_cell(logs, [0] * len(logs), row=row), Scoring(("acc",)))
