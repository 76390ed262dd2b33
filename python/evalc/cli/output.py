"""The only room that prints: data to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from evalc import env
from evalc.diagnostics import Diagnostic, Format, render

WIDEST = 160


def data(text: str) -> None:
    """Write data to stdout as it is, with a line feed at the end."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def document(value: Any) -> None:
    """Write a JSON document to stdout."""
    data(json.dumps(value, ensure_ascii=False, indent=2))


def table(renderable: RenderableType) -> None:
    """Write a table to stdout, coloured on a terminal only."""
    console = Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else WIDEST,
        highlight=False,
        no_color=not env.wants_color(sys.stdout),
    )
    console.print(renderable)


def talk(text: str) -> None:
    """Say something to the person at the terminal."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say(text: str) -> None:
    """Write lines to stderr as they are; GitHub reads commands there as it does on stdout."""
    sys.stderr.write(text)
    sys.stderr.flush()


def talker() -> Console:
    """A console on stderr, for progress."""
    return Console(file=sys.stderr, highlight=False, no_color=not env.wants_color(sys.stderr))


def diagnostics(found: Sequence[Diagnostic], form: Format) -> None:
    """Show diagnostics: for machines on stdout, for people on stderr."""
    machine = form in ("json", "github")
    text = render(found, form, root=Path.cwd(), color=not machine and env.wants_color(sys.stderr))
    (sys.stdout if machine else sys.stderr).write(text)
