"""Which code that came with the specs or with a model a selection would run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evalc.diagnostics import Diagnostic, Faults
from evalc.hooks.limits import Limits
from evalc.spec import Folder, Selection
from evalc.spec.fields import bytes_of
from evalc.spec.models import Spec, TaskSpec


@dataclass(frozen=True, slots=True)
class UsedHook:
    """A hook `pkg.mod:function`, or the code of a model's folder, and where the spec names it."""

    name: str
    loc: tuple[str | int, ...]
    remote: bool = False


def used_code(folder: Folder, selection: Selection) -> list[UsedHook]:
    """Hooks, and the models whose folders bring code that is trusted."""
    models = sorted({model for model, _ in selection.cells})
    return [*code_of_models(folder, models), *used_hooks(folder, selection)]


def code_of_models(folder: Folder, models: Iterable[str]) -> list[UsedHook]:
    """The models of these whose folders' code would run."""
    return [
        UsedHook(name, ("models", name, "trust_remote_code"), remote=True)
        for name in models
        if folder.spec.models[name].trust_remote_code
    ]


def used_hooks(folder: Folder, selection: Selection) -> list[UsedHook]:
    """Hooks of the selected tasks and of the datasets behind them, each place once."""
    tasks = sorted({task for _, task in selection.cells})
    return [hook for task in tasks for hook in _of_task(folder, task)]


def _of_task(folder: Folder, task: str) -> Iterator[UsedHook]:
    spec = folder.spec.tasks[task]
    for hook in _given_cases(spec):
        yield UsedHook(hook.name, ("tasks", task, *hook.loc))
    datasets = [spec.dataset, *([spec.fewshot.dataset] if spec.fewshot else [])]
    for dataset in dict.fromkeys(datasets):
        if (prepare := folder.spec.datasets[dataset].prepare) is not None:
            yield UsedHook(prepare, ("datasets", dataset, "prepare"))


def _given_cases(spec: TaskSpec) -> Iterator[UsedHook]:
    """The hooks that are called with cases of a task, each at its place in the task."""
    for position, metric in enumerate(spec.metrics):
        if ":" in metric:
            yield UsedHook(metric, ("metrics", position))
    for name, extract in spec.extractions.items():
        if extract.python is not None:
            inner = (name,) if name else ()
            yield UsedHook(extract.python, ("extract", *inner, "python"))


def shown_to(spec: TaskSpec) -> tuple[str | int, ...] | None:
    """Where a task names its first hook that is given whole rows; None where none is."""
    return next((hook.loc for hook in _given_cases(spec)), None)


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


def refuse_code(folder: Folder, used: Sequence[UsedHook]) -> None:
    """Raise Faults for every piece of code, as `--no-code` asks."""
    found = [_refusal(folder, each) for each in used]
    if found:
        raise Faults(found)


def _refusal(folder: Folder, used: UsedHook) -> Diagnostic:
    if used.remote:
        message = f"the code in the folder of model `{used.name}` would run"
        hint = "leave `--no-code` out after reading that code, or select other models"
    else:
        message = f"`{used.name}` would run"
        hint = "leave `--no-code` out after reading that code, or select tasks without hooks"
    message += ", which `--no-code` forbids"
    return Diagnostic("hook-refused", message, folder.place(used.loc), hint=hint)
