"""A folder with specs, data, a tiny model and a cache, and the command line run on it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalc.cli import main
from evalc.plan import Planned, plan
from evalc.spec import load, select
from evalc.store import Store
from evalc.store.environment import RECORDS
from tiny_models import write_rows

ROOT = Path(__file__).resolve().parent.parent
COLOURS = ("red", "green", "blue", "white")
QUIZ = """
[datasets.quiz]
path = "quiz.jsonl"
[tasks.quiz]
dataset = "quiz"
type    = "multiple_choice"
prompt  = "{{ question }}"
choices = "{{ choices }}"
target  = "{{ answer }}"
metrics = ["acc", "acc_norm"]
"""
SUMS = """
[datasets.sums]
path = "sums.jsonl"
[tasks.sums]
dataset  = "sums"
type     = "generate"
prompt   = "{{ question }} ="
target   = "{{ answer }}"
generate = { max_new_tokens = 4, stop = ["\\n"] }
metrics  = ["exact_match"]
"""


def quiz_rows(count: int) -> list[dict[str, Any]]:
    """Rows of a quiz with four choices."""
    return [
        {"question": f"Q {n}: which of the colours is it?", "choices": COLOURS, "answer": n % 4}
        for n in range(count)
    ]


def sum_rows(count: int) -> list[dict[str, str]]:
    """Rows of additions."""
    return [{"question": f"{n} + {n + 1}", "answer": str(2 * n + 1)} for n in range(count)]


SMALL_PACKS = """
import sys
from evalc.cli import main
from evalc.run import turns
turns.PACK_REQUESTS.update(cpu=16, cuda=16)
main(sys.argv[1:])
"""
"""The command line with many small commits, so that there is much to be cut off."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """Everything that was said."""
        return self.out + self.err


@dataclass(frozen=True)
class Workspace:
    """Specs in `specs/`, their data beside them; `model` is what `[models.m]` names."""

    root: Path
    model: Path

    @property
    def specs(self) -> Path:
        """The folder of the specs."""
        return self.root / "specs"

    @property
    def cache(self) -> Path:
        """The cache directory."""
        return self.root / "cache"

    def header(self) -> str:
        """The first lines of a spec: the version and the model `m`."""
        return f"evalc = 1\n[models.m]\npath = {json.dumps(str(self.model))}\n"

    def write(self, *parts: str, name: str = "spec.toml", header: bool = True) -> Path:
        """Write a spec file from parts, behind the header."""
        self.specs.mkdir(exist_ok=True)
        text = "".join([self.header() if header else "evalc = 1\n", *parts])
        path = self.specs / name
        path.write_text(text, encoding="utf-8")
        return path

    def rows(self, name: str, rows: Sequence[Any]) -> Path:
        """Write a dataset of JSON Lines."""
        return write_rows(self.specs / name, rows)

    def quiz(self, count: int = 6) -> None:
        """A spec with one quiz."""
        self.write(QUIZ)
        self.rows("quiz.jsonl", quiz_rows(count))

    def both(self, count: int = 6) -> None:
        """A spec with a quiz and sums."""
        self.write(QUIZ, SUMS)
        self.rows("quiz.jsonl", quiz_rows(count))
        self.rows("sums.jsonl", sum_rows(count))

    def call(self, *arguments: str | Path) -> Done:
        """Run a command in this process, in the workspace's root."""
        out, err = io.StringIO(), io.StringIO()
        before = Path.cwd()
        os.chdir(self.root)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    main([str(argument) for argument in arguments])
                    code = 0
                except SystemExit as end:
                    code = int(end.code or 0)
        finally:
            os.chdir(before)
        return Done(code, out.getvalue(), err.getvalue())

    def environment(self, more: Mapping[str, str] = {}) -> dict[str, str]:
        """The environment of child processes; one thread is enough for a tiny model."""
        own = {"PYTHONPATH": str(ROOT / "python"), "EVALC_CACHE": str(self.cache)}
        return {**os.environ, **own, "OMP_NUM_THREADS": "1", **more}

    def start(self, *arguments: str | Path, script: str | None = None) -> subprocess.Popen[str]:
        """Start a command in a process of its own; `script` is what takes its arguments."""
        program = ["-m", "evalc"] if script is None else ["-c", script]
        return subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path) -> Done:
        """Run a command in a process of its own."""
        process = self.start(*arguments)
        out, err = process.communicate()
        return Done(process.returncode, out, err)

    def python(self, script: str, *arguments: str, **more: str) -> Done:
        """Run a script in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=self.root,
            env=self.environment(more),
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def store(self) -> Store:
        """The store, to look into."""
        return Store.open(self.cache / "store")

    def planned(self, *overrides: str, **narrowed: Any) -> Planned:
        """Plan what the specs say; `narrowed` goes to `select`."""
        folder = load([self.specs], overrides)
        with self.store() as store:
            return plan(folder, select(folder, **narrowed), self.cache, store)

    def records(self) -> dict[bytes, bytes]:
        """Every record as it is stored, by key."""
        with self.store() as store, store._begin() as txn:
            cursor = txn.cursor(db=store._buckets[RECORDS])
            return {bytes(key): bytes(value) for key, value in cursor}

    def untouched(self) -> bool:
        """Whether the store holds neither a record nor a run."""
        if not (self.cache / "store").is_dir():
            return True
        with self.store() as store:
            return store.records() == 0 and store.runs() == []
