"""Hooks of a spec, read before anything is asked: a wrong signature costs no answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.hooks.limits import Takes
from evalc.hooks.signatures import ARGUMENTS, GIVEN, Wrong, inspect, inspect_file
from evalc.plan.functions import installed
from evalc.plan.hooks import UsedHook
from evalc.plan.imports import file_under
from evalc.spec import Folder


def inspect_hooks(folder: Folder, hooks: Iterable[UsedHook]) -> None:
    """Raise Faults for every hook that cannot work, as far as its text tells. Runs nothing."""
    if found := wrong_hooks(folder, hooks):
        raise Faults(found.values())


def wrong_hooks(folder: Folder, hooks: Iterable[UsedHook]) -> dict[UsedHook, Diagnostic]:
    """What is wrong with each hook that cannot work."""
    found = {hook: _wrong(folder, hook) for hook in hooks}
    return {hook: wrong for hook, wrong in found.items() if wrong is not None}


def takes(hook: UsedHook) -> Takes:
    """What the place of a hook in the spec calls it with."""
    if hook.loc[0] == "datasets":
        return "rows"
    return "case" if hook.loc[2] == "metrics" else "text"


def _wrong(folder: Folder, hook: UsedHook) -> Diagnostic | None:
    root, place = folder.base(hook.loc), folder.place(hook.loc)
    module_name = hook.name.partition(":")[0]
    kind = takes(hook)
    if file_under(root, module_name) is None:
        if (absent := _elsewhere(hook, root, module_name, place)) is not None:
            return absent
        wrong = _outside(hook, module_name, kind)
    else:
        wrong = inspect(hook.name, root, kind)
    if wrong is None:
        return None
    code, verb = ("unknown-hook", "loaded") if wrong.absent else ("unfit-hook", "called")
    message = f"hook `{hook.name}` cannot be {verb}: {wrong.why}"
    related: tuple[tuple[Place, str], ...] = ()
    if wrong.file is not None:
        related = ((Place(wrong.file, line=wrong.line), "it stands here"),)
    function = hook.name.rpartition(":")[2].rpartition(".")[2]
    if wrong.absent and file_under(root, module_name) is None:
        hint = (
            f"`{module_name}` is Python's or a package's; name a function that it has, or your own"
        )
        return Diagnostic(code, message, place, hint=hint)
    hint = f"write it as `def {function}({', '.join(ARGUMENTS[kind])})`; {GIVEN[kind]}"
    return Diagnostic(code, message, place, hint=hint, related=related)


def _outside(hook: UsedHook, module_name: str, kind: Takes) -> Wrong | None:
    """The same of a hook from Python's own modules or from a package: by its text, and by what is
    loaded here of Python's own. Nothing is imported for it."""
    found = installed(module_name)
    file = Path(found.origin) if found is not None and found.origin else None
    if file is not None and file.suffix == ".py" and file.is_file():
        depth = module_name.count(".") + (file.name == "__init__.py")
        wrong = inspect_file(hook.name, file, file.parents[depth], kind)
        if wrong is not None:
            return wrong
    loaded = sys.modules.get(module_name)
    if loaded is None or module_name.split(".", maxsplit=1)[0] not in sys.stdlib_module_names:
        return None
    first = hook.name.partition(":")[2].split(".")[0]
    if first in vars(loaded) or hasattr(type(loaded), first) or "__getattr__" in vars(loaded):
        return None
    return Wrong(f"its module has no function `{first}`", None, absent=True)


def _elsewhere(
    hook: UsedHook, root: Path, module_name: str, place: Place | None
) -> Diagnostic | None:
    """A module outside the folder: where Python finds none, neither would a child."""
    top = module_name.split(".", maxsplit=1)[0]
    known = top in sys.stdlib_module_names or (root / top).is_dir()
    if known or installed(top) is not None:
        return None
    message = f"hook `{hook.name}` cannot be loaded: no module `{module_name}` was found"
    hint = 'name it "pkg.mod:function", importable from the folder of the specs'
    return Diagnostic("unknown-hook", message, place, hint=hint)
