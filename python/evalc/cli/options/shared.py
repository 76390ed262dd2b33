"""Options that several commands share. What they ask for is carried out in `evalc.run.session`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from evalc import env
from evalc.run.request import Request

F = TypeVar("F", bound=Callable[..., Any])


class Location(click.Path):
    """A path of the command line that can be looked for, whether or not something is there."""

    def __init__(self, *, dir_okay: bool = True) -> None:
        super().__init__(dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            shown = str(path) if len(str(path)) <= SHOWN else f"{str(path)[:SHOWN]}..."
            self.fail(f"`{shown}` cannot be looked for: {why}", param, ctx)
        return path


SHOWN = 60
PLACE, FILE = Location(), Location(dir_okay=False)
FORMATS = click.Choice(["terminal", "line", "json", "github"])


def _cache(_: click.Context, __: click.Parameter, value: str | None) -> Path:
    return Path(value).expanduser().absolute() if value else env.cache_directory()


def spec_options(command: F) -> F:
    """PATHS and `--set`."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a value, as tasks.gsm8k.generate.max_new_tokens=64. Repeatable.",
    )(command)
    return click.argument("paths", nargs=-1, type=PLACE)(command)


def cache_option(command: F) -> F:
    """`--cache`."""
    return click.option(
        "--cache",
        callback=_cache,
        metavar="DIR",
        help="Cache directory. Default: EVALC_CACHE, else the user's cache folder.",
    )(command)


def html_option(command: F) -> F:
    """`--html`."""
    return click.option(
        "--html",
        type=FILE,
        metavar="FILE",
        help="Also write a page into FILE that opens in any browser, offline.",
    )(command)


def junit_option(command: F) -> F:
    """`--junit`."""
    return click.option(
        "--junit",
        type=FILE,
        metavar="FILE",
        help="Write verdicts as JUnit XML into FILE; where the spec is wrong, what is wrong.",
    )(command)


def rehash_option(command: F) -> F:
    """`--rehash`."""
    return click.option(
        "--rehash",
        is_flag=True,
        help="Read weights again, and whatever else is known by its size and times.",
    )(command)


def since_option(command: F) -> F:
    """`--since`."""
    return click.option(
        "--since",
        metavar="REVISION",
        help="Take the tier that the spec's triggers choose for what changed since a git revision.",
    )(command)


def no_code_option(command: F) -> F:
    """`--no-code`."""
    return click.option(
        "--no-code",
        "--no-hooks",
        "no_hooks",
        is_flag=True,
        help="Run no code of the spec (hooks), of a model's folder (trust_remote_code) or of a "
        "model (programs of code_pass); refuse what needs some.",
    )(command)


def selection_options(command: F) -> F:
    """PATHS, `--set`, `--suite`, `--model`, `--task`, `--tier` and `--cache`."""
    for name, help_text in (
        ("task", "Only this task; a name, a glob or tag:NAME. Repeatable."),
        ("model", "Only this model; a name or a glob. Repeatable."),
        ("suite", "Only this suite. Repeatable."),
    ):
        command = click.option(
            f"--{name}", f"{name}s", multiple=True, metavar="NAME", help=help_text
        )(command)
    command = click.option("--tier", metavar="NAME", help="Budget of cases; default: full.")(
        command
    )
    return cache_option(spec_options(no_code_option(command)))


def sandbox_option(command: F) -> F:
    """`--sandbox`."""
    return click.option(
        "--sandbox",
        type=click.Choice(["bwrap", "none"]),
        help="Where programs that the model wrote run. Default: bwrap, without which "
        "--allow-code-execution is refused.",
    )(command)


def refuse_programs(no_code: bool, allow_code_execution: bool) -> None:
    """Raise a usage error where one option allows what the other forbids."""
    if no_code and allow_code_execution:
        raise click.UsageError(
            "--allow-code-execution runs what a model wrote, which --no-code forbids; "
            "leave one of the two out"
        )


def request(arguments: dict[str, Any]) -> Request:
    """The shared options out of a command's arguments; they are removed from it."""

    def names(key: str) -> tuple[str, ...]:
        found: Sequence[str] = arguments.pop(key, ())
        return tuple(found)

    return Request(
        paths=tuple(arguments.pop("paths")),
        overrides=names("overrides"),
        suites=names("suites"),
        models=names("models"),
        tasks=names("tasks"),
        tier=arguments.pop("tier", None),
        cache=arguments.pop("cache"),
        cache_given=_given("cache"),
        no_hooks=arguments.pop("no_hooks", False),
        rehash=arguments.pop("rehash", False),
        no_cache=arguments.pop("no_cache", False),
        since=arguments.pop("since", None),
    )


def _given(parameter: str) -> bool:
    """Whether the command line names a parameter of the command that runs."""
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source(parameter) if context else None
    return source is ParameterSource.COMMANDLINE
