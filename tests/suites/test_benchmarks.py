"""What the suites of specs/ ask, beside what the benchmarks' files hold."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import tomli

from evalc.plan import Planned
from evalc.score.gather import scoring_of
from evalc.score.programs import assemble, run_programs

ROOT = Path(__file__).resolve().parents[2]
THINK = "A: Let's think step by step."


def cases(planned: Planned, task: str) -> list[dict[str, Any]]:
    """All cases of a task in the order of its file."""
    index = [name for _, name in planned.selection.cells].index(task)
    count = len(planned.cell(index)["case_ids"])
    return sorted((planned.case(index, at) for at in range(count)), key=lambda case: case["line"])


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file; `splitlines` would also cut inside texts, at U+2028."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def lettered(row: dict[str, Any]) -> str:
    """A question of MMLU with its four answers."""
    answers = "".join(
        f"{letter}. {text}\n" for letter, text in zip("ABCD", row["choices"], strict=True)
    )
    return f"{row['question'].strip()}\n{answers}Answer:"


def test_every_row_of_every_benchmark_is_a_case(planned: Planned, shared: Path) -> None:
    asked = Counter(name for _, name in planned.selection.cells)
    assert len(asked) == len(planned.folder.spec.tasks) == 96
    assert set(asked.values()) == {1}
    for counts in planned.summary["cells"]:
        dataset = planned.folder.spec.tasks[counts["task"]].dataset
        path = Path(
            planned.folder.spec.datasets[dataset].path.replace("${data}", str(shared / "data"))
        )
        if path.suffix == ".jsonl":
            assert counts["cases"] == len(rows(path)), path
        assert counts["truncated"] == 0


def test_bbh_asks_with_the_worked_examples_of_its_files(planned: Planned, shared: Path) -> None:
    files = sorted((shared / "data" / "bbh" / "cot").glob("*.txt"))
    assert len(files) == 27
    for path in files:
        worked = path.read_text(encoding="utf-8").split("\n-----\n")[1].rstrip("\n")
        for case in cases(planned, f"bbh_{path.stem}")[:3]:
            question = f"\n\nQ: {case['row']['input']}\n{THINK}\n"
            # The harness breaks the line after the first sentence where a file does not.
            expected = worked.replace(f"{THINK} ", f"{THINK}\n") + question
            assert case["prompt"] == expected
            assert case["target"] == case["row"]["target"]


def test_mmlu_shows_the_dev_cases_in_their_order(planned: Planned, shared: Path) -> None:
    for task in (name for name in planned.folder.spec.tasks if name.startswith("mmlu_")):
        subject = task.removeprefix("mmlu_")
        dev = rows(shared / "data" / "mmlu" / f"{subject}_dev.jsonl")[:5]
        shots = "".join(f"{lettered(row)} {'ABCD'[row['answer']]}\n\n" for row in dev)
        for case in cases(planned, task)[:3]:
            head, _, prompt = case["prompt"].partition("\n\n")
            assert head.endswith(f"(with answers) about {subject.replace('_', ' ')}.")
            assert prompt == shots + lettered(case["row"])


def test_gsm8k_shows_the_first_five_training_cases(planned: Planned, shared: Path) -> None:
    train = rows(shared / "data" / "gsm8k" / "train.jsonl")[:5]
    shots = [f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in train]
    for case in cases(planned, "gsm8k")[:20]:
        question = f"Question: {case['row']['question']}\nAnswer:"
        assert case["prompt"] == "".join(shots) + question
        assert f"#### {case['target']}" in case["row"]["answer"]


def test_truthfulqa_has_one_right_answer_in_mc1_and_several_in_mc2(planned: Planned) -> None:
    assert {sum(case["target"]) for case in cases(planned, "truthfulqa_mc1")} == {1}
    assert max(sum(case["target"]) for case in cases(planned, "truthfulqa_mc2")) > 1
    for case in cases(planned, "truthfulqa_mc2"):
        assert len(case["target"]) == len(case["choices"])


def test_bbq_knows_the_context_that_settles_a_question(planned: Planned) -> None:
    names = [name for _, name in planned.selection.cells]
    for task in (name for name in names if name.startswith("bbq_")):
        settled, polarity = planned.cell(names.index(task))["slices"]
        assert set(settled) == {"ambig", "disambig"}
        assert set(polarity) == {"neg", "nonneg"}
        for case in cases(planned, task)[:50]:
            unknown = case["row"]["answer_info"][f"ans{case['target']}"][1] == "unknown"
            assert unknown == (case["row"]["context_condition"] == "ambig")


def test_humaneval_passes_the_reference_solutions_and_no_empty_ones(
    planned: Planned, shared: Path
) -> None:
    with gzip.open(shared / "data" / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        solutions = {row["task_id"]: row["canonical_solution"] for row in map(json.loads, file)}
    asked = cases(planned, "humaneval")
    assert {case["id"] for case in asked} == set(solutions)
    settings = scoring_of(planned.folder.spec.tasks["humaneval"]).code
    assert settings is not None

    def ended(completions: dict[str, str]) -> list[bool]:
        chosen = [case for case in asked[::16] if case["id"] in completions]
        programs = [
            assemble(settings.program, case, completions[case["id"]], "humaneval")
            for case in chosen
        ]
        return [outcome.passed for outcome in run_programs(programs, settings)]

    assert ended(solutions) == [True] * 11
    assert ended(dict.fromkeys(solutions, "    pass\n")) == [False] * 11


def test_the_demo_ships_excerpts_of_the_benchmarks_with_their_licences(shared: Path) -> None:
    demo = ROOT / "specs" / "demo" / "data"
    for excerpt, whole in (
        ("hellaswag", "hellaswag/hellaswag_val"),
        ("gsm8k", "gsm8k/test"),
        ("gsm8k_shots", "gsm8k/train"),
    ):
        lines = (demo / f"{excerpt}.jsonl").read_bytes().split(b"\n")
        assert set(lines) <= set((shared / "data" / f"{whole}.jsonl").read_bytes().split(b"\n"))
        licence = (demo / f"LICENSE.{excerpt.removesuffix('_shots')}").read_text()
        assert licence.startswith("MIT License\n\nCopyright (c) ")


def test_the_spec_in_the_readme_is_fresh() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = tomli.loads(readme.split("```toml\n", 1)[1].split("```", 1)[0])
    demo = tomli.loads((ROOT / "specs" / "demo" / "demo.toml").read_text(encoding="utf-8"))
    for name, table in shown.items():
        if isinstance(table, dict):
            assert table.items() <= demo[name].items()
