"""The only room that prints: data to stdout, talk to stderr.

Every line passes one of these functions, which make visible what is in it: a value that was put
into a sentence can neither end its line nor steer a terminal, a log or a runner of workflows. What
others print while a command runs passes them too, and is talk.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from evalc import env
from evalc.cli.foreign import Foreign, Watch
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


class _Ours:
    """Our streams while those of Python are for everybody else; `watch` has the descriptors'."""

    def __init__(self) -> None:
        self._before = (sys.stdout, sys.stderr)
        self.out: TextIO | None
        self.err: TextIO | None
        self.out, self.err = self._before
        self.foreign = [Foreign(stream, self.tell) for stream in (self.out, self.err)]
        self.watch: Watch | None = None

    def tell(self, text: str, end: str) -> None:
        """A line of somebody else."""
        if text or end == "\r":
            _talk(commandless(visible(text)) + end)

    def descriptors(self) -> None:
        """Watch the file descriptors too; without a process for it they stay as they are."""
        with suppress(OSError):
            self.watch = Watch(getattr(self.err, "encoding", None) or "utf-8")
            self.out = _on(self.out, 1, self.watch.out)
            self.err = _on(self.err, 2, self.watch.err)

    def end(self) -> None:
        """Pass on what was begun."""
        for each in self.foreign:
            each.end()
        if self.watch is not None:
            for stream in (self.out, self.err):
                if stream is not None and stream not in self._before:
                    with suppress(OSError):
                        stream.close()
            self.out, self.err = self._before
            self.watch.end()


_ours: list[_Ours] = []


def _on(stream: TextIO | None, number: int, moved: int) -> TextIO | None:
    """The same stream on the descriptor that its own was moved to; another one as it is."""
    try:
        if stream is None or stream.fileno() != number:
            return stream
    except (OSError, ValueError):
        return stream
    stream.flush()
    return open(  # lives as long as the command
        moved, "w", encoding=stream.encoding, errors=stream.errors, closefd=False
    )


def _out() -> TextIO | None:
    return _ours[-1].out if _ours else sys.stdout


def _err() -> TextIO | None:
    return _ours[-1].err if _ours else sys.stderr


class _Help(io.TextIOBase):
    """Where click writes help and versions: data, as any other."""

    encoding = "utf-8"
    errors = "strict"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        stream = _out()
        return stream is not None and stream.isatty()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"a text is written, not {type(text).__name__}")
        if text:  # click tries what may be written with nothing
            _data(visible_lines(text))
        return len(text)


@contextmanager
def ours() -> Iterator[None]:
    """In the block Python's streams are those of libraries; stdout is click's, for help."""
    made, before = _Ours(), (sys.stdout, sys.stderr)
    _ours.append(made)
    sys.stdout, sys.stderr = _Help(), made.foreign[1]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        made.end()
        _ours.remove(made)


def apart(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with stdout as one of libraries too: what they print there is no data."""

    @wraps(command)
    def run(*arguments: Any, **named: Any) -> Any:
        before = sys.stdout
        if _ours:
            sys.stdout = _ours[-1].foreign[0]
        try:
            return command(*arguments, **named)
        finally:
            sys.stdout = before

    return run


def silence() -> None:
    """Write no more to stdout, whose reader went away."""
    if (stream := _out()) is not None:
        env.silence(stream)


def watch_descriptors() -> None:
    """From now on until the command ends, what native code writes passes the boundary too."""
    if _ours and _ours[-1].watch is None:
        _ours[-1].descriptors()


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
    stream = _out()
    terminal = stream is not None and stream.isatty()
    console = Console(
        file=written,
        width=None if terminal else WIDEST,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
        no_color=not (stream is not None and terminal and env.wants_color(stream)),
    )
    # what is no table goes on in its line, where a pipe is read by a program
    for part in renderable.renderables if isinstance(renderable, Group) else [renderable]:
        console.print(_shown(part), soft_wrap=isinstance(part, str | Text) and not terminal)
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
    stream = _err()
    return Talker(
        file=stream if stream is not None else io.StringIO(),
        highlight=False,
        markup=False,
        emoji=False,
        no_color=stream is None or not env.wants_color(stream),
    )


def diagnostics(found: Sequence[Diagnostic], form: Format) -> None:
    """Show diagnostics: for machines on stdout, for people on stderr."""
    machine = form in ("json", "github")
    stream = _err()
    color = not machine and stream is not None and env.wants_color(stream)
    text = render(found, form, root=Path.cwd(), color=color)
    if machine:
        _data(text, json=form == "json")
    else:
        _talk(text)


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _data(text: str, json: bool = False) -> None:
    """Raises Faults where stdout takes nothing; a pipe without a reader raises BrokenPipeError."""
    stream = _out()
    if stream is None:
        raise _unwritable("it is closed")
    try:
        _write(stream, text, json)
    except BrokenPipeError:
        raise
    except OSError as error:
        env.silence(stream)
        raise _unwritable((error.strerror or str(error)).lower()) from None


def _talk(text: str) -> None:
    """What nobody can hear is no reason to stop."""
    stream = _err()
    if stream is None:
        return
    try:
        _write(stream, text)
    except OSError:
        env.silence(stream)


def _write(stream: TextIO, text: str, json: bool = False) -> None:
    stream.write(spelled(text, getattr(stream, "encoding", None) or "utf-8", json))
    stream.flush()


def _unwritable(why: str) -> Faults:
    message = f"stdout cannot be written: {why}"
    hint = "send the output to where there is room"
    fault = Diagnostic("output-unwritable", message, hint=hint)
    return Faults([fault], exit_code=ExitCode.FAILURE)
