"""A random sequence of edits: every step is run, and compared with the oracle and with scratch."""

from __future__ import annotations

import copy
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from counting import CountingEngine
from edits import EDITS
from evaluations import Evaluation, start
from oracle import Request, requests

from evalc.plan import digests, tokenizers
from evalc.run import execute
from workspaces import Done, Workspace

STEPS = (2, 4)
MOST_EDITS = 3
REVERTS = 0.15
RACY_NS = 20_000_000
HOOKS = ("scorer", "shaper")
"""Modules of the user that evaluations import."""


class Engine(Protocol):
    """One of `counting`: notes what it is asked."""

    asked: list[Request]

    def room(self, name: str) -> Any:
        """What `evalc.run.backends.room` gives."""


@dataclass
class Outcome:
    """What sequences did: runs, edits by name, requests that were asked and that were cached."""

    runs: int = 0
    asked: int = 0
    cached: int = 0
    reverts: int = 0
    edits: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """One line for people."""
        edits = self.edits.total()
        return (
            f"{self.runs:,} runs after {edits:,} edits and {self.reverts:,} reverts; "
            f"{self.asked:,} requests asked, {self.cached:,} not asked again"
        )

    def add(self, other: Outcome) -> None:
        """Take the counts of another."""
        self.runs += other.runs
        self.asked += other.asked
        self.cached += other.cached
        self.reverts += other.reverts
        self.edits += other.edits


@contextmanager
def prepared_process() -> Iterator[None]:
    """Bundles without child processes, digests remembered sooner; put back at the end."""
    # imported late: it needs transformers, and only processes that run sequences need it
    from evalc.exec.model import bundle

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYON_NUM_THREADS", "1")
        patch.setattr(
            tokenizers,
            "_extract",
            lambda model, path, trust, _: bundle._write(bundle.bundle(model, trust), path),
        )
        patch.setattr(digests, "RACY_NS", RACY_NS)
        yield


class Sequence:
    """One sequence in a folder of its own. `edits` says what was done, for who reads a failure."""

    def __init__(self, seed: int, root: Path, store: Path, engine: Engine) -> None:
        self.draw = random.Random(seed)
        self.root, self.store, self.engine = root, store, engine
        self.edits: list[str] = []
        self.known: set[Request] = set()
        self.outcome = Outcome()
        self.workspace = Workspace(root, root / "model")

    def run(self) -> Outcome:
        """Run it. Raises AssertionError where evalc, the oracle and a scratch run disagree."""
        evaluation = start()
        history = [copy.deepcopy(evaluation)]
        self._check(evaluation)
        for _ in range(self.draw.randint(*STEPS)):
            if reverted := self.draw.random() < REVERTS:
                evaluation = copy.deepcopy(self.draw.choice(history))
                self.edits.append("revert to an earlier state")
                self.outcome.reverts += 1
            else:
                self._edit(evaluation)
            asked = self._check(evaluation)
            assert not (reverted and asked), "a state of before was asked again"
            history.append(copy.deepcopy(evaluation))
        return self.outcome

    def _edit(self, evaluation: Evaluation) -> None:
        for _ in range(self.draw.randint(1, MOST_EDITS)):
            name = self.draw.choice(list(EDITS))
            done = EDITS[name](evaluation, self.draw)
            if done is not None:
                self.outcome.edits[name] += 1
                self.edits.append(f"{name}: {done}")

    def _check(self, evaluation: Evaluation) -> int:
        """Run incrementally and from scratch; how many requests were asked incrementally."""
        self.edits.append("run")
        evaluation.write(self.root, self.store)
        wanted = requests(evaluation, self.root)
        new = wanted - self.known
        tier = ("--tier", "some") if "tiers.some" in evaluation.tables else ()
        planned = self._call("plan", self.workspace.cache, *tier)["total"]
        assert planned["to_run"] == len(new), f"plan says {planned['to_run']}, not {len(new)}"
        kept = self._asked(self.workspace.cache, new, *tier)
        self.known |= wanted
        assert self._call("plan", self.workspace.cache, *tier)["nothing_to_run"]
        assert kept == self._from_scratch(wanted, *tier), "an empty cache gives another report"
        self.outcome.runs += 1
        self.outcome.asked += len(new)
        self.outcome.cached += len(wanted) - len(new)
        return len(new)

    def _from_scratch(self, wanted: set[Request], *tier: str) -> dict[str, Any]:
        """The report of the same files with an empty cache, in another folder, where nothing that
        an earlier run imported or compiled is found."""
        scratch = self.root / "scratch"
        _link_tokenizers(scratch / "cache", self.store)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(self.workspace.specs, scratch / "specs", ignore=ignored)
        for name in ("model", "copy", "adapter"):
            (scratch / name).symlink_to(self.root / name)
        for module in HOOKS:
            sys.modules.pop(module, None)
        workspace, self.workspace = self.workspace, Workspace(scratch, scratch / "model")
        try:
            return self._asked(self.workspace.cache, wanted, *tier)
        finally:
            self.workspace = workspace
            shutil.rmtree(scratch)

    def _asked(self, cache: Path, expected: set[Request], *tier: str) -> dict[str, Any]:
        """The report of `exec`, without runs; it must ask exactly `expected`, each once."""
        self.engine.asked.clear()
        report = self._call("exec", cache, *tier)
        found = Counter(self.engine.asked)
        more, less = found.keys() - expected, expected - found.keys()
        twice = [request for request, count in found.items() if count > 1]
        assert not more, f"{len(more)} requests asked that are known, as {next(iter(more))}"
        assert not less, f"{len(less)} requests not asked, as {next(iter(less))}"
        assert not twice, f"{len(twice)} requests asked twice, as {twice[0]}"
        if expected:
            assert report["runs"][0]["asked"] == len(expected)
        return {**report, "runs": []}

    def _call(self, command: str, cache: Path, *more: str) -> dict[str, Any]:
        room, execute.room = execute.room, self.engine.room
        try:
            done: Done = self.workspace.call(command, "specs", "--json", "--cache", cache, *more)
        finally:
            execute.room = room
        assert done.code == 0, f"`{command}` failed: {done.text}"
        found: dict[str, Any] = json.loads(done.out)
        return found


def _link_tokenizers(cache: Path, store: Path) -> None:
    """Bundles depend on the tokenizer's files alone, so every cache may have the same."""
    cache.mkdir(parents=True)
    (store / "tokenizers").mkdir(exist_ok=True)
    (cache / "tokenizers").symlink_to(store / "tokenizers")


def run_sequences(
    seeds: range, store: Path, engine: Callable[[], Engine] = CountingEngine
) -> Outcome:
    """Run sequences in this process. Raises AssertionError that names the seed and the edits."""
    total = Outcome()
    with prepared_process():
        for seed in seeds:
            total.add(_run_sequence(seed, store, engine()))
    return total


def _run_sequence(seed: int, store: Path, engine: Engine) -> Outcome:
    with tempfile.TemporaryDirectory(dir=store, prefix=f"seed-{seed}-") as folder:
        sequence = Sequence(seed, Path(folder), store, engine)
        _link_tokenizers(sequence.workspace.cache, store)
        try:
            return sequence.run()
        except Exception as error:
            listed = "\n  ".join(sequence.edits)
            raise AssertionError(f"seed {seed}: {error}\nedits:\n  {listed}") from error
