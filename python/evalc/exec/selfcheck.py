"""Before anything counts: does the engine reproduce the plain model call?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.exec.budget import Budget, attempted
from evalc.exec.capability import Capability, Path
from evalc.exec.engine import Engine
from evalc.exec.forest import Stream
from evalc.exec.forward import Forward
from evalc.exec.generate import run_generations
from evalc.exec.loglikelihood import run_loglikelihoods
from evalc.exec.outcomes import LIKELIHOOD
from evalc.exec.packs import Ask, Ids, PackColumns, built_pack
from evalc.exec.places import same_everywhere, widths_of
from evalc.exec.progress import Meter, Observer, Silence, Tally
from evalc.exec.settings import Setting
from evalc.exec.tiles import Tile, next_tile
from evalc.exec.transcripts import Decoder
from evalc.exec.walking import computed

TOLERANCE = {"float32": 1e-3, "float16": 3e-2, "bfloat16": 1e-1}
WEAKER: dict[Path, tuple[Path, ...]] = {
    "tree": ("tree", "padded", "uniform"),
    "padded": ("padded", "uniform"),
    "uniform": ("uniform",),
}
PREFIX = 32
SUFFIXES = (7, 12, 18, 25)
SCORED = 3
DRAFTED = 3
SHIFT = 3
"""How many rows lower than in the usual pass a token stands in one whose bits are compared."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """How far a path is from the plain model call, relative to it, and from generating by it.

    `drafts` is None where generation was not tried. A path that is not `steady` gives a token other
    bits at another place of a pass, where numerics are to be stable.
    """

    path: Path
    scores: float
    drafts: float | None
    steady: bool = True

    @property
    def gap(self) -> float:
        """The larger difference."""
        return max(self.scores, self.drafts or 0.0) if self.steady else float("inf")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the self-check found: the path to take, the paths tried, the difference allowed.

    `rows` were compared; none where there was nothing to compare with. `plain_head` tells whether
    states picked before the output head give the model's own logits.
    """

    capability: Capability
    allowed: float
    trials: tuple[Trial, ...] = ()
    rows: int = 0
    plain_head: bool = True


def checked(
    forward: Forward,
    judged: Capability,
    samples: Sequence[Ids],
    decoder: Decoder | None,
    observer: Observer,
) -> Checked:
    """The best path that agrees with the plain model call on rows cut from real requests.

    `samples` are inputs of requests; with a `decoder`, generation is checked too. A model whose
    plain call is not finite has nothing to agree with and passes. Raises Faults when not even
    single rows agree, or a pass of the usual size does not fit into memory.
    """
    rows = trial_rows(samples, forward.loaded.source.max_length - DRAFTED)
    allowed = _allowed(forward)
    if not rows:
        return Checked(judged, allowed)
    plain_head = _fitting(forward, lambda: forward.heads_agree(rows[0]))
    if not plain_head:
        observer.note("the model's output head is not a plain one: whole logits are computed")
    plain = [_fitting(forward, partial(forward.plain_logits, row)) for row in rows]
    if not all(bool(torch.isfinite(logits).all()) for logits in plain):
        return Checked(judged, allowed, plain_head=plain_head)
    trials: list[Trial] = []
    for path in WEAKER[judged.path]:
        way = judged if path == judged.path else Capability(path, "a self-check failed")
        scores = _likelihood_gap(trial_engine(forward, way), rows, plain)
        if scores <= allowed:
            tiles = _equal_counts(forward, way, samples, observer)
            if tiles is None:
                trials.append(Trial(path, scores, None, steady=False))
                continue
            way = replace(way, tiles=tiles)
        trials.append(_generated(forward, way, rows, scores, decoder))
        if trials[-1].gap <= allowed:
            if path != judged.path:
                observer.note(f"prefixes are not shared for this model: path `{path}`")
            return Checked(way, allowed, tuple(trials), len(rows), plain_head)
    raise Faults([_refusal(forward, trials[-1].gap, allowed)], exit_code=ExitCode.FAILURE)


def _allowed(forward: Forward) -> float:
    source = forward.loaded.source
    return TOLERANCE["bfloat16" if source.quantization is not None else source.dtype]


