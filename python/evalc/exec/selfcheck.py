"""Before anything counts: does the engine reproduce the plain model call?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from evalc.contract.outcomes import LIKELIHOOD
from evalc.contract.packs import Ask, Ids, PackColumns, built_pack
from evalc.contract.progress import Observer
from evalc.contract.settings import Setting
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.exec.answer.generate import run_generations
from evalc.exec.answer.loglikelihood import run_loglikelihoods
from evalc.exec.answer.transcripts import Decoder
from evalc.exec.memory.budget import is_out_of_memory
from evalc.exec.model.capability import Capability, Path
from evalc.exec.model.switches import ORIGINAL, Switch, narrowed, rope_types, switches
from evalc.exec.model.weights import first_line
from evalc.exec.passes.attention import NAME, UnknownOptionError
from evalc.exec.passes.engine import Engine
from evalc.exec.passes.forward import Forward
from evalc.exec.steadiness import PLACE, equal_counts, fitting, no_room, trial_engine

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
BEYOND = 160
"""Tokens of a trial row behind a window that cannot be made small."""
LONGEST = 4096 + BEYOND
"""Longer rows are not tried."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How far a path is from the plain model call, relative to it, and from generating by it.

    `drafts` is None where generation was not tried. A path that is not `steady` gives a token other
    bits at another place of a pass or beside others, where numerics are to be stable. `failure`
    says why a path could not be tried.
    """

    path: Path
    scores: float
    drafts: float | None
    steady: bool = True
    failure: str | None = None

    @property
    def why(self) -> str | None:
        """Why the path is not taken; None where its results are others."""
        return self.failure if self.steady else PLACE

    @property
    def gap(self) -> float:
        """The larger difference."""
        sound = self.steady and self.failure is None
        return max(self.scores, self.drafts or 0.0) if sound else float("inf")


@dataclass(frozen=True, slots=True)
class Bits:
    """Whether rows have the same bits alone as together, and on top of what is held."""

    alone: bool
    held: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What the self-check found: the path to take, the paths tried, the difference allowed.

    `rows` were compared; none where there was nothing to compare with. `plain_head` tells whether
    states picked before the output head give the model's own logits. `switched` are the lengths at
    which the model changes and that were tried on both sides. `bits` is None where nothing was
    compared, or where numerics are not to be stable.
    """

    capability: Capability
    allowed: float
    trials: tuple[Trial, ...] = ()
    rows: int = 0
    plain_head: bool = True
    switched: tuple[str, ...] = ()
    bits: Bits | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Rows, what the plain call gives for them, and under which switch of the model.

    `switch` is at its small length while the case is tried. `drafted` tells whether the rows are
    also continued. A case that is `shared` is one for shared prefixes only; `untried` says why it
    cannot be tried.
    """

    rows: Sequence[Ids]
    plain: Sequence[torch.Tensor]
    switch: Switch | None = None
    drafted: bool = True
    shared: bool = False
    untried: str = ""

    def held(self, forward: Forward) -> AbstractContextManager[None]:
        """The block in which the model is as the case wants it."""
        return nullcontext() if self.switch is None else narrowed(forward.loaded.model, self.switch)


def checked(
    forward: Forward,
    judged: Capability,
    samples: Sequence[Ids],
    decoder: Decoder | None,
    observer: Observer,
) -> Checked:
    """The best path that agrees with the plain model call on rows cut from real requests.

    `samples` are inputs of requests; with a `decoder`, generation is checked too. The plain call is
    transformers' own: its logits are computed before anything of the model is replaced. A model
    whose plain call is not finite has nothing to agree with and passes. Afterwards the model
    attends as the path wants it. Raises Faults when not even single rows agree, or a pass of the
    usual size does not fit into memory.
    """
    longest = forward.loaded.source.max_length - DRAFTED
    rows = trial_rows(samples, longest) or trial_rows([_drawn(forward)], longest)
    allowed = _allowed(forward)
    if not rows:
        forward.attend_by(NAME if judged.path == "tree" else forward.usual)
        return Checked(judged, allowed)
    plain_head, usual = _plain(forward, [*rows, *_cut(rows)])
    if not plain_head:
        observer.note("the model's output head is not a plain one: whole logits are computed")
    if not all(bool(torch.isfinite(logits).all()) for logits in usual.plain):
        forward.attend_by(NAME if judged.path == "tree" else forward.usual)
        return Checked(judged, allowed, plain_head=plain_head)
    _require_causal(forward, rows[0], usual.plain[0])
    cases = [usual, *_switched(forward, usual, samples, longest)]
    named = tuple(case.switch.name for case in cases if case.switch is not None)
    trials: list[Trial] = []
    for path in WEAKER[judged.path]:
        before = trials[-1].why if trials else None
        reason = judged.reason if path == judged.path else before or "a self-check failed"
        way, trial, bits = _tried(
            forward, Capability(path, reason), cases, samples, decoder, observer
        )
        trials.append(trial)
        if trial.gap <= allowed:
            if path != judged.path:
                because = f": {before}" if before else ""
                observer.note(f"prefixes are not shared for this model: path `{path}`{because}")
            return Checked(way, allowed, tuple(trials), len(rows), plain_head, named, bits)
    raise Faults([_refusal(forward, trials[-1], allowed)], exit_code=ExitCode.FAILURE)


def _plain(forward: Forward, rows: Sequence[Ids]) -> tuple[bool, Case]:
    """Whether the head is a plain one, and the rows as the model's own call computes them.

    Texts of a `dynamic` model that grows beyond its length mix frequencies, as `generate` does, and
    are not those of a plain call. Raises Faults when that call fails.
    """
    forward.attend_by(forward.usual)
    try:
        plain_head = fitting(forward, lambda: forward.heads_agree(rows[0]))
        decoder = forward.loaded.decoder
        longest = int(getattr(decoder, "max_position_embeddings", 0) or 0)
        mixed = "dynamic" in rope_types(decoder) and longest < max(map(len, rows)) + DRAFTED
        return plain_head, _case(forward, rows, drafted=not mixed)
    except Faults:
        raise
    except Exception as failure:
        if is_out_of_memory(failure):
            raise
        message = (
            f"model `{forward.loaded.source.name}` loads and does not run: "
            f"{type(failure).__name__}: {first_line(failure)}"
        )
        hint = "call it once with transformers to see what is wrong"
        found = Diagnostic("bad-model", message, hint=hint)
        raise Faults([found], exit_code=ExitCode.FAILURE) from failure


def _drawn(forward: Forward) -> Ids:
    """A row for models whose requests are too short to be tried."""
    return np.random.default_rng(0).integers(0, forward.loaded.vocab, 2 * PREFIX)


def _cut(rows: Sequence[Ids]) -> list[Ids]:
    """Rows that end right behind the place where others fork from them."""
    ends = [row[: PREFIX + SCORED] for row in rows[1::2]]
    return [row for row in ends if len(row) == PREFIX + SCORED]


def _case(
    forward: Forward, rows: Sequence[Ids], switch: Switch | None = None, drafted: bool = True
) -> Case:
    """A case with the plain logits of its rows, of what a run reads: not of the last id."""
    case = Case(rows, (), switch, drafted)
    with case.held(forward):
        plain = [fitting(forward, partial(forward.plain_logits, row[:-1])) for row in rows]
    return replace(case, plain=plain)


def _switched(
    forward: Forward, usual: Case, samples: Sequence[Ids], longest: int
) -> Iterator[Case]:
    """Cases on both sides of every switch: on short rows where it can be moved, else on long ones.

    A window that cannot be moved is built into the model, or the model does not use it.
    """
    for switch in switches(forward.loaded.decoder):
        moved = _moved(forward, usual, switch)
        if moved is not None:
            yield moved
        elif switch.at + SCORED < longest:
            length = min(switch.at + BEYOND, longest)
            if length > LONGEST:
                why = f"its `{switch.name}` of {switch.at} tokens is too long to be tried"
                yield Case((), (), drafted=False, shared=True, untried=why)
            else:
                row = np.resize(np.concatenate([*samples, usual.rows[0]]), length)
                yield replace(_case(forward, [row], None, drafted=False), shared=True)


def _moved(forward: Forward, usual: Case, switch: Switch) -> Case | None:
    """The usual rows at the small length of `switch`; None where that changes nothing."""
    try:
        drafted = switch.name != ORIGINAL or _lets_go(forward, switch)
        case = _case(forward, usual.rows, switch, drafted)
    except Faults:
        raise
    except Exception as failure:
        if is_out_of_memory(failure):
            raise
        return None
    pairs = zip(case.plain, usual.plain, strict=True)
    return None if all(torch.equal(one, other) for one, other in pairs) else case


def _lets_go(forward: Forward, switch: Switch) -> bool:
    """Whether `generate` computes a row anew when it crosses the switch, or else mixes states."""
    model = forward.loaded.model
    ids = torch.zeros(1, switch.small + 1, dtype=torch.int64, device=forward.device)
    with narrowed(model, switch):
        cache = model(input_ids=ids[:, :-1], use_cache=True).past_key_values
        return forward.outgrown(ids, cache)


def _require_causal(forward: Forward, row: Ids, plain: torch.Tensor) -> None:
    """Raise Faults where a token's logits depend on what follows it."""
    known = len(row) // 2
    other = np.append(row[:known], (row[known:-1] + 1) % forward.loaded.vocab)
    seen = fitting(forward, lambda: forward.plain_logits(other))[:known]
    gap = (seen - plain[:known]).abs().amax() / plain.abs().amax().clamp(min=1.0)
    if gap <= _allowed(forward):
        return
    source, name = forward.loaded.source, type(forward.loaded.model).__name__
    message = (
        f"model `{source.name}` is an encoder (`{name}`): its logits depend on the tokens that "
        "follow, so it gives a text no probability"
    )
    hint = "use a causal language model"
    raise Faults([Diagnostic("bad-model", message, hint=hint)], exit_code=ExitCode.FAILURE)


