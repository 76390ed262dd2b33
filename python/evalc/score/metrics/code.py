"""code_pass@k: does the program the model wrote run to its end without an error?"""

from __future__ import annotations

from evalc.score.answers import case_of
from evalc.score.columns import Measured
from evalc.score.faults import fault
from evalc.score.metrics.inputs import Inputs
from evalc.score.metrics.repeats import need_repeats, over_repeats
from evalc.score.programs import assemble, run_programs
from evalc.score.scoring import CodeSettings


def code_pass_k(inputs: Inputs, k: int) -> Measured:
    """pass@k over the completions whose program succeeds.

    Runs what the model wrote, so only when `inputs.allow_code_execution`; otherwise `Faults`
    (`code-execution-off`).
    """
    cell = inputs.cell
    if not inputs.allow_code_execution:
        raise fault(
            "code-execution-off",
            f"task `{cell.task}` is scored by running programs that the model wrote",
            hint="pass `--allow-code-execution`, in a container that holds nothing of value",
            notes=("limits on time and memory are set, but this is not a sandbox",),
        )
    need_repeats(inputs, "code_pass", k)
    settings = inputs.scoring.code or CodeSettings()
    programs, owners = [], []
    for case in range(len(cell)):
        if not inputs.answered[case]:
            continue
        view = case_of(cell, case)
        for text in cell.texts_of(case):
            # An indented completion must keep its first spaces: no normalisation here.
            found = inputs.extractor.find(text, view)
            programs.append(assemble(settings.program, view, found or "", cell.task))
            owners.append(case)
    scores: list[list[float]] = [[] for _ in range(len(cell))]
    for case, outcome in zip(owners, run_programs(programs, settings), strict=True):
        scores[case].append(float(outcome.passed))
    return over_repeats(inputs, scores, k)
