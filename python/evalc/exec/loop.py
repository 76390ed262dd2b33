"""The loop: next pack, run, commit."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evalc.contract.outcomes import NO_ROOM, FailedRequests, Failure, Outcomes
from evalc.contract.packs import Ids, Pack, PackColumns
from evalc.contract.progress import Meter, Observer, Tally
from evalc.contract.settings import Setting
from evalc.exec.answer.generate import run_generations
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.kernels.choice import runs_triton
from evalc.exec.layout.shapes import Shapes
from evalc.exec.memory.budget import Budget, attempted, release
from evalc.exec.memory.free import Memory
from evalc.exec.memory.needs import Needs
from evalc.exec.model.bases import Bases
from evalc.exec.model.capability import capability
from evalc.exec.model.load import LoadedModel
from evalc.exec.model.state import own_state
from evalc.exec.model.tokenizer import load_tokenizer, require_parity
from evalc.exec.passes.engine import Engine
from evalc.exec.passes.forward import Forward
from evalc.exec.selfcheck import Checked, checked
from evalc.plan.sources import ModelSource

KEY_BYTES = 32
SAMPLES = 4

Commit = Callable[[list[bytes], list[bytes]], None]


def execute(  # noqa: PLR0917  the run's parts, in the order of the contract
    source: ModelSource,
    packs: Sequence[Pack],
    settings: Sequence[Mapping[str, Any]],
    keys: bytes,
    commit: Commit,
    observer: Observer,
    tokenizer_probe: Sequence[tuple[str, list[int]]] = (),
    tally: Tally | None = None,
    bases: Bases | None = None,
) -> Tally:
    """Run `packs` in order on the model of `source`, committing after each.

    A pack is looked at twice, to count it and to run it, and is not kept.
    `keys` holds the request keys, 32 bytes each; `commit(keys, payloads)` is called once per pack
    and never cut short by Ctrl-C or SIGTERM. `tokenizer_probe` are texts with the planner's ids. A
    `tally` passed in is filled as the run goes, and so outlives an exception. `bases` load the
    model; with the same ones, models of one base share a load of it.
    Raises Faults when the model cannot be used, FailedRequests when requests have no result
    (everything else is committed first), KeyboardInterrupt between commits.
    """
    tally = Tally() if tally is None else tally
    if packs:
        with asking(
            source, packs, settings, keys, observer, tokenizer_probe, tally, bases
        ) as model:
            failures = model.ask(packs, commit)
        if failures:
            raise FailedRequests(failures)
    return tally


@dataclass(frozen=True)
class Asking:
    """A model that is loaded and checked, and is asked in turns."""

    engine: Engine
    settings: Sequence[Setting]
    keys: bytes
    decoder: Decoder | None

    def ask(self, packs: Sequence[Pack], commit: Commit) -> list[Failure]:
        """Run and commit pack after pack; stops after one in which everything failed."""
        requests, tokens, _ = _totals(packs, self.settings)
        meter = self.engine.meter
        meter.observer.started(requests, tokens)
        with torch.inference_mode():
            return _run(self.engine, packs, self.settings, self.keys, commit, self.decoder)


@contextmanager
def asking(  # noqa: PLR0917  as `execute`, whose first half it is
    source: ModelSource,
    packs: Sequence[Pack],
    settings: Sequence[Mapping[str, Any]],
    keys: bytes,
    observer: Observer,
    tokenizer_probe: Sequence[tuple[str, list[int]]] = (),
    tally: Tally | None = None,
    bases: Bases | None = None,
    generates: bool = False,
) -> Iterator[Asking]:
    """Load and check a model that is to be asked `packs` and, with `generates`, more than those.

    Raises Faults.
    """
    began = time.perf_counter()
    tally = Tally() if tally is None else tally
    decoded = [Setting.of(entry) for entry in settings]
    generates = generates or _totals(packs, decoded)[2]
    with own_state(), (bases or Bases()).lent(source) as loaded:
        tokenizer = None
        if generates or tokenizer_probe:
            tokenizer = load_tokenizer(source.path, source.trust_remote_code)
            require_parity(tokenizer, tokenizer_probe)
        decoder = Decoder.of(tokenizer) if generates else None
        with torch.inference_mode():
            engine, _ = ready(loaded, _samples(packs), decoder, Meter(tally, observer))
        tally.setup_seconds += time.perf_counter() - began
        yield Asking(engine, decoded, keys, decoder)


def _run(  # noqa: PLR0917  a part of `execute`, with what that was given
    engine: Engine,
    packs: Sequence[Pack],
    settings: Sequence[Setting],
    keys: bytes,
    commit: Commit,
    decoder: Decoder | None,
) -> list[Failure]:
    """Run and commit pack after pack; stops after one in which everything failed."""
    failures: list[Failure] = []
    tally = engine.meter.tally
    for pack in packs:
        columns = PackColumns.of(pack)
        names = [_key(keys, int(index)) for index in columns.req_key]
        outcomes = _outcomes(engine, columns, settings, names, decoder)
        tally.peak_memory = max(tally.peak_memory, _peak_memory(engine.forward.device))
        _commit(outcomes, names, commit, tally)
        failures.extend(Failure(names[r], why) for r, why in outcomes.failures.items())
        if failures and not outcomes.payloads:
            break
    return failures


def ready(
    loaded: LoadedModel, samples: Sequence[Ids], decoder: Decoder | None, meter: Meter
) -> tuple[Engine, Checked]:
    """An engine on the path that a model allows and the self-check confirms on `samples`.

    Its budget is what memory allows now. Raises Faults.
    """
    source = loaded.source
    forward = Forward(loaded, Shapes.of(source.device, source.numerics, runs_triton(loaded.device)))
    judged = capability(loaded.model, loaded.decoder)
    if judged.path != "tree":
        meter.observer.note(f"prefixes are not shared for this model: {judged.reason}")
    found = checked(forward, judged, samples, decoder, meter.observer)
    if loaded.device.type == "cuda":
        release()  # what the self-check held counts as free
    needs = Needs.of(loaded.decoder, loaded.model.dtype, loaded.vocab)
    budget = Budget.fitted(source.device, needs, Memory.of(loaded.device))
    return Engine.of(forward, found.capability, budget, meter), found


def _outcomes(
    engine: Engine,
    columns: PackColumns,
    settings: Sequence[Setting],
    keys: Sequence[bytes],
    decoder: Decoder | None,
) -> Outcomes:
    """What became of a pack, after a second try where memory ran out between passes."""

    def work() -> Outcomes:
        try:
            if columns.kind == "loglikelihood" or decoder is None:
                return run_loglikelihoods(engine, columns)
            return run_generations(engine, columns, settings, keys, decoder)
        except RuntimeError:
            engine.forget()
            raise

    found = attempted(work)
    if found is not None:
        return found
    return Outcomes(failures=dict.fromkeys(range(len(columns)), f"its pack {NO_ROOM}"))


def _commit(outcomes: Outcomes, names: Sequence[bytes], commit: Commit, tally: Tally) -> None:
    done = sorted(outcomes.payloads)
    if done:
        with _uninterrupted():
            commit([names[r] for r in done], [outcomes.payloads[r] for r in done])
            tally.requests += len(done)
    tally.packs += 1


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended, then let them be answered."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda told, _frame: held.append(told)) for number in numbers]
    try:
        yield
    finally:
        for number, answer in zip(numbers, before, strict=True):
            signal.signal(number, answer or signal.SIG_DFL)
    if held:
        signal.raise_signal(held[0])


def _key(keys: bytes, index: int) -> bytes:
    key = keys[index * KEY_BYTES : (index + 1) * KEY_BYTES]
    if len(key) != KEY_BYTES:
        raise ValueError(f"malformed pack: there is no request key {index}")
    return key


def _totals(packs: Sequence[Pack], settings: Sequence[Setting]) -> tuple[int, int, bool]:
    """Requests, distinct prompt tokens plus the bound on decoded ones, whether any are decoded.

    Packs may be made when they are looked at, and are let go of one by one.
    """
    requests = tokens = 0
    generates = False
    for pack in packs:
        requests += len(pack.req_node) // 4
        tokens += len(pack.tokens) // 4
        if pack.kind == "generate":
            generates = True
            chosen = np.frombuffer(pack.req_setting, dtype="<u4")
            tokens += sum(settings[int(index)].max_new_tokens for index in chosen)
    return requests, tokens, generates


def _samples(packs: Sequence[Pack]) -> list[Ids]:
    """Inputs of a few requests of the first pack, spread over it."""
    columns = PackColumns.of(packs[0])
    spread = np.unique(np.linspace(0, len(columns) - 1, SAMPLES).astype(np.int64))
    return [columns.ids(int(request)) for request in spread] if len(columns) else []


def _peak_memory(device: torch.device) -> int:
    """Bytes: the most that torch held on an accelerator, or the process's peak resident set."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