def _tried(  # noqa: PLR0917  what `checked` was given, and what it made of that
    forward: Forward,
    way: Capability,
    cases: Sequence[Case],
    samples: Sequence[Ids],
    decoder: Decoder | None,
    observer: Observer,
) -> tuple[Capability, Trial, Bits | None]:
    """The way with the token counts that it allows, how far off it is, and its bits.

    Whatever a path raises, but for a lack of memory, is why it fails.
    """
    tree = way.path == "tree"
    forward.attend_by(NAME if tree else forward.usual)
    mine = [case for case in cases if tree or not case.shared]
    try:
        untried = next((case.untried for case in mine if case.untried), None)
        if untried is not None:
            return way, Trial(way.path, float("inf"), None, failure=untried), None
        return _measured(forward, way, mine, samples, decoder, observer)
    except Faults:
        raise
    except Exception as failure:
        if is_out_of_memory(failure):
            raise
        said = first_line(failure)
        why = said if isinstance(failure, UnknownOptionError) else _raised(failure, said)
        return way, Trial(way.path, float("inf"), None, failure=why), None


def _raised(failure: Exception, said: str) -> str:
    return f"its layers raise {type(failure).__name__}: {said}"


def _measured(  # noqa: PLR0917  as `_tried`
    forward: Forward,
    way: Capability,
    cases: Sequence[Case],
    samples: Sequence[Ids],
    decoder: Decoder | None,
    observer: Observer,
) -> tuple[Capability, Trial, Bits | None]:
    allowed, bits = _allowed(forward), None
    together = [_together(forward, way, case) for case in cases]
    scores = [_likelihood_gap(*pair) for pair in zip(cases, together, strict=True)]
    if not max(scores) <= allowed:
        return way, Trial(way.path, max(scores), None), None
    threads = torch.get_num_threads()
    tiles = equal_counts(forward, way, samples, observer)
    if tiles is None:
        return way, Trial(way.path, max(scores), None, steady=False), None
    way = replace(way, tiles=tiles)
    if forward.shapes.padded:
        # by as many threads as a run has from here on
        known = together[0] if threads == torch.get_num_threads() else None
        bits = bits_of(forward, way, cases[0].rows, known)
        if not (bits.alone and bits.held):
            observer.note(PLACE)
            return way, Trial(way.path, max(scores), None, steady=False), bits
    drafts = None if decoder is None else _drafts(forward, way, cases, decoder)
    return way, Trial(way.path, max(scores), drafts), bits


