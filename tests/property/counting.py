"""Engines that note every request: one answers from a hash of all that it is given, one is real.

An answer of the first depends on the model's files as they are when it is asked, on the ids and the
settings: that of other weights, another text or other settings is another answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
from oracle import EOS, Request, content, generation, likelihood

from evalc.contract import progress
from evalc.contract.packs import PackColumns
from evalc.plan.sources import ModelSource
from evalc.run import backends as asking
from evalc.store.environment import KEY_BYTES
from evalc.store.records import Likelihood

WORDS = ("7", "12 ", "seven", "x\n", "A.", "red ", "9")


class CountingEngine:
    """Stands in for `evalc.exec.loop`; `asked` has every request in the order of asking."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def room(self, name: str) -> Any:
        """What `evalc.run.backends.room` gives, without torch."""
        rooms = {
            "loop": SimpleNamespace(asking=self.asking),
            "model.bases": SimpleNamespace(Bases=list),
        }
        return rooms[name]

    @contextmanager
    def asking(  # noqa: PLR0917  the contract of `evalc.exec.loop.asking`
        self,
        source: ModelSource,
        packs: Iterable[Any],
        settings: Sequence[Mapping[str, Any]],
        keys: bytes,
        observer: progress.Observer,
        tokenizer_probe: Sequence[tuple[str, list[int]]] = (),
        tally: progress.Tally | None = None,
        bases: object = None,
        generates: bool = False,
    ) -> Iterator[Any]:
        """Answer every request of every pack, a commit for each pack."""
        counted = progress.Tally() if tally is None else tally

        def ask(packs: Iterable[Any], commit: Any) -> list[Any]:
            for pack in packs:
                asked = pack_requests(source, pack, settings)
                places = np.frombuffer(pack.req_key, "<u4").tolist()
                names = [keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at in places]
                self.asked += asked
                commit(names, [answer(request) for request in asked])
                counted.requests += len(asked)
            return []

        yield SimpleNamespace(ask=ask)


class WatchedEngine:
    """The real engine, and `asked` with every request in the order of asking."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def room(self, name: str) -> Any:
        """What `evalc.run.backends.room` gives."""
        return SimpleNamespace(asking=self.asking) if name == "loop" else asking.room(name)

    @contextmanager
    def asking(
        self,
        source: ModelSource,
        packs: Sequence[Any],
        settings: Sequence[Mapping[str, Any]],
        *more: Any,
        **named: Any,
    ) -> Iterator[Any]:
        """Note what is asked, and ask it."""
        with asking.room("loop").asking(source, packs, settings, *more, **named) as model:

            def ask(packs: Iterable[Any], commit: Any) -> Any:
                listed = list(packs)
                self.asked += [
                    one for pack in listed for one in pack_requests(source, pack, settings)
                ]
                return model.ask(listed, commit)

            yield SimpleNamespace(ask=ask)


def pack_requests(
    source: ModelSource, pack: Any, settings: Sequence[Mapping[str, Any]]
) -> list[Request]:
    """The requests of a pack, in its order."""
    model = content(source.path, source.adapter, source.dtype, source.numerics)
    columns = PackColumns.of(pack)
    return [_request(model, columns, settings, at) for at in range(len(columns))]


def _request(
    model: Request, columns: PackColumns, settings: Sequence[Mapping[str, Any]], at: int
) -> Request:
    ids = tuple(columns.ids(at).tolist())
    if columns.kind == "loglikelihood":
        cut = len(ids) - int(columns.req_cont[at])
        return likelihood(model, ids[:cut], ids[cut:])
    setting = dict(settings[int(columns.req_setting[at])])
    assert setting["eos_ids"] == [EOS]
    return generation(model, ids, setting)


def answer(request: Request) -> bytes:
    """The record of a request."""
    digest = hashlib.sha256(repr(request).encode()).digest()
    if request[0] == "loglikelihood":
        total = -int.from_bytes(digest[:6], "big") / 2**44
        return Likelihood(total, digest[6] < 64, len(request[3])).encode()
    text = "".join(WORDS[byte % len(WORDS)] for byte in digest[:3])
    fields = {"text": text, "tokens": list(digest[:3]), "finish": "length", "stop": None}
    return json.dumps(fields).encode()
