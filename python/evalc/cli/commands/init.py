"""`evalc init` and `evalc schema`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from evalc.cli import output
from evalc.cli.options.shared import PLACE
from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.spec.schema import schema_text
from evalc.spec.starter import MODEL, starter_files


@click.command("init")
@click.argument("directory", type=PLACE, default=Path("specs"))
@click.option("--model", default=MODEL, metavar="PATH", help="Model directory that the spec names.")
def init_command(directory: Path, model: str) -> None:
    """Write a commented starter spec with small data into DIRECTORY; never overwrite a file."""
    if not model.isprintable():
        hint = "a spec is UTF-8 text, and its paths are written on one line"
        raise click.UsageError(f"--model {model} cannot be written into a spec; {hint}")
    files = starter_files(model)
    # a link to nothing is something too: what is written through it lands elsewhere
    present = [name for name in files if os.path.lexists(directory / name)]
    if present:
        message = f"`{directory / present[0]}` exists already"
        hint = "name another directory"
        raise Faults([Diagnostic("file-exists", message, Place(directory / present[0]), hint=hint)])
    for name, text in files.items():
        target = directory / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            message = f"`{target}` cannot be written: {(error.strerror or str(error)).lower()}"
            hint = "name a directory that can be written"
            raise Faults([Diagnostic("file-unwritable", message, hint=hint)]) from None
        output.line(str(target))
    edit = f"edit `path` in {directory / 'evalc.toml'}, then " if model == MODEL else ""
    output.talk(f"next: {edit}run `evalc plan {directory}`")


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the spec language, for editors."""
    output.json_text(schema_text())