def _generated(
    forward: Forward, way: Capability, rows: Sequence[Ids], scores: float, decoder: Decoder | None
) -> Trial:
    """The trial of a path whose scores are so far off; it generates only where these agree."""
    if decoder is None or scores > _allowed(forward):
        return Trial(way.path, scores, None)
    return Trial(way.path, scores, generation_gap(trial_engine(forward, way), rows, decoder))


def _fitting(forward: Forward, work: Callable[[], T]) -> T:
    """What `work` returns. Raises Faults when it does not fit into memory."""
    found = attempted(work)
    if found is None:
        raise Faults([_no_room(forward)], exit_code=ExitCode.FAILURE)
    return found


def _no_room(forward: Forward) -> Diagnostic:
    source, stable = forward.loaded.source, forward.shapes.padded
    smaller = 'set `numerics = "fast"`, whose passes may be smaller, or ' if stable else ""
    return Diagnostic(
        "out-of-memory",
        f"a pass of {forward.shapes.tile} tokens through model `{source.name}` does not fit into "
        f"the memory of `{source.device}`",
        hint=f"{smaller}free memory on the device",
    )


def _refusal(forward: Forward, gap: float, allowed: float) -> Diagnostic:
    return Diagnostic(
        "self-check-failed",
        f"model `{forward.loaded.source.name}` gives other results in batches than alone: "
        f"relative difference {gap:.2g}, allowed {allowed:.2g}",
        hint='try `dtype = "float32"`, and report the architecture if that does not help',
    )


def trial_rows(samples: Sequence[Ids], longest: int) -> list[Ids]:
    """Rows of up to `longest` tokens that share a prefix, cut from the samples.

    Their lengths differ as far as there is room; none where there is hardly any.
    """
    usable = [ids for ids in samples if len(ids) > SCORED + 1]
    if not usable or longest <= SCORED + 1:
        return []
    head = max(0, min(PREFIX, len(usable[0]) - SCORED, longest - SUFFIXES[-1]))
    prefix = usable[0][:head]
    rows = []
    for number, length in enumerate(SUFFIXES):
        source = usable[number % len(usable)]
        rows.append(np.concatenate([prefix, source[-length - number :][:length]])[:longest])
    return rows


def trial_engine(forward: Forward, trial: Capability) -> Engine:
    budget = replace(Budget.of(forward.loaded.source.device), overhead=0)
    return Engine.of(forward, trial, budget, Meter(Tally(), Silence()))


def _equal_counts(
    forward: Forward, trial: Capability, samples: Sequence[Ids], observer: Observer
) -> tuple[int, ...] | None:
    """The token counts below the usual one, falling, at which a pass gives the same bits.

    None where not even two passes of the usual size do: then rows have to be computed alone.

    Finds those of the output head too, which are the forward's. States of one path are compared,
    each in another row than in the usual pass, and elementwise operations on equal rows (`places`):
    a difference of one of a row's numbers can be lost on the way to its state. Where two usual
    passes do not agree, torch gets fewer threads: more than two may share an elementwise operation
    at places inside a vector.
    """
    shapes = forward.shapes
    if trial.path != "tree" or not shapes.padded:
        return ()
    longest = min(forward.loaded.source.max_length, shapes.steps[-1] + SHIFT)
    path = np.resize(np.concatenate(samples), longest)
    engine = trial_engine(forward, trial)

    def compared() -> torch.Tensor:
        tile, found = _states(engine, path, 0, shapes.tile)
        engine.store.keep(tile.slots, tile.path)
        return found

    widths, dtype = widths_of(forward.loaded.model), forward.loaded.model.dtype

    def equal(width: int) -> bool:
        if forward.device.type == "cpu" and not same_everywhere(width, widths, dtype):
            return False
        _, found = _states(engine, path, SHIFT, width)
        return _same_bits(found, usual[SHIFT : SHIFT + len(found)])

    usual = compared()
    while not equal(shapes.tile):
        threads = torch.get_num_threads()
        if threads <= 2 or forward.device.type != "cpu":
            observer.note("a token's bits depend on its place in a pass of this model")
            return None
        torch.set_num_threads(1 << (threads - 1).bit_length() - 1)
        observer.note(
            f"with {threads} threads a token's bits depend on its place in a pass: "
            f"{torch.get_num_threads()} are used"
        )
        usual = compared()
    forward.heads = () if forward.full else _equal_heads(forward, usual)
    return tuple(width for width in reversed(shapes.steps) if equal(width))


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(*(part.contiguous().view(torch.uint8) for part in (one, other)))


