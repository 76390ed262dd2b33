"""Base models that are loaded, and whose turn it is on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from evalc.exec.memory.budget import release
from evalc.exec.model.load import LoadedModel, adapted, base, require, restore
from evalc.exec.model.untouched import Untouched
from evalc.plan.sources import ModelSource


class Bases:
    """Loads models, and a base once for all models of it that follow each other.

    `sources` are the models to come. Nothing but one base is held, and only while there is another
    of its models to come.
    """

    def __init__(self, sources: Sequence[ModelSource] = ()) -> None:
        self._later = Counter(source.load for source in sources)
        self._held: tuple[tuple[str, ...], Any] | None = None

    @contextmanager
    def lent(self, source: ModelSource) -> Iterator[LoadedModel]:
        """The model of `source`, to be used until the block ends. Raises Faults.

        Afterwards the base is as it was before, bit for bit, or it is let go of.
        """
        require(source)
        model = self._base(source)
        usual = model.config._attn_implementation
        self._later[source.load] -= 1
        if self._later[source.load] <= 0:
            self._held = None
            try:
                yield adapted(model, source)
            finally:
                restore(model, usual)
            return
        before = Untouched(model)
        try:
            yield adapted(model, source)
        finally:
            restore(model, usual)
            if not before.put_back():
                self._held = None

    def _base(self, source: ModelSource) -> Any:
        if self._held is not None and self._held[0] == source.load:
            return self._held[1]
        # the base before goes first: two may not fit
        self._held = None
        release()
        self._held = (source.load, base(source))
        return self._held[1]