def _drafts(forward: Forward, way: Capability, cases: Sequence[Case], decoder: Decoder) -> float:
    """The largest gap of what the rows of `cases` are continued with."""
    gaps = []
    for case in cases:
        if case.drafted:
            with case.held(forward):
                engine = trial_engine(forward, way)
                rows = case.rows[: len(SUFFIXES)]
                stepwise = case.switch is not None and case.switch.name == ORIGINAL
                gaps.append(generation_gap(engine, rows, decoder, stepwise))
    return max(gaps, default=0.0)


def bits_of(
    forward: Forward,
    way: Capability,
    rows: Sequence[Ids],
    together: dict[int, bytes] | None = None,
) -> Bits:
    """Whether rows have the same bits alone as together, and after others as before them.

    `together` are their records as passes of the usual size give them, where they are known.
    """
    if together is None:
        together = scored(trial_engine(forward, way), rows)
    again = trial_engine(forward, way)
    last = len(rows) - 1
    turned = {last - at: found for at, found in scored(again, rows[::-1]).items()}
    if way.path != "tree":
        return Bits(alone=turned == together, held=turned == together)
    held = scored(again, rows)
    lengths = [len(row) for row in rows]
    some = {lengths.index(min(lengths)), lengths.index(max(lengths))}
    alone = {at: scored(trial_engine(forward, way), [rows[at]]).get(0) for at in some}
    same = all(together.get(at) == found for at, found in alone.items())
    return Bits(alone=same, held=turned == held == together)


