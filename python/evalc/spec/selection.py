"""Which models answer which tasks, and within which tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from evalc.diagnostics import Diagnostic, Faults
from evalc.spec.folder import Folder
from evalc.spec.matching import is_pattern, matching
from evalc.spec.models import Spec, SuiteSpec
from evalc.spec.references import FULL
from evalc.spec.wording import did_you_mean, listed

Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked of whom: (model, task) cells, unique and sorted by name.

    `tier` is None for the full run. `suites` are those that the cells were taken from.
    """

    cells: tuple[Cell, ...]
    tier: str | None
    suites: tuple[str, ...] = ()


def select(
    folder: Folder,
    suites: Sequence[str] = (),
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    tier: str | None = None,
) -> Selection:
    """Choose cells by suites, and narrow them to models and tasks (names, globs, tags).

    Without suites all suites count; a spec without suites is every model with every task. A model
    or task that is asked for by name but stands in no suite is taken all the same, unless suites
    were named. The tier is the given one, else that of the suites.

    Raises:
        Faults: a name is unknown, a pattern matches nothing, nothing is selected, or the suites
            ask for different tiers.
    """
    spec = folder.spec
    faults: list[Diagnostic] = []
    named = _resolved("suite", suites, dict.fromkeys(spec.suites, ()), faults)
    wanted_models = _resolved("model", models, dict.fromkeys(spec.models, ()), faults)
    tags = {name: task.tags for name, task in spec.tasks.items()}
    wanted_tasks = _resolved("task", tasks, tags, faults)
    if tier is not None and tier not in (*spec.tiers, FULL):
        faults.append(_unknown("tier", tier, [*spec.tiers, FULL]))
    if faults:
        raise Faults(faults)
    chosen = {name: spec.suites[name] for name in named or sorted(spec.suites)}
    cells = {cell for suite in chosen.values() for cell in _suite_cells(spec, suite)}
    if not named and _leaves_out(cells, models, tasks, wanted_models, wanted_tasks):
        cells, chosen = set(product(spec.models, spec.tasks)), {}
    kept = tuple(
        sorted(
            (model, task)
            for model, task in cells
            if (not models or model in wanted_models) and (not tasks or task in wanted_tasks)
        )
    )
    if not kept:
        raise Faults([_nothing(spec)])
    return Selection(kept, _tier(tier, chosen), tuple(chosen))


def _leaves_out(
    cells: set[Cell],
    models: Sequence[str],
    tasks: Sequence[str],
    wanted_models: Sequence[str],
    wanted_tasks: Sequence[str],
) -> bool:
    """True when there are no cells, or a plainly named model or task is in none of them."""
    have_models, have_tasks = {m for m, _ in cells}, {t for _, t in cells}
    plain_models = [m for m in wanted_models if m in models]
    plain_tasks = [t for t in wanted_tasks if t in tasks]
    absent = any(m not in have_models for m in plain_models)
    return not cells or absent or any(t not in have_tasks for t in plain_tasks)


def _suite_cells(spec: Spec, suite: SuiteSpec) -> set[Cell]:
    tags = {name: task.tags for name, task in spec.tasks.items()}
    names: dict[str, Sequence[str]] = dict.fromkeys(spec.models, ())
    models = {model for pattern in suite.models for model in matching(pattern, names)}
    tasks = {task for pattern in suite.tasks for task in matching(pattern, tags)}
    return set(product(models, tasks))


def _resolved(
    what: str,
    patterns: Sequence[str],
    known: Mapping[str, Sequence[str]],
    faults: list[Diagnostic],
) -> list[str]:
    names: set[str] = set()
    for pattern in patterns:
        found = matching(pattern, known)
        names.update(found)
        if not found and is_pattern(pattern):
            message = f"`{pattern}` matches no {what}"
            faults.append(Diagnostic("empty-match", message, hint=_known(known)))
        elif not found:
            faults.append(_unknown(what, pattern, list(known)))
    return sorted(names)


def _unknown(what: str, name: str, known: Sequence[str]) -> Diagnostic:
    hint = did_you_mean(name, known) or _known(known)
    return Diagnostic(f"unknown-{what}", f"no {what} is called `{name}`", hint=hint)


def _known(names: Mapping[str, Sequence[str]] | Sequence[str]) -> str | None:
    return f"use {listed(sorted(names)[:8])}" if names else None


def _tier(tier: str | None, suites: Mapping[str, SuiteSpec]) -> str | None:
    if tier is None:
        wanted = {suite.tier or FULL: name for name, suite in suites.items()}
        if len(wanted) > 1:
            (one, first), (two, second) = list(wanted.items())[:2]
            message = f"the suite `{first}` asks for tier `{one}`, but `{second}` for `{two}`"
            hint = "select one suite, or give the tier with `--tier`"
            raise Faults([Diagnostic("tier-conflict", message, hint=hint)])
        tier = next(iter(wanted), FULL)
    return None if tier == FULL else tier


def _nothing(spec: Spec) -> Diagnostic:
    if not spec.models or not spec.tasks:
        absent = "model" if not spec.models else "task"
        hint = f"define one as `[{absent}s.NAME]`"
        return Diagnostic("empty-selection", f"the spec defines no {absent}", hint=hint)
    message = "no suite runs the selected models on the selected tasks"
    return Diagnostic("empty-selection", message, hint="select other models, tasks or suites")
