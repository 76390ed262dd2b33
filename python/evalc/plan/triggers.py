"""The tier that a change asks for, by the `[[triggers]]` of a spec."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evalc.plan.changed import Change
from evalc.spec import Spec
from evalc.spec.globs import path_matches
from evalc.spec.models import TriggerSpec


@dataclass(frozen=True, slots=True)
class Choice:
    """The tier, and why. `trigger` is the position of the one that chose it.

    Both are None where no trigger applies.
    """

    tier: str | None
    trigger: int | None
    why: str


def choose(spec: Spec, files: Collection[str], changes: Sequence[Change]) -> Choice:
    """The first trigger that applies to the changed files and components; else the default."""
    for position, trigger in enumerate(spec.triggers):
        if (why := _applies(trigger, files, changes)) is not None:
            return Choice(trigger.tier, position, why)
    for position, trigger in enumerate(spec.triggers):
        if trigger.default:
            return Choice(trigger.tier, position, "no other trigger applies")
    return Choice(None, None, "no trigger applies")


def _applies(trigger: TriggerSpec, files: Collection[str], changes: Sequence[Change]) -> str | None:
    """Why a trigger applies by its paths or components; None where it does not."""
    if trigger.paths is not None:
        # what holds of each of no files says nothing about a change
        every = bool(files) and all(any(path_matches(g, f) for g in trigger.paths) for f in files)
        globs = ", ".join(f"`{glob}`" for glob in trigger.paths)
        return f"every changed file matches {globs}" if every else None
    for change in changes:
        if change.component in (trigger.changed or ()):
            of = f" of `{change.of}`" if change.of else ""
            verb = "changed" if change.known else "counts as changed"
            return f"`{change.component}`{of} {verb}: {change.why}"
    return None
