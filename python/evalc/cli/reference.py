"""docs/cli.md, written from the commands themselves."""

from __future__ import annotations

import click

from evalc.cli.app import COMMANDS, evalc
from evalc.errors import ExitCode

MEANINGS = {
    ExitCode.DONE: "done, and every gate passed",
    ExitCode.FAILURE: "a failure while running",
    ExitCode.USAGE: "the spec, the data or the command line is wrong; nothing was run",
    ExitCode.GATE_FAILED: "a gate failed",
    ExitCode.GATE_INCONCLUSIVE: "a gate is inconclusive",
    ExitCode.STALE_PLAN: "the plan is stale",
    ExitCode.WORK_REMAINS: "`plan --detailed-exitcode`: work remains",
    ExitCode.CODE_FAILED: "code of the spec failed: a metric, an extraction or a `prepare`",
    ExitCode.INTERRUPTED: "interrupted; what was committed stays",
    ExitCode.TERMINATED: "ended by SIGTERM; what was committed stays",
}


def cli_reference() -> str:
    """Markdown of every command, argument, option and exit code."""
    context = click.Context(evalc, info_name="evalc")
    sections = [_command(name, context) for name in COMMANDS]
    codes = [f"| {int(code)} | {text} |" for code, text in MEANINGS.items()]
    return "\n".join(
        [
            "# Command line",
            "",
            "Written by `evalc.cli.reference`; a test keeps it fresh. PATHS are spec files, or",
            "folders whose `*.toml` are read; without any, `specs` or the working directory.",
            "",
            *sections,
            "## Exit codes",
            "",
            "| code | meaning |",
            "| ---: | --- |",
            *codes,
            "",
        ]
    )


def _command(name: str, parent: click.Context) -> str:
    group = parent.command
    command = group.get_command(parent, name) if isinstance(group, click.Group) else None
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, parent=parent)
    if isinstance(command, click.Group):
        return "\n".join(_command(sub, context) for sub in command.list_commands(context))
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [param for param in command.params if isinstance(param, click.Option)]
    rows = [record for param in options if (record := param.get_help_record(context))]
    lines = [f"## `{usage}`", "", (command.help or "").strip(), ""]
    if rows:
        cells = [f"| `{left.replace('|', '∣')}` | {right} |" for left, right in rows]
        lines += ["| option | meaning |", "| --- | --- |", *cells, ""]
    return "\n".join(lines)
