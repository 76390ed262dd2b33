"""The output of one generation while it grows, and when it has to end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalc.contract.settings import Setting
from evalc.exec.model.tokenizer import UNKNOWN, decoded, loses_first_space

Finish = Literal["stop", "eos", "length"]
SLACK = 8


@dataclass(frozen=True, slots=True)
class Decoder:
    """Turns ids into text without special tokens.

    `special` maps the text of each special token to its id; such a text as a stop string has to
    be found by its id, since decoding drops it. With `loses_first_space` ids are decoded behind
    those of their prompt.
    """

    tokenizer: Any
    special: Mapping[str, int]
    hidden: frozenset[int]
    loses_first_space: bool

    @classmethod
    def of(cls, tokenizer: Any) -> Decoder:
        """The decoder of a fast transformers tokenizer."""
        added = tokenizer.added_tokens_decoder.items()
        special = {str(token.content): int(index) for index, token in added if token.special}
        hidden = frozenset(special.values())
        return cls(tokenizer, special, hidden, loses_first_space(tokenizer))

    def text(self, ids: Sequence[int]) -> str:
        """The text of `ids`; incomplete characters become U+FFFD."""
        return decoded(self.tokenizer, ids)

    def tail(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """The end of `prompt` behind which its output has the text that it has behind the whole.

        Long enough to have a text and to begin with a whole character, so that it has no part in
        a run of byte tokens whose beginning was left out. Empty where it makes no difference.
        """
        if not self.loses_first_space:
            return ()
        visible = [int(index) for index in prompt if int(index) not in self.hidden]
        size = SLACK
        while size < len(visible):
            before = self.text(visible[-size:])
            if before and UNKNOWN not in before:
                break
            size *= 2
        return tuple(visible[-size:])

    def behind(self, tail: Sequence[int], ids: Sequence[int]) -> str:
        """The text that `ids` add to the text of `tail`.

        Where that text ends inside a character, the whole character is part of what is added. An
        output that breaks off inside one may spoil a run of byte tokens it shares with the
        prompt; then it is decoded behind the last token before that run.
        """
        if not tail:
            return self.text(ids)
        for end in range(len(tail), 0, -1):
            before, whole = self.text(tail[:end]), self.text([*tail[:end], *ids])
            stem = before.rstrip(UNKNOWN)
            for start in (before, stem):
                if start and whole.startswith(start):
                    return whole[len(start) :]
        return self.text([*tail, *ids]) if not self.text(tail) else self.text(ids)


@dataclass(slots=True)
class Transcript:
    """One growing output behind `tail`, the end of its prompt. `limit` bounds its tokens."""

    decoder: Decoder
    setting: Setting
    limit: int
    tail: tuple[int, ...] = ()
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None
    stop: str | None = None
    _visible: list[int] = field(default_factory=list)

    def push(self, token: int) -> bool:
        """Append a token; True when the output is finished."""
        self.tokens.append(token)
        if token in self.setting.eos_ids:
            self.finish = "eos"
            return True
        specials = self.decoder.special
        named = [text for text in self.setting.stop if specials.get(text) == token]
        if named:
            self.finish, self.stop = "stop", named[0]
            return True
        if token not in self.decoder.hidden:
            self._visible.append(token)
        if self._meets_stop():
            self.finish = "stop"
            return True
        if len(self.tokens) >= self.limit:
            self.finish = "length"
        return self.finish is not None

    def text(self) -> str:
        """The text before the stop string, and before the token that ended the output."""
        whole = self.decoder.behind(self.tail, self._visible)
        found = _first(whole, self.setting.stop)
        return whole if found is None else whole[: found[0]]

    def payload(self) -> bytes:
        """The record of a finished output; `tokens` include what ended it."""
        record = {
            "text": self.text(),
            "tokens": self.tokens,
            "finish": self.finish,
            "stop": self.stop,
        }
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )

    def _meets_stop(self) -> bool:
        """Whether the text now holds a stop string.

        A token carries at least one byte, so a stop of n bytes ends within the last n tokens;
        only when these few decode to it is the whole text decoded and searched.
        """
        if not self.setting.stop:
            return False
        reach = max(len(text.encode("utf-8", "replace")) for text in self.setting.stop) + SLACK
        whole = len(self._visible) <= reach
        tail = self.tail if whole else ()
        if _first(self.decoder.behind(tail, self._visible[-reach:]), self.setting.stop) is None:
            return False
        found = _first(self.decoder.behind(self.tail, self._visible), self.setting.stop)
        if found is None:
            return False
        self.stop = found[1]
        return True


def _first(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Where the earliest of `stops` begins in `text`, and which it is; the longer one on a tie."""
    found = [(text.find(stop), -len(stop), stop) for stop in stops]
    hits = [hit for hit in found if hit[0] >= 0]
    if not hits:
        return None
    place, _, stop = min(hits)
    return place, stop
