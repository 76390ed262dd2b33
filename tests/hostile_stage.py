"""Where commands run on hostile text: a folder, forked children, and a look at what they say.

Every command runs in a forked child whose file descriptors 1 and 2 are watched, so that what a
library writes there is seen too. The process that forks has to have started no thread.
"""

from __future__ import annotations

import importlib
import json
import os
import pty
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import transformers

import hostile as h
import tokenizer_child
from evalc.cli import main
from evalc.cli.app import COMMANDS
from tiny_models import write_model

CODES = {0, 1, 2, 3, 4, 5, 6, 7}
LATE = (
    *(f"evalc.cli.{module}" for module, _ in COMMANDS.values()),
    *("evalc.exec.model.bases", "evalc.exec.loop", "evalc.exec.doctor", "evalc.contract.progress"),
    *("evalc.report.html", "jinja2", "vl_convert", "sacrebleu"),
)
"""What every child would import otherwise."""
GITHUB = {"GITHUB_ACTIONS": "true"}


@dataclass(frozen=True)
class Ran:
    """How a command ended; on a terminal both streams are one."""

    code: int
    out: str
    err: str


@dataclass
class Stage:
    """A folder to work in, and what was found in it. `inputs` counts strings that were put in."""

    root: Path
    rng: random.Random
    inputs: int = 0
    commands: int = 0
    looks: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in LATE:
            importlib.import_module(name)
        assert transformers.LlamaForCausalLM and transformers.PreTrainedTokenizerFast
        tokenizer_child.stay()
        self.model = write_model(self.root / "tiny")
        self.cache = self.root / "cache"
        self.specs = self.root / "specs"
        os.environ["EVALC_CACHE"] = str(self.cache)
        os.environ["COLUMNS"] = "150"

    # ---- texts

    def text(self, **how: Any) -> str:
        """A hostile text, counted."""
        self.inputs += 1
        return h.hostile(self.rng, **how)

    def plain(self) -> str:
        """One that holds no template syntax."""
        return self.text().replace("{", "(").replace("}", ")")

    def name(self, suffix: str = "") -> str:
        """One that a file can have as its name."""
        text = self.text().replace("/", "_").replace("\0", "").replace("${", "")
        return (text.encode()[:100].decode(errors="ignore").strip(". ") or "x") + suffix

    # ---- running

    def run(
        self,
        *arguments: str,
        more: Mapping[str, str] = MappingProxyType({}),
        encoding: str = "utf-8",
        tty: bool = False,
        before: Callable[[], None] | None = None,
    ) -> Ran:
        """Run a command in a forked child."""
        self.commands += 1
        if tty:
            return self._on_terminal(arguments, more, before)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                self._child(arguments, more, encoding, before)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            out.seek(0)
            err.seek(0)
            texts = [file.read().decode(encoding, "surrogateescape") for file in (out, err)]
        return Ran(code, *texts)

    def _on_terminal(
        self, arguments: Sequence[str], more: Mapping[str, str], before: Callable[[], None] | None
    ) -> Ran:
        pid, terminal = pty.fork()
        if pid == 0:
            self._child(arguments, more, "utf-8", before)
        told = bytearray()
        while True:
            try:
                read = os.read(terminal, 1 << 16)
            except OSError:
                break
            if not read:
                break
            told += read
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # the terminal's own line discipline turns a line feed into two characters
        return Ran(code, told.decode("utf-8", "surrogateescape").replace("\r\n", "\n"), "")

    def _child(
        self,
        arguments: Sequence[str],
        more: Mapping[str, str],
        encoding: str,
        before: Callable[[], None] | None,
    ) -> None:
        code = 70
        try:
            os.chdir(self.root)
            os.environ.update(more)
            sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
            sys.stderr = open(  # noqa: SIM115
                2, "w", encoding=encoding, errors="backslashreplace", closefd=False
            )
            if before is not None:
                before()
            try:
                main(list(arguments))
            except SystemExit as end:
                code = int(end.code or 0)
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    # ---- looking

    def look(self, kind: str, what: str, found: Iterable[str]) -> None:
        """Note what was found in a form of output."""
        self.looks[kind] += 1
        self.faults += [f"{kind}: {fault} [{what[:200]}]" for fault in dict.fromkeys(found)]

    def seen(self, kind: str, ran: Ran, *arguments: str, github: bool = False) -> None:
        """Look at the streams and the exit code of a command."""
        what = " ".join(map(ascii, arguments))
        self.look(kind, what, h.stream_faults(ran.out, tty=kind == "tty", ours=github))
        self.look(f"{kind} stderr", what, h.stream_faults(ran.err, ours=github))
        if ran.code not in CODES:
            self.faults.append(f"{kind}: exit code {ran.code} [{what}] {ran.err[-300:]!r}")

    def every_stream(self, *arguments: str, **how: Any) -> None:
        """A command on a pipe, in a workflow, to ASCII and on a terminal."""
        self.seen("pipe", self.run(*arguments, **how), *arguments)
        ran = self.run(*arguments, more={**GITHUB, "GITHUB_STEP_SUMMARY": self.summary}, **how)
        self.seen("workflow", ran, *arguments, github=True)
        self.seen("ascii", self.run(*arguments, encoding="ascii", **how), *arguments)
        self.seen("tty", self.run(*arguments, tty=True, **how), *arguments)

    @property
    def summary(self) -> str:
        """The job summary."""
        return str(self.root / "summary.md")

    def files(self, what: str) -> None:
        """Look at the files that commands wrote, and remove them."""
        looks: dict[str, Callable[[str], Iterable[str]]] = {
            "summary.md": h.markdown_faults,
            "junit.xml": h.junit_faults,
            "page.html": h.page_faults,
        }
        for name, faults in looks.items():
            path = self.root / name
            if path.is_file():
                self.look(name.replace(".", " "), what, faults(path.read_text(encoding="utf-8")))
                path.unlink()

    def write(self, text: str, name: str = "spec.toml") -> None:
        """A folder of one spec."""
        shutil.rmtree(self.specs, ignore_errors=True)
        self.specs.mkdir()
        (self.specs / name).write_text(text, encoding="utf-8")

    def rows(self, name: str, rows: Iterable[Any]) -> None:
        """A dataset of JSON Lines."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.specs / name).write_text(text, encoding="utf-8")
