"""The command group. A command's module is imported only when it is called for."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from evalc import __version__, env
from evalc.cli import output
from evalc.cli.near import Near
from evalc.cli.signals import answered, outcome
from evalc.diagnostics import Faults, render
from evalc.errors import EvalcError, ExitCode

COMMANDS = {
    "init": ("commands.init", "Write a commented starter spec with small data."),
    "check": ("commands.check", "Check specs, data and templates; run nothing."),
    "lock": ("commands.lock", "Pin what comes from the Hub in evalc.lock."),
    "plan": ("commands.plan", "Show what an evaluation would ask and cost."),
    "exec": ("commands.exec", "Ask the models what remains, and report."),
    "report": ("commands.report", "Show scores from what the cache holds."),
    "diff": ("commands.diff", "Compare two models or two reports case by case."),
    "doctor": ("commands.doctor", "Say how models will run on this machine, or why not."),
    "explain": ("commands.explain", "Say why a task or a case would run again."),
    "cache": (
        "commands.cache.group",
        "Look into the cache; check, audit, shrink, carry and merge it.",
    ),
    "schema": ("commands.init", "Print the JSON Schema of the spec language."),
}


class Commands(Near):
    """Commands by name, loaded on demand so that `plan` starts fast and never sees torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its module imported."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"evalc.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        _set_apart(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _set_apart(command: click.Command) -> None:
    """Let what libraries print while a command runs be talk."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _set_apart(each)
    elif command.callback is not None and command.callback not in _APART:
        command.callback = output.apart(command.callback)
        _APART.add(command.callback)


_APART: set[Any] = set()
"""Commands that are set apart already: a process may run a command twice."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evalc")
def evalc() -> None:
    """A compiler for model evaluations: asks a model only what it has never been asked."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code. No traceback reaches a user."""
    env.hold_streams()
    if not env.stands():
        output.talk("error: the working directory has been removed; run evalc from one that exists")
        sys.exit(int(ExitCode.FAILURE))
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(int(_run(arguments)))


def _run(arguments: list[str]) -> int:
    try:
        with answered(), output.ours():
            result: Any = evalc.main(args=arguments, prog_name="evalc", standalone_mode=False)
    except click.ClickException as error:
        return _misused(error)
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        said, code = outcome(error)
        output.talk(said)
        return code
    except Exception as error:
        try:
            return _failed(error, arguments)
        except Faults as unheard:
            # stdout, which a machine reads, takes nothing: a person may still hear of it
            output.diagnostics(unheard.diagnostics, "terminal")
            return unheard.exit_code
        except BrokenPipeError:
            output.silence()
            return ExitCode.FAILURE
    return int(result) if isinstance(result, int) else ExitCode.DONE


def _misused(error: click.ClickException) -> int:
    """Say how a command is used, as click does, with arguments made visible."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        output.talk_lines(error.format_message())
        return ExitCode.USAGE
    if isinstance(error, click.UsageError) and error.ctx is not None:
        for line in error.ctx.get_usage().splitlines():
            output.talk(line)
        output.talk(f"Try '{error.ctx.command_path} {error.ctx.help_option_names[0]}' for help.")
        output.talk("")
    output.talk(f"Error: {error.format_message()}")
    return ExitCode.USAGE


def _failed(error: Exception, arguments: list[str]) -> int:
    if isinstance(error, Faults):
        form = "json" if "--json" in arguments else _format(arguments)
        if any(found.code == "output-unwritable" for found in error.diagnostics):
            form = "terminal"
        output.diagnostics(error.diagnostics, form)  # type: ignore[arg-type]
        if form != "github" and env.on_github():
            output.say(render(error.diagnostics, "github", root=env.github_workspace()))
        return error.exit_code
    if isinstance(error, EvalcError):
        output.talk(f"error: {error}")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        output.silence()
        return ExitCode.FAILURE
    # a bug of ours: still no traceback unless it is asked for
    if env.wants_traceback():
        import traceback  # noqa: PLC0415  costs milliseconds, rarely wanted

        output.talk_lines("".join(traceback.format_exception(error)))
        return ExitCode.FAILURE
    output.talk(f"internal error: {type(error).__name__}: {error}")
    output.talk("hint: set EVALC_TRACEBACK=1 and report what it prints")
    return ExitCode.FAILURE


def _format(arguments: list[str]) -> str:
    """The `--format` asked for, found without parsing: the fault may be in the parsing."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--format="):
            return argument.partition("=")[2]
        if argument == "--format" and position + 1 < len(arguments):
            return arguments[position + 1]
    return "terminal"