def _states(engine: Engine, path: Ids, held: int, width: int) -> tuple[Tile, torch.Tensor]:
    """The states of at most `width` ids of a path, computed in one pass on the first `held`."""
    count = min(width, len(path) - held)
    places = np.arange(held, held + count)
    stream = Stream(path[places], places, places, np.array([0, count]))
    engine.store.truncate(held)
    engine.store.room(len(path))
    known = np.resize(path, len(engine.store.slots))
    tile = next_tile(stream, 0, width, (engine.store.slots, known), engine.shapes)
    found = computed(engine, tile, np.arange(count))
    if found is None:
        raise Faults([_no_room(engine.forward)], exit_code=ExitCode.FAILURE)
    return tile, found


def _equal_heads(forward: Forward, states: torch.Tensor) -> tuple[int, ...]:
    """Row counts at which the head gives the same bits for `states`, each in another row."""
    usual = _fitting(forward, lambda: forward.logits(states[: forward.shapes.head]))
    found = []
    for width in (step for step in forward.shapes.steps if step < forward.shapes.head):
        some = states[SHIFT : min(width + SHIFT, len(usual))]
        logits = _fitting(forward, partial(forward.logits, some, width))
        if _same_bits(logits, usual[SHIFT : SHIFT + len(some)]):
            found.append(width)
    return tuple(found)


def scored(engine: Engine, rows: Sequence[Ids]) -> dict[int, bytes]:
    """Records of rows by their number. Raises Faults when they do not fit into memory."""
    asks = [Ask(row.tolist(), SCORED, number) for number, row in enumerate(rows)]
    columns = PackColumns.of(built_pack("loglikelihood", asks))
    outcomes = run_loglikelihoods(engine, columns)
    if outcomes.lacked_memory:
        raise Faults([_no_room(engine.forward)], exit_code=ExitCode.FAILURE)
    return outcomes.payloads


def _likelihood_gap(engine: Engine, rows: Sequence[Ids], plain: Sequence[torch.Tensor]) -> float:
    """The largest difference of a sum, relative to its size (at least 1 nat)."""
    payloads = scored(engine, rows)
    gaps = []
    for number, (row, logits) in enumerate(zip(rows, plain, strict=True)):
        if number not in payloads:
            return float("inf")
        wanted = torch.from_numpy(row[-SCORED:]).to(logits.device)
        chances = torch.log_softmax(logits[-SCORED - 1 : -1], dim=-1)
        expected = float(chances.gather(1, wanted[:, None]).double().sum())
        found = LIKELIHOOD.unpack(payloads[number])[0]
        gaps.append(abs(found - expected) / max(1.0, abs(expected)))
    return float(max(gaps))


def generation_gap(engine: Engine, rows: Sequence[Ids], decoder: Decoder) -> float:
    """How far below the plain call's best logit a drafted token lies, relative to that logit."""
    setting = Setting(DRAFTED, (), 0.0, 1.0, 0, 0, 0, frozenset())
    columns = PackColumns.of(built_pack("generate", [Ask(row.tolist()) for row in rows]))
    keys = [bytes(32)] * len(rows)
    outcomes = run_generations(engine, columns, [setting], keys, decoder)
    if outcomes.lacked_memory:
        raise Faults([_no_room(engine.forward)], exit_code=ExitCode.FAILURE)
    payloads = outcomes.payloads
    gaps = []
    for number, row in enumerate(rows):
        if number not in payloads:
            return float("inf")
        drafted = json.loads(payloads[number])["tokens"]
        whole = np.concatenate([row, np.asarray(drafted[:-1], dtype=np.int64)])
        plain = _fitting(engine.forward, partial(engine.forward.plain_logits, whole))
        logits = plain[-len(drafted) :]
        best = logits.amax(dim=-1)
        chosen = logits[torch.arange(len(drafted)), torch.as_tensor(drafted)]
        gaps.append(float(((best - chosen) / best.abs().clamp(min=1.0)).max()))
    return float(max(gaps))
