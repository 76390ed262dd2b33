"""Asking the models of a plan: what `exec` and `cache audit` have in common."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from evalc.contract.outcomes import FailedRequests
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.plan import Planned
from evalc.plan.sources import ModelSource, in_turn
from evalc.run.listener import Listener
from evalc.store import Store

PACK_TOKENS = {"cpu": 16384, "cuda": 65536}
"""Distinct input tokens of a pack: what is lost at most when a run is killed."""
PACK_REQUESTS = {"cpu": 1024, "cuda": 4096}
PROBES = 8

Commit = Callable[[list[bytes], list[bytes]], None]


def room(name: str) -> Any:
    """A module of `evalc.exec`, which imports torch and transformers. Raises Faults without."""
    try:
        return importlib.import_module(f"evalc.exec.{name}")
    except ImportError as error:
        message = f"a model cannot be asked without torch and transformers: {error}"
        hint = "install them with `pip install 'evalc[exec]'`"
        found = Diagnostic("missing-package", message, hint=hint)
        raise Faults([found], exit_code=ExitCode.FAILURE) from None


def to_ask(planned: Planned, passes: int = 1) -> list[ModelSource]:
    """The models of which requests remain; those on one base as often as their turns may come."""
    remaining = json.loads(planned.handle.summary())["cells"]
    names = {cell["model"] for cell in remaining if cell["to_run"]}
    sources = [model.source for model in planned.models if model.source.name in names]
    loads = Counter(source.load for source in sources)
    return [s for s in sources for _ in range(passes if loads[s.load] > 1 else 1)]


def ask_again(planned: Planned, store: Store, collect: Commit, listener: Listener) -> None:
    """Ask what remains of a plan and hand the answers to `collect`.

    A request that fails has no answer. The store is only read.
    """
    listener.loading()
    loop = room("loop")
    turns = in_turn([model.source for model in planned.models])
    bases = room("model.bases").Bases(to_ask(planned))
    with listener.progress(planned, planned.priced(store)) as meter:
        for index in turns:
            model = planned.models[index]
            meter.asking(model.source.name)
            device = model.source.device
            packs = planned.handle.packs(index, PACK_TOKENS[device], PACK_REQUESTS[device])
            probes = planned.handle.probes(index, PROBES)
            try:
                loop.execute(
                    model.source,
                    packs,
                    planned.settings,
                    planned.keys,
                    collect,
                    meter,
                    tokenizer_probe=probes,
                    bases=bases,
                )
            except FailedRequests as failures:
                meter.note(str(failures))
