"""The only room that prints: data to stdout, talk to stderr.

Every line passes one of these functions, which make visible what is in it: a value that was put
into a sentence can neither end its line nor steer a terminal, a log or a runner of workflows.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from evalc import env
from evalc.diagnostics import Diagnostic, Faults, Format, render
from evalc.diagnostics.visible import (
    commandless,
    spelled,
    visible,
    visible_json,
    visible_lines,
)
from evalc.errors import ExitCode

WIDEST = 160


def line(text: str) -> None:
    """Write one line of data to stdout."""
    _data(commandless(visible(text)) + "\n")


def lines(texts: Iterable[str]) -> None:
    """Write lines of data to stdout."""
    _data("".join(commandless(visible(text)) + "\n" for text in texts))


def markdown(text: str) -> None:
    """Write Markdown, or another text whose line breaks are ours, to stdout."""
    _data(_ended(visible_lines(text)))


def document(value: Any) -> None:
    """Write a JSON document to stdout."""
    json_text(json.dumps(value, ensure_ascii=False, indent=2))


def json_text(text: str) -> None:
    """Write a JSON document that is a text already; a parser reads the same values from it."""
    _data(_ended(visible_json(text)), json=True)


def table(renderable: RenderableType) -> None:
    """Write a table or a line to stdout, coloured on a terminal only."""
    written = io.StringIO()
    terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(
        file=written,
        width=None if terminal else WIDEST,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
        no_color=not (terminal and env.wants_color(sys.stdout)),
    )
    console.print(_shown(renderable))
    _data(commandless(written.getvalue()))


def _shown(renderable: RenderableType) -> RenderableType:
    """The same with every text visible; of the kinds that reports are made of, and no other."""
    if isinstance(renderable, str):
        return Text(visible(renderable))
    if isinstance(renderable, Text):
        renderable.plain = visible(renderable.plain)
        return renderable
    if isinstance(renderable, Group):
        return Group(*map(_shown, renderable.renderables))
    if isinstance(renderable, Table):
        for column in renderable.columns:
            column._cells = list(map(_shown, column._cells))
        return renderable
    raise TypeError(f"nobody makes a {type(renderable).__name__} visible")


def talk(text: str) -> None:
    """Say something to the person at the terminal, in one line."""
    _talk(commandless(visible(text)) + "\n")


def talk_lines(text: str) -> None:
    """Say something whose line breaks are ours or Python's, such as a traceback."""
    _talk(_ended(visible_lines(text)))


def say(text: str) -> None:
    """Write workflow commands of ours to stderr; GitHub reads them there as it does on stdout."""
    _talk(text)


class Talker(Console):
    """A console on stderr, for progress."""

    def say(self, text: str) -> None:
        """A line of its own, above the bar if there is one."""
        if self.is_terminal:
            self.print(Text(visible(text)))
        else:
            talk(text)


def talker() -> Talker:
    """A console on stderr, for progress."""
    return Talker(
        file=sys.stderr if sys.stderr is not None else io.StringIO(),
        highlight=False,
        markup=False,
        emoji=False,
        no_color=sys.stderr is None or not env.wants_color(sys.stderr),
    )


def diagnostics(found: Sequence[Diagnostic], form: Format) -> None:
    """Show diagnostics: for machines on stdout, for people on stderr."""
    machine = form in ("json", "github")
    color = not machine and sys.stderr is not None and env.wants_color(sys.stderr)
    text = render(found, form, root=Path.cwd(), color=color)
    if machine:
        _data(text, json=form == "json")
    else:
        _talk(text)


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _data(text: str, json: bool = False) -> None:
    """Raises Faults where stdout takes nothing; a pipe without a reader raises BrokenPipeError."""
    if sys.stdout is None:
        raise _unwritable("it is closed")
    try:
        _write(sys.stdout, text, json)
    except BrokenPipeError:
        raise
    except OSError as error:
        env.silence_stdout()
        raise _unwritable((error.strerror or str(error)).lower()) from None


def _talk(text: str) -> None:
    """What nobody can hear is no reason to stop."""
    if sys.stderr is None:
        return
    try:
        _write(sys.stderr, text)
    except OSError:
        env.silence_stderr()


def _write(stream: TextIO, text: str, json: bool = False) -> None:
    stream.write(spelled(text, getattr(stream, "encoding", None) or "utf-8", json))
    stream.flush()


def _unwritable(why: str) -> Faults:
    message = f"stdout cannot be written: {why}"
    hint = "send the output to where there is room"
    fault = Diagnostic("output-unwritable", message, hint=hint)
    return Faults([fault], exit_code=ExitCode.FAILURE)
