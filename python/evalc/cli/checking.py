"""`evalc check`."""

from __future__ import annotations

from typing import Any

import click

from evalc.cli import output
from evalc.cli.options import FORMATS, cache_option, request, spec_options
from evalc.cli.session import folder_of
from evalc.plan import check_data


@click.command("check")
@spec_options
@cache_option
@click.option("--format", "form", type=FORMATS, default="terminal", help="Form of the diagnostics.")
@click.option("--specs-only", is_flag=True, help="Do not read datasets.")
def check_command(form: str, specs_only: bool, **arguments: Any) -> None:
    """Check specs, data and templates: every fault at once, nothing run, nothing written."""
    asked = request(arguments)
    folder = folder_of(asked)
    warnings = [] if specs_only else check_data(folder, asked.cache)
    spec = folder.spec
    if form in ("json", "github") or warnings:
        output.diagnostics(warnings, form)  # type: ignore[arg-type]
    if form not in ("json", "github"):
        output.talk(
            f"ok: {len(spec.models)} models, {len(spec.datasets)} datasets, "
            f"{len(spec.tasks)} tasks, {len(spec.suites)} suites"
        )
