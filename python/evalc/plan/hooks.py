"""Which functions of the user's own repository a selection would run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalc.diagnostics import Diagnostic, Faults
from evalc.hooks.limits import Limits
from evalc.spec import Folder, Selection
from evalc.spec.fields import bytes_of
from evalc.spec.models import Spec


@dataclass(frozen=True, slots=True)
class UsedHook:
    """A hook `pkg.mod:function` and where the spec names it."""

    name: str
    loc: tuple[str | int, ...]


def used_hooks(folder: Folder, selection: Selection) -> list[UsedHook]:
    """Hooks of the selected tasks and of the datasets behind them, each place once."""
    tasks = sorted({task for _, task in selection.cells})
    return [hook for task in tasks for hook in _of_task(folder, task)]


def _of_task(folder: Folder, task: str) -> Iterator[UsedHook]:
    spec = folder.spec.tasks[task]
    for position, metric in enumerate(spec.metrics):
        if ":" in metric:
            yield UsedHook(metric, ("tasks", task, "metrics", position))
    for name, extract in spec.extractions.items():
        if extract.python is not None:
            inner = (name,) if name else ()
            yield UsedHook(extract.python, ("tasks", task, "extract", *inner, "python"))
    datasets = [spec.dataset, *([spec.fewshot.dataset] if spec.fewshot else [])]
    for dataset in dict.fromkeys(datasets):
        if (prepare := folder.spec.datasets[dataset].prepare) is not None:
            yield UsedHook(prepare, ("datasets", dataset, "prepare"))


def all_hooks(folder: Folder) -> list[UsedHook]:
    """Hooks of every task, and of every dataset."""
    spec = folder.spec
    found = [hook for task in spec.tasks for hook in _of_task(folder, task)]
    own = [
        UsedHook(dataset.prepare, ("datasets", name, "prepare"))
        for name, dataset in spec.datasets.items()
        if dataset.prepare is not None
    ]
    return list(dict.fromkeys([*found, *own]))


def limits_of(spec: Spec) -> Limits:
    """What the spec lets hooks take."""
    own = spec.hooks
    if own.workers is None:
        return Limits(own.seconds, bytes_of(own.memory))
    return Limits(own.seconds, bytes_of(own.memory), own.workers)


def refuse_hooks(folder: Folder, hooks: Sequence[UsedHook]) -> None:
    """Raise Faults for every hook, as `--no-hooks` asks."""
    found = [
        Diagnostic(
            "hook-refused",
            f"`{hook.name}` would run, which `--no-hooks` forbids",
            folder.place(hook.loc),
            hint="leave `--no-hooks` out, or select tasks without hooks",
        )
        for hook in hooks
    ]
    if found:
        raise Faults(found)
