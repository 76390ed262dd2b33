"""`evalc check`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from evalc.cli import output
from evalc.cli.options.shared import FORMATS, cache_option, no_code_option, request, spec_options
from evalc.diagnostics import Diagnostic, Faults
from evalc.diagnostics.amounts import many
from evalc.plan import check_data
from evalc.plan.hooks import all_hooks
from evalc.plan.inspected import wrong_hooks
from evalc.run.request import default_path
from evalc.spec import doubts, examine


@click.command("check")
@spec_options
@cache_option
@click.option("--format", "form", type=FORMATS, default="terminal", help="Form of the diagnostics.")
@no_code_option
@click.option(
    "--allow-code", is_flag=True, help="Run the functions that datasets name as `prepare`."
)
@click.option("--specs-only", is_flag=True, help="Do not read datasets.")
def check_command(form: str, specs_only: bool, allow_code: bool, **arguments: Any) -> None:
    """Check specs, data and templates: every fault at once, nothing run, nothing written.

    No code of the spec, of a model's folder or of a model runs. What needs some is left out, and
    that is said; with --allow-code datasets are prepared for the check.
    """
    asked = request(arguments)
    if allow_code and asked.no_hooks:
        raise click.UsageError("--allow-code runs what --no-code forbids; leave one of the two out")
    examined = examine(asked.paths or (default_path(),), asked.overrides)
    folder, found = examined.folder, list(examined.faults)
    if folder is None:
        raise Faults(found)
    hooks = wrong_hooks(folder, all_hooks(folder))
    found += hooks.values()
    prepared = [name for name, one in folder.spec.datasets.items() if one.prepare is not None]
    unfit = [str(hook.loc[1]) for hook in hooks if hook.loc[0] == "datasets"]
    skipped = unfit if allow_code else prepared
    warnings: list[Diagnostic] = []
    if not specs_only:
        try:
            # snapshots of what is read go away with the check
            with tempfile.TemporaryDirectory(prefix="evalc-check-") as snapshots:
                warnings = check_data(folder, Path(snapshots), skipped)
        except Faults as faults:
            if not found:
                raise
            found += faults.diagnostics
    if found:
        raise Faults(found)
    warnings = [*doubts(folder), *warnings]
    if not specs_only:
        _tell(skipped)
    spec = folder.spec
    if form in ("json", "github") or warnings:
        output.diagnostics(warnings, form)  # type: ignore[arg-type]
    if form not in ("json", "github"):
        output.talk(
            f"ok: {many(len(spec.models), 'model')}, {many(len(spec.datasets), 'dataset')}, "
            f"{many(len(spec.tasks), 'task')}, {many(len(spec.suites), 'suite')}"
        )


def _tell(skipped: Sequence[str]) -> None:
    if skipped:
        names = ", ".join(f"`{name}`" for name in sorted(skipped))
        output.talk(
            f"not checked: the rows of {names} and the tasks that read them, as `prepare` would "
            "have to run; read its code, then use `--allow-code`"
        )
