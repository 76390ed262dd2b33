"""Options that several commands share, and the session that they open."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from evalc import env
from evalc.cli import output
from evalc.plan import Planned
from evalc.plan.hooks import refuse_hooks, used_hooks
from evalc.plan.ir import Ir, resolve
from evalc.plan.outline import Outline, OutlineFile
from evalc.plan.planned import plan_resolved
from evalc.plan.pricing import priced
from evalc.plan.uses import remember_uses
from evalc.spec import Folder, Selection, load, select
from evalc.store import Store

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = click.Choice(["terminal", "line", "json", "github"])


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    paths: tuple[Path, ...]
    overrides: tuple[str, ...]
    suites: tuple[str, ...]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    tier: str | None
    cache: Path
    no_hooks: bool = False
    rehash: bool = False
    no_cache: bool = False

    def folder(self) -> Folder:
        """The checked spec."""
        return load(self.paths or (default_path(),), self.overrides)

    @contextmanager
    def _store(self) -> Iterator[Store]:
        """The cache's store, or with `--no-cache` one that goes away with the run."""
        with ExitStack() as stack:
            folder = self.cache / "store"
            if self.no_cache:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evalc-")))
            yield stack.enter_context(Store.open(folder))

    @contextmanager
    def planned(self) -> Iterator[tuple[Planned, Store]]:
        """Open the store and plan the selection."""
        with self._resolved() as (folder, selection, ir, store):
            planned = plan_resolved(folder, selection, ir, self.cache, store)
            _warn_of_damage(store)
            yield planned, store

    @contextmanager
    def outlined(self) -> Iterator[tuple[dict[str, Any], Store]]:
        """Open the store and outline the plan of the selection: the priced plan with reasons.

        What is remembered of it is taken where nothing has changed; then nothing is planned.
        """
        with self._resolved() as (folder, selection, ir, store):
            file = OutlineFile.of(ir, folder, self.cache, store)
            found = file.recall() if file and not self.rehash else None
            if found is None:
                planned = plan_resolved(folder, selection, ir, self.cache, store)
                _warn_of_damage(store)
                found = Outline.of(planned, store)
                # damaged values were put aside while the plan looked at them
                if file and store.revision() == file.revision:
                    file.keep(found)
            summary = priced(folder, selection, ir, found.summary, store)
            yield with_reasons(summary, found.reasons), store

    @contextmanager
    def _resolved(self) -> Iterator[tuple[Folder, Selection, Ir, Store]]:
        folder = self.folder()
        selection = select(folder, self.suites, self.models, self.tasks, self.tier)
        if self.no_hooks:
            refuse_hooks(folder, used_hooks(folder, selection))
        with self._store() as store:
            ir = resolve(folder, selection, self.cache, store, self.rehash)
            remember_uses(ir, self.cache, store)
            for line in ir.locked:
                output.talk(line)
            yield folder, selection, ir, store


def with_reasons(
    priced: dict[str, Any], reasons: Sequence[Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    """The priced plan, each cell with the reasons of the cases that remain."""
    for cell, found in zip(priced["cells"], reasons, strict=True):
        cell["reasons"] = found
    return priced


def _warn_of_damage(store: Store) -> None:
    if store.damaged:
        output.talk(
            f"warning: {store.damaged} cached values failed their checksum; they were "
            "put into quarantine and count as never asked"
        )


def default_path() -> Path:
    """`specs` where there is such a folder, else the working directory."""
    return Path("specs") if Path("specs").is_dir() else Path()


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
    return click.argument("paths", nargs=-1, type=click.Path(path_type=Path))(command)


def cache_option(command: F) -> F:
    """`--cache`."""
    return click.option(
        "--cache",
        callback=_cache,
        metavar="DIR",
        help="Cache directory. Default: EVALC_CACHE, else the user's cache folder.",
    )(command)


def rehash_option(command: F) -> F:
    """`--rehash`."""
    return click.option(
        "--rehash",
        is_flag=True,
        help="Read weights again, and whatever else is known by its size and times.",
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
    command = click.option(
        "--no-hooks", is_flag=True, help="Refuse to run functions of the spec's own repository."
    )(command)
    command = click.option("--tier", metavar="NAME", help="Budget of cases; default: full.")(
        command
    )
    return cache_option(spec_options(command))


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
        no_hooks=arguments.pop("no_hooks", False),
        rehash=arguments.pop("rehash", False),
        no_cache=arguments.pop("no_cache", False),
    )
