"""Work of the shape of MMLU, HellaSwag and GSM8K in random ids, and what it costs at least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalc.contract.packs import Ask, BuiltPack, Ids, PackColumns, built_pack

FIRST_ID = 2


@dataclass(frozen=True)
class Form:
    """Lengths in tokens: `groups` prefixes of `shots`, each with `questions` of `question`.

    A question has `choices` continuations of `choice` tokens, or generates `drafts` tokens.
    """

    groups: int
    questions: int
    shots: int
    question: tuple[int, int]
    choices: int = 0
    choice: tuple[int, int] = (1, 1)
    drafts: int = 0

    def scaled(self, down: int) -> Form:
        """The same with everything shorter and fewer, for a small machine."""
        low, high = self.question
        return Form(
            max(1, self.groups // down),
            max(2, self.questions // down),
            self.shots // down,
            (max(2, low // down), max(3, high // down)),
            self.choices,
            self.choice if self.choice[1] == 1 else (3, 8),
            self.drafts // down,
        )


FORMS = {
    "mmlu": Form(groups=4, questions=64, shots=600, question=(50, 160), choices=4),
    "hellaswag": Form(1, 256, 0, question=(30, 110), choices=4, choice=(10, 40)),
    "gsm8k": Form(groups=1, questions=128, shots=800, question=(30, 120), drafts=128),
}


@dataclass(frozen=True)
class Work:
    """The requests of one form, and its pack."""

    form: Form
    asks: list[Ask]

    @classmethod
    def of(cls, form: Form, vocab: int, seed: int) -> Work:
        """Requests of random ids; the choices of one question differ."""
        draw = np.random.default_rng(seed)

        def ids(count: int) -> list[int]:
            return draw.integers(FIRST_ID, vocab, count).tolist()

        asks: list[Ask] = []
        for _ in range(form.groups):
            shots = ids(form.shots)
            for _ in range(form.questions):
                context = shots + ids(int(draw.integers(*form.question)))
                if form.drafts:
                    asks.append(Ask(context, 0, len(asks)))
                for _ in range(form.choices):
                    text = ids(int(draw.integers(form.choice[0], form.choice[1] + 1)))
                    asks.append(Ask(context + text, len(text), len(asks)))
        return cls(form, asks)

    @property
    def kind(self) -> Any:
        """As a pack names it."""
        return "generate" if self.form.drafts else "loglikelihood"

    def pack(self, asks: Sequence[Ask] | None = None) -> BuiltPack:
        """All requests, or these, as a prefix tree."""
        return built_pack(self.kind, self.asks if asks is None else asks)


@dataclass(frozen=True)
class Costs:
    """Parameters without embeddings, layers, width of attention, width and size of the head,
    bytes of a weight and of a kept token.
    """

    parameters: int
    layers: int
    attended: int
    width: int
    vocab: int
    weight: int
    state: int

    @classmethod
    def of(cls, model: Any) -> Costs:
        """From a loaded decoder."""
        config, size = model.config, model.dtype.itemsize
        embedded = model.get_input_embeddings().weight.numel()
        head = model.get_output_embeddings().weight
        tied = head.data_ptr() == model.get_input_embeddings().weight.data_ptr()
        whole = sum(parameter.numel() for parameter in model.parameters())
        width = config.head_dim * config.num_attention_heads
        return cls(
            parameters=whole - embedded - (0 if tied else head.numel()),
            layers=config.num_hidden_layers,
            attended=width,
            width=config.hidden_size,
            vocab=head.shape[0],
            weight=size,
            state=2 * size * config.num_hidden_layers * config.head_dim
            * config.num_key_value_heads,
        )  # fmt: skip

    def flops(self, tokens: int, pairs: int, logits: int) -> float:
        """Of `tokens` computed, `pairs` of query and key, `logits` rows of the head."""
        products = self.parameters * tokens + self.width * self.vocab * logits
        return 2.0 * products + 4.0 * self.layers * self.attended * pairs

    def step_bytes(self) -> int:
        """Weights that one decode step reads, the head with them."""
        return self.weight * (self.parameters + self.width * self.vocab)


def tree_cost(work: Work, costs: Costs) -> float:
    """Operations of the distinct tokens of a prefix tree and of the scored positions."""
    columns = PackColumns.of(work.pack())
    starts, offsets = columns.node_start, columns.node_offsets
    depths: list[Ids] = []
    for node, start in enumerate(starts.tolist()):
        depths.append(np.arange(start, start + offsets[node + 1] - offsets[node]))
    pairs = int((np.concatenate(depths) + 1).sum())
    logits = int(columns.req_cont.sum()) or len(columns)
    return costs.flops(len(columns.tokens), pairs, logits)


def rows_cost(lengths: Sequence[int], logits: int, costs: Costs) -> float:
    """Operations of rows that are each computed whole."""
    sizes = np.asarray(lengths, dtype=np.int64)
    return costs.flops(int(sizes.sum()), int((sizes * (sizes + 1) // 2).sum()), logits)


def decode_bytes(prompts: Sequence[int], drafts: int, steps: int, costs: Costs) -> float:
    """Bytes that decoding reads: weights in every step, and each row's own states."""
    rows = np.asarray(prompts, dtype=np.float64)
    kept = float((rows * (drafts - 1) + (drafts - 1) * drafts / 2).sum())
    return steps * costs.step_bytes() + kept * costs.state
