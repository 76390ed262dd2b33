"""Where numerics are to be stable: what a token's bits depend on, besides the token's own path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from evalc.contract.packs import Ids
from evalc.contract.progress import Meter, Observer, Silence, Tally
from evalc.diagnostics import Diagnostic, Faults
from evalc.errors import ExitCode
from evalc.exec.layout.forest import Stream
from evalc.exec.layout.tiles import Tile, next_tile
from evalc.exec.memory.budget import Budget, attempted
from evalc.exec.model.capability import Capability
from evalc.exec.passes.engine import Engine
from evalc.exec.passes.forward import Forward
from evalc.exec.passes.walking import computed
from evalc.exec.places import same_everywhere, widths_of

SHIFT = 3
"""How many rows lower than in the usual pass a token stands in one whose bits are compared."""
CROWDS = 24
"""Different tokens of a pass in which each stands next to others than before."""
PLACE = "a token's bits depend on its place in a pass of this model, or on the tokens beside it"

T = TypeVar("T")


def trial_engine(forward: Forward, trial: Capability) -> Engine:
    """An engine that holds nothing and reports to nobody."""
    budget = replace(Budget.of(forward.loaded.source.device), overhead=0)
    return Engine.of(forward, trial, budget, Meter(Tally(), Silence()))


def fitting(forward: Forward, work: Callable[[], T]) -> T:
    """What `work` returns. Raises Faults when it does not fit into memory."""
    found = attempted(work)
    if found is None:
        raise Faults([no_room(forward)], exit_code=ExitCode.FAILURE)
    return found


def no_room(forward: Forward) -> Diagnostic:
    """The diagnostic for a pass of the usual size that does not fit into memory."""
    source, stable = forward.loaded.source, forward.shapes.padded
    smaller = 'set `numerics = "fast"`, whose passes may be smaller, or ' if stable else ""
    return Diagnostic(
        "out-of-memory",
        f"a pass of {forward.shapes.tile} tokens through model `{source.name}` does not fit into "
        f"the memory of `{source.device}`",
        hint=f"{smaller}free memory on the device",
    )


def equal_counts(
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
    crowds = Crowds(trial_engine(forward, trial)) if has_experts(forward.loaded) else None
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
        same = same_bits(found, usual[SHIFT : SHIFT + len(found)])
        return same and (crowds is None or crowds.same(path, width))

    usual = compared()
    while not equal(shapes.tile):
        threads = torch.get_num_threads()
        if threads <= 2 or forward.device.type != "cpu":
            observer.note(PLACE)
            return None
        torch.set_num_threads(1 << (threads - 1).bit_length() - 1)
        observer.note(
            f"with {threads} threads a token's bits depend on its place in a pass: "
            f"{torch.get_num_threads()} are used"
        )
        usual = compared()
    forward.heads = () if forward.full else _equal_heads(forward, usual)
    return tuple(width for width in reversed(shapes.steps) if equal(width))


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(*(part.contiguous().view(torch.uint8) for part in (one, other)))


def _states(engine: Engine, path: Ids, held: int, width: int) -> tuple[Tile, torch.Tensor]:
    """The states of at most `width` ids of a path, computed in one pass on the first `held`."""
    count = min(width, len(path) - held)
    places = np.arange(held, held + count)
    engine.store.truncate(held)
    return _computed(
        engine, Stream(path[places], places, places, np.array([0, count])), path, width
    )


def _computed(engine: Engine, stream: Stream, path: Ids, width: int) -> tuple[Tile, torch.Tensor]:
    """The states of a stream of at most `width` ids on what is held of `path`."""
    engine.store.room(len(path))
    known = np.resize(path, len(engine.store.slots))
    tile = next_tile(stream, 0, width, (engine.store.slots, known), engine.shapes)
    found = computed(engine, tile, np.arange(len(stream)))
    if found is None:
        raise Faults([no_room(engine.forward)], exit_code=ExitCode.FAILURE)
    return tile, found


def _equal_heads(forward: Forward, states: torch.Tensor) -> tuple[int, ...]:
    """Row counts at which the head gives the same bits for `states`, each in another row."""
    usual = fitting(forward, lambda: forward.logits(states[: forward.shapes.head]))
    found = []
    for width in (step for step in forward.shapes.steps if step < forward.shapes.head):
        some = states[SHIFT : min(width + SHIFT, len(usual))]
        logits = fitting(forward, partial(forward.logits, some, width))
        if same_bits(logits, usual[SHIFT : SHIFT + len(some)]):
            found.append(width)
    return tuple(found)


def has_experts(loaded: Any) -> bool:
    """Whether tokens are sent to experts, whose products have as many rows as came to them."""
    named = (key for key, value in vars(loaded.decoder).items() if _several(key, value))
    parts = (name for name, _ in loaded.model.named_modules() if "expert" in name.lower())
    return next(named, None) is not None or next(parts, None) is not None


def _several(key: str, value: object) -> bool:
    return "expert" in key and isinstance(value, int) and value > 1


class Crowds:
    """Tokens at one place of a path, of which some are there many times and others once.

    Experts then get other numbers of rows from pass to pass, and a token's state has to stay what
    it was. The first state of a token is the one that others are compared with.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.states: dict[int, torch.Tensor] = {}
        draw = np.random.default_rng(0)
        vocab = int(engine.forward.loaded.vocab)
        self.ids: Ids = draw.permutation(vocab)[:CROWDS].astype(np.int64)

    def same(self, path: Ids, width: int) -> bool:
        """Whether tokens keep their bits in passes of `width`, on top of the path's first ids."""
        held = path[:SHIFT]
        return all(self._kept(held, crowd, width) for crowd in self._crowds(width))

    def _crowds(self, width: int) -> Iterator[Ids]:
        """Ids of passes: every token once, then more and more of each, in turns."""
        yield self.ids[:width]
        rising = np.repeat(self.ids, np.arange(1, len(self.ids) + 1))
        yield rising[:width]
        yield np.repeat(self.ids[::-1], np.arange(1, len(self.ids) + 1))[:width]
        for turn in range(3):
            doubling = np.repeat(np.roll(self.ids, turn)[:8], 1 << np.arange(8))
            yield doubling[::-1][:width]
        yield self.ids[:1]
        yield np.repeat(self.ids[:1], width)

    def _kept(self, held: Ids, crowd: Ids, width: int) -> bool:
        count, depth = len(crowd), len(held)
        engine = self.engine
        engine.store.truncate(0)
        if not engine.store.keys or len(engine.store.ids) < depth:
            self._hold(held)
        stream = Stream(crowd, np.full(count, depth), np.arange(count), np.arange(count + 1))
        found = _computed(engine, stream, np.append(held, 0), width)[1]
        for token, state in zip(crowd.tolist(), found, strict=True):
            if not same_bits(state, self.states.setdefault(token, state)):
                return False
        return True

    def _hold(self, held: Ids) -> None:
        tile, _ = _states(self.engine, held, 0, self.engine.shapes.tile)
        self.engine.store.keep(tile.slots, tile.path)
