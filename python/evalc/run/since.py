"""`--since REVISION`: the tier that the spec's triggers choose for what changed since then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalc.decide.gates import with_baselines
from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.diagnostics.location import located
from evalc.diagnostics.render import named
from evalc.plan.changed import Change, changes
from evalc.plan.history import History, history
from evalc.plan.pricing import nothing_priced
from evalc.plan.triggers import Choice, choose
from evalc.run.listener import SILENT, Listener
from evalc.run.request import Request, default_path
from evalc.run.session import folder_of
from evalc.spec import Folder, select
from evalc.spec.load import load_contents
from evalc.spec.references import FULL, NONE

SHORT = 12


@dataclass(frozen=True, slots=True)
class Since:
    """What changed since a revision, and the tier that it asks for.

    `at` is the place of the trigger as (file, line), both of them None without one.
    """

    past: History
    changes: tuple[Change, ...]
    choice: Choice
    at: tuple[str | None, int | None]

    @property
    def nothing(self) -> bool:
        """Whether nothing is to be run."""
        return self.choice.tier == NONE

    def as_json(self) -> dict[str, Any]:
        """What `plan --json` and reports hold under `since`."""
        file, line = self.at
        choice = self.choice
        trigger = {"position": choice.trigger, "file": file, "line": line}
        return {
            "revision": self.past.revision,
            "base": self.past.base,
            "files": [_printable(name) for name in sorted(self.past.changed)],
            "changes": [
                {"component": c.component, "of": c.of, "why": _printable(c.why), "known": c.known}
                for c in self.changes
            ],
            "trigger": None if choice.trigger is None else trigger,
            "tier": choice.tier,
            "why": _printable(choice.why),
        }

    def told(self) -> str:
        """The same in a sentence."""
        count, (file, line) = len(self.past.changed), self.at
        changed = f"{many(count, 'file')} changed" if count else "no file changed"
        past = f"since {self.past.revision} ({self.past.base[:SHORT]}): {changed}"
        why = _printable(self.choice.why)
        if self.choice.trigger is None:
            return f"{past}; {why}, so the tier is that of a run without `--since`"
        return f"{past}; tier `{self.choice.tier}` by the trigger at {file}:{line}, as {why}"


def settled(
    asked: Request, *files: Path | None, listener: Listener = SILENT
) -> tuple[Request, Since | None]:
    """The request with its tier chosen, and what chose it; as it is without `--since`.

    The cache and the `files` that are to be written are evalc's own, no change of the repository.

    Raises Faults when there is nothing to choose by, or something else settles the tier too.
    """
    if asked.since is None:
        return asked, None
    if asked.tier is not None:
        message = "`--since` chooses the tier by the spec's triggers, and `--tier` names one"
        raise Faults([Diagnostic("since-options", message, hint="leave one of the two out")])
    folder = folder_of(asked)
    if not folder.spec.triggers:
        message = "the spec has no `[[triggers]]`, by which `--since` could choose a tier"
        hint = "add some, as docs/ci.md shows, or name a tier with `--tier`"
        raise Faults([Diagnostic("no-triggers", message, hint=hint)])
    since = _since(folder, asked, [asked.cache, *filter(None, files)])
    listener.note(since.told())
    return replace(asked, tier=since.choice.tier, since=None), since


def nothing() -> dict[str, Any]:
    """The priced plan of the tier `none`."""
    return nothing_priced(NONE)


def _since(folder: Folder, asked: Request, own: Sequence[Path]) -> Since:
    paths = [path.resolve() for path in asked.paths or (default_path(),)]
    first = paths[0] if paths[0].is_dir() else paths[0].parent
    past = history(first, str(asked.since)).without(own)
    # which cases are asked is what is to be found out; which tasks are asked does not depend on it
    selection = select(folder, asked.suites, asked.models, asked.tasks, FULL)
    selection = with_baselines(folder.spec, selection)
    found = changes(folder, _then(past, paths, asked.overrides), selection, past)
    choice = choose(folder.spec, past.changed, found)
    return Since(past, tuple(found), choice, _at(folder, choice))


def _then(past: History, paths: Sequence[Path], overrides: Sequence[str]) -> Folder | str:
    """The spec as it was; a clause where it was none that this evalc reads."""
    contents: dict[Path, bytes] = {}
    for path in paths:
        if path.is_dir():
            contents |= past.folder_before(path, ".toml")
        elif (raw := past.before(path)) is not None:
            contents[path] = raw
    if not contents:
        return f"the spec was not there at `{past.revision}`"
    try:
        return load_contents(contents, overrides)
    except Faults as faults:
        first = faults.diagnostics[0].message
        return f"the spec cannot be read as it was at `{past.revision}` ({first})"


def _at(folder: Folder, choice: Choice) -> tuple[str | None, int | None]:
    if choice.trigger is None:
        return None, None
    place = folder.place(("triggers", choice.trigger))
    if place is None:
        return None, None
    return named(place.path, Path.cwd()), located(place).line


def _printable(text: str) -> str:
    """Text with the bytes of a file's name that are no UTF-8 replaced."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
