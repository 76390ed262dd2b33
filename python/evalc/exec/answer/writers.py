"""Rows that generate: a prompt, what it has produced, and where its randomness comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evalc.contract.outcomes import Outcomes
from evalc.contract.packs import Ids
from evalc.contract.settings import Setting
from evalc.exec.answer.sampling import drawn, generator_for
from evalc.exec.answer.transcripts import Decoder, Transcript


@dataclass(frozen=True, slots=True)
class Prompt:
    """A generate request: its index in the pack, ids, setting, key and room for new tokens."""

    request: int
    ids: Ids
    setting: Setting
    key: bytes
    limit: int


@dataclass(slots=True)
class Writer:
    """A prompt being continued; starting again gives the same tokens."""

    prompt: Prompt
    transcript: Transcript
    generator: torch.Generator | None

    @classmethod
    def of(cls, prompt: Prompt, decoder: Decoder) -> Writer:
        """A writer that has written nothing yet."""
        setting = prompt.setting
        generator = generator_for(setting, prompt.key) if setting.sampled else None
        tail = decoder.tail(prompt.ids.tolist())
        return cls(prompt, Transcript(decoder, setting, prompt.limit, tail), generator)

    @property
    def last(self) -> int:
        """The id to feed next."""
        return self.transcript.tokens[-1]


def written(logits: torch.Tensor, writers: Sequence[Writer], outcomes: Outcomes) -> list[int]:
    """Let each writer take its next token from its row of float32 `logits` [B, vocab].

    Finished outputs and non-finite rows go into `outcomes`; returns the rows they leave behind.
    """
    sound = torch.isfinite(logits.amax(dim=-1)).tolist()
    if any(writer.generator is not None for writer in writers):
        rows = logits.cpu()
        tokens = [
            drawn(rows[row], writer.prompt.setting, writer.generator)
            if sound[row] and writer.generator is not None
            else 0
            for row, writer in enumerate(writers)
        ]
    else:
        tokens = logits.argmax(dim=-1).tolist()
    return taken(tokens, sound, writers, outcomes)


def taken(
    tokens: Sequence[int], sound: Sequence[bool], writers: Sequence[Writer], outcomes: Outcomes
) -> list[int]:
    """Let each writer take its token, as `written` does; a row that is not `sound` fails."""
    ended = []
    for row, writer in enumerate(writers):
        request = writer.prompt.request
        if not sound[row]:
            outcomes.failures[request] = "the model gave a NaN or infinite logit"
            ended.append(row)
        elif writer.transcript.push(tokens[row]):
            outcomes.payloads[request] = writer.transcript.payload()
            ended.append(row)
    return ended
