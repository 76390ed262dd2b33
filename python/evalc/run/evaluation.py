"""An evaluation as a value: what Python code uses in place of the command line.

    ev = evalc.load("specs", tasks=["mmlu_*"], tier="smoke")
    plan = ev.plan()
    run = ev.run()
    print(run.report.value("mmlu_law", "acc"))

It reads, plans, asks and scores as the commands do, under the same keys in the same cache. Nothing
is printed; what a run says goes to a listener (see `listen`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from datetime import time as clock
from pathlib import Path
from typing import Any

from evalc import env
from evalc.report import Diff, diff_reports
from evalc.run import execute
from evalc.run.documents import Plan, Report, Run
from evalc.run.listener import Listener, current
from evalc.run.recording import keep_result, require_name, tell_shadowed
from evalc.run.request import Request, default_path
from evalc.run.results import Results
from evalc.run.scorer import Scorer
from evalc.run.session import folder_of, leased, opened, outlined
from evalc.score.sandbox import Sandbox
from evalc.spec import select

_RUNNING = threading.Lock()
"""Runs of one process take turns: they would share a device's memory, and loading a model is no
matter for two threads. A run that waited plans after that, and asks nothing twice."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Specs that were checked, and what of them is selected; `load` makes one.

    It may be run again and again, as when a run was interrupted: what is answered is not asked
    again. Files are read anew each time.
    """

    request: Request

    def plan(self, *, listener: Listener | None = None) -> Plan:
        """What a run would ask and cost. Needs no torch. Raises Faults."""
        return Plan(outlined(self.request, listener or current()))

    def run(
        self,
        *,
        allow_code_execution: bool = False,
        sandbox: Sandbox | None = None,
        record: str | None = None,
        listener: Listener | None = None,
    ) -> Run:
        """Ask what the cache does not answer, and report; Ctrl-C and run again to go on.

        Args:
            allow_code_execution: Run programs that the model wrote (`code_pass@k`).
            sandbox: Where they run: "bwrap" (default) or "none".
            record: Keep the result under this name, with which gates can compare.
            listener: Who hears what the run says; default: as `listen` has set it.

        Raises:
            Faults: what is wrong with the specs, the data, a model or the cache.
            ValueError: `allow_code_execution`, which `no_code` forbids.
        """
        hears = listener or current()
        self._refuse_programs(allow_code_execution)
        if record is not None:
            require_name(record)
        began = time.monotonic()
        with _RUNNING, leased(self.request, hears, warn=True) as (planned, store, lease):
            tell_shadowed(planned, store, hears, record)
            scorer = Scorer(planned, store, allow_code_execution, sandbox, hears)
            scorer.warn_of_programs()
            asked = execute.ask_all(scorer, lease, record, hears)
            results = Results.of(
                Scorer(planned, store, allow_code_execution, sandbox, hears), record
            )
            report = results.report(cases=True)
            if record is not None:
                keep_result(report, store, record, hears)
        return Run(asked, time.monotonic() - began, Report(report))

    def report(
        self,
        *,
        allow_code_execution: bool = False,
        sandbox: Sandbox | None = None,
        listener: Listener | None = None,
    ) -> Report:
        """Scores of what the cache holds; nothing is asked. Raises Faults."""
        hears = listener or current()
        self._refuse_programs(allow_code_execution)
        with opened(self.request, hears) as (planned, store):
            tell_shadowed(planned, store, hears)
            scorer = Scorer(planned, store, allow_code_execution, sandbox, hears)
            return Report(Results.of(scorer).report(cases=True))

    def _refuse_programs(self, allow_code_execution: bool) -> None:
        if self.request.no_hooks and allow_code_execution:
            raise ValueError("allow_code_execution runs what a model wrote, which no_code forbids")


def load(
    paths: str | Path | Sequence[str | Path] = (),
    *,
    set: Mapping[str, Any] = {},
    suites: Sequence[str] = (),
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    tier: str | None = None,
    cache: str | Path | None = None,
    no_code: bool = False,
) -> Evaluation:
    """Check specs and select of them.

    Args:
        paths: Spec files and folders; default: `specs` where there is such a folder, else the
            working directory.
        set: Values to override, as {"models.m.path": "/checkpoints/900"}.
        suites, models, tasks: Names, globs, or `tag:name`; default: all.
        tier: Budget of cases; default: that of the suites.
        cache: Cache directory; default: EVALC_CACHE, else the user's cache folder.
        no_code: Refuse specs that run code of their own.

    Raises:
        Faults: everything that is wrong with the specs, or with what is selected.
    """
    given = [paths] if isinstance(paths, str | Path) else paths
    request = Request(
        paths=tuple(Path(path).absolute() for path in given),
        overrides=tuple(f"{key}={_toml(value)}" for key, value in set.items()),
        suites=tuple(suites),
        models=tuple(models),
        tasks=tuple(tasks),
        tier=tier,
        cache=env.cache_directory() if cache is None else Path(cache).expanduser().absolute(),
        cache_given=cache is not None,
        no_hooks=no_code,
        base=Path.cwd(),
    )
    if not request.paths:
        request = replace(request, paths=(default_path().absolute(),))
    select(folder_of(request), suites, models, tasks, tier)
    return Evaluation(request)


def diff(a: Report, b: Report, *, models: tuple[str, str] | None = None) -> Diff:
    """Compare B with A case by case, as `evalc diff`. Raises Faults (`nothing-to-compare`, ...)."""
    return diff_reports(a.as_json, b.as_json, models=models)


def _toml(value: object) -> str:
    """A value as TOML. Raises TypeError for what TOML has no form of."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case date() | clock():
            return value.isoformat()
        case Mapping():
            pairs = (f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items())
            return "{" + ", ".join(pairs) + "}"
        case Sequence():
            return "[" + ", ".join(map(_toml, value)) + "]"
    raise TypeError(f"a spec holds no {type(value).__name__}: {value!r}")