def _allowed(forward: Forward) -> float:
    source = forward.loaded.source
    return TOLERANCE["bfloat16" if source.quantization is not None else source.dtype]


def _refusal(forward: Forward, trial: Trial, allowed: float) -> Diagnostic:
    name = forward.loaded.source.name
    hint = 'try `dtype = "float32"`, and report the architecture if that does not help'
    if trial.failure is not None:
        message = f"model `{name}` runs in no way that was tried: {trial.failure}"
        hint = "call it once with transformers to see what is wrong, and report the architecture"
    elif not trial.steady:
        message = f"model `{name}` gives a row other bits after others, even computed alone"
        hint = 'set `numerics = "fast"`, and report the architecture'
    else:
        message = (
            f"model `{name}` gives other results in batches than alone: "
            f"relative difference {trial.gap:.2g}, allowed {allowed:.2g}"
        )
    return Diagnostic("self-check-failed", message, hint=hint)


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


def scored(engine: Engine, rows: Sequence[Ids]) -> dict[int, bytes]:
    """Records of rows by their number. Raises Faults when they do not fit into memory."""
    asks = [Ask(row.tolist(), SCORED, number) for number, row in enumerate(rows)]
    columns = PackColumns.of(built_pack("loglikelihood", asks))
    outcomes = run_loglikelihoods(engine, columns)
    if outcomes.lacked_memory:
        raise Faults([no_room(engine.forward)], exit_code=ExitCode.FAILURE)
    return outcomes.payloads


def _together(forward: Forward, way: Capability, case: Case) -> dict[int, bytes]:
    """The records of a case's rows, computed together by a path."""
    with case.held(forward):
        return scored(trial_engine(forward, way), case.rows)


def _likelihood_gap(case: Case, payloads: dict[int, bytes]) -> float:
    """The largest difference of a sum, relative to its size (at least 1 nat)."""
    gaps = []
    for number, (row, logits) in enumerate(zip(case.rows, case.plain, strict=True)):
        if number not in payloads:
            return float("inf")
        wanted = torch.from_numpy(row[-SCORED:]).to(logits.device)
        chances = torch.log_softmax(logits[-SCORED:], dim=-1)
        expected = float(chances.gather(1, wanted[:, None]).double().sum())
        found = LIKELIHOOD.unpack(payloads[number])[0]
        gaps.append(abs(found - expected) / max(1.0, abs(expected)))
    return float(max(gaps))


def generation_gap(
    engine: Engine, rows: Sequence[Ids], decoder: Decoder, stepwise: bool = False
) -> float:
    """How far below the plain call's best logit a drafted token lies, relative to that logit.

    With `stepwise` each token is compared with a plain call of its own length.
    """
    setting = Setting(DRAFTED, (), 0.0, 1.0, 0, 0, 0, frozenset())
    columns = PackColumns.of(built_pack("generate", [Ask(row.tolist()) for row in rows]))
    keys = [bytes(32)] * len(rows)
    outcomes = run_generations(engine, columns, [setting], keys, decoder)
    if outcomes.lacked_memory:
        raise Faults([no_room(engine.forward)], exit_code=ExitCode.FAILURE)
    payloads = outcomes.payloads
    gaps = []
    for number, row in enumerate(rows):
        if number not in payloads:
            return float("inf")
        drafted = json.loads(payloads[number])["tokens"]
        whole = np.concatenate([row, np.asarray(drafted[:-1], dtype=np.int64)])
        logits = _steps(engine.forward, whole, len(drafted), stepwise)
        best = logits.amax(dim=-1)
        chosen = logits[torch.arange(len(drafted)), torch.as_tensor(drafted)]
        gaps.append(float(((best - chosen) / best.abs().clamp(min=1.0)).max()))
    return float(max(gaps))


def _steps(forward: Forward, whole: Ids, count: int, stepwise: bool) -> torch.Tensor:
    """The plain logits [count, vocab] behind the last `count` tokens of a row."""
    if not stepwise:
        return fitting(forward, partial(forward.plain_logits, whole))[-count:]
    ends = range(len(whole) - count + 1, len(whole) + 1)
    found = [fitting(forward, partial(forward.plain_logits, whole[:end]))[-1] for end in ends]
    return torch.stack(found)
