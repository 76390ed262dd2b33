"""What a run says, said at the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from evalc import env
from evalc.cli import output
from evalc.diagnostics import Diagnostic, render
from evalc.run.listener import Listener


class Terminal(Listener):
    """Talk goes to stderr, and what a reviewer should see to GitHub too where it listens."""

    def note(self, text: str) -> None:
        """One line."""
        output.talk(text)

    def warn(self, found: Sequence[Diagnostic], *, annotate: bool = False) -> None:
        """With the lines of the spec."""
        output.diagnostics(found, "terminal")
        if annotate and found and env.on_github():
            output.say(render(found, "github", root=env.github_workspace()))

    def loading(self) -> None:
        """What native code writes is talk."""
        output.watch_descriptors()


TERMINAL = Terminal()
