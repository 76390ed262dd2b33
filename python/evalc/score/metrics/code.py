"""code_pass@k and code_pass^k: does the program the model wrote run to its end without an error?

What is kept is the outcome of a program, by its text: metrics with other k, other templates that
render the same text, and repeats that say the same share one run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from evalc.diagnostics import Faults
from evalc.score.answers import case_of
from evalc.score.cache import Missing, Scored
from evalc.score.columns import Measured
from evalc.score.faults import fault
from evalc.score.keys import Scorer, canonical
from evalc.score.metrics.inputs import Inputs
from evalc.score.metrics.repeats import need_repeats, over_repeats, pass_all_k
from evalc.score.programs import SOURCES, assemble, packages_in, run_programs
from evalc.score.sandbox import Sandbox, in_use, require
from evalc.score.scorers import built_in
from evalc.score.scoring import CodeSettings


def code_pass_k(inputs: Inputs, k: int) -> Measured:
    """pass@k over the completions whose program succeeds.

    Runs what the model wrote, so only when `inputs.allow_code_execution`; otherwise, where not
    every outcome is kept, `Faults` (`code-execution-off`).
    """
    need_repeats(inputs, "code_pass@", k)
    return over_repeats(inputs, _passed(inputs), k)


def code_pass_every_k(inputs: Inputs, k: int) -> Measured:
    """pass^k over them, on the same outcomes."""
    need_repeats(inputs, "code_pass^", k)
    return over_repeats(inputs, _passed(inputs), k, pass_all_k)


def _passed(inputs: Inputs) -> list[list[float]]:
    settings = inputs.scoring.code or CodeSettings()
    owners, programs = _programs(inputs, settings)

    box = in_use(inputs.sandbox)

    def keys() -> list[bytes]:
        scorer = program_scorer(settings, box)
        return [scorer.key(canonical(p), canonical(packages_in(p))) for p in programs]

    def compute(coming: Missing) -> Iterator[Scored]:
        missing = list(coming)
        if not missing:
            return
        if not inputs.allow_code_execution:
            raise _refusal(inputs.cell.task)
        require(inputs.sandbox)
        outcomes = run_programs([programs[at] for at in missing], settings, box)
        for at, outcome in zip(missing, outcomes, strict=True):
            yield Scored(at, canonical(outcome.ended), outcome.lasting)

    scores: list[list[float]] = [[] for _ in range(len(inputs.cell))]
    values = inputs.cache.values(len(programs), keys, compute)
    for case, value in zip(owners, values, strict=True):
        scores[case].append(float(value is not None and json.loads(value) == "passed"))
    return scores


def program_scorer(settings: CodeSettings, sandbox: Sandbox = "none") -> Scorer:
    """What decides about a program: the limits, the sandbox and the interpreter. Its
    template does not; it acts through the program's text."""
    limits = [(name, getattr(settings, name)) for name in ("timeout", "memory_mb", "file_mb")]
    return built_in("program", "code", SOURCES, [*limits, ("sandbox", sandbox)])


def _programs(inputs: Inputs, settings: CodeSettings) -> tuple[list[int], list[str]]:
    """The program of every repeat of every answered case, and the case that it belongs to."""
    cell = inputs.cell
    owners, programs = [], []
    for case, own in enumerate(inputs.found):
        view = case_of(cell, case) if own else {}
        for found in own:
            # An indented completion must keep its first spaces: no normalisation here.
            programs.append(assemble(settings.program, view, found or "", cell.task))
            owners.append(case)
    return owners, programs


def _refusal(task: str) -> Faults:
    return fault(
        "code-execution-off",
        f"task `{task}` is scored by running programs that the model wrote",
        hint="pass `--allow-code-execution`; they run in bubblewrap where it is installed",
        notes=("limits on time and memory are set, but this is not a sandbox",),
    )
