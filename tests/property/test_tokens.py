"""Random texts: the planner's ids are those of the Python tokenizer under the reference's rule."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from evalc import _core
from planned_requests import Asked, cell_requests, dataset, ir, keys_of, task, trie_tokens
from tiny_models import write_rows
from tokenizer_families import FAMILIES, encoded, trained, write_bundle

WORDS = [
    "the",
    "Question:",
    "Answer:",
    "sum",
    "of",
    "",
    "12",
    "345",
    "café",
    "don't",
    "they're",
    "a",
    "b\n",
    "\n\n",
    "\t",
    "it's",
    "日本",
    "🙂",
    "e\u0301",
    "\xa0",
    "\u200b",
    "\x1c",
    "\x85",
    "<|end|>",
    "7.50",
    "(x)",
    "__init__",
    "Th",
    "e",
]
SCRATCH = TemporaryDirectory(prefix="evalc-property-")
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=6).map("".join),
    st.text(max_size=12),
)
delimiters = st.sampled_from([" ", "", "\n", "  ", "\u00a0"])


@dataclass(frozen=True)
class Family:
    """A tokenizer and its bundle."""

    tokenizer: Tokenizer
    bundle: Path
    prefix: tuple[int, ...]

    def ids(self, text: str) -> tuple[int, ...]:
        return tuple(encoded(self.tokenizer, text))

    def pair(self, context: str, continuation: str) -> Asked:
        """lm-evaluation-harness 0.4.13, `TemplateLM._encode_pair`, with its empty context."""
        stem = context.rstrip()
        continuation = context[len(stem) :] + continuation
        if not stem:
            return Asked((0,), self.ids(continuation))
        alone, whole = self.ids(stem), self.ids(stem + continuation)
        return Asked(self.prefix + alone, whole[len(alone) :])


@cache
def family(name: str, prefixed: bool) -> Family:
    tokenizer = trained(name)
    prefix = (0,) if prefixed else ()
    path = scratch() / f"{name}{int(prefixed)}.json"
    bundle = write_bundle(tokenizer, path, prefix)
    tokenizer.encode_special_tokens = True  # what rows spell is ordinary text
    return Family(tokenizer, bundle, prefix)


@cache
def scratch() -> Path:
    """A folder for the whole session; it goes when the process ends."""
    return Path(SCRATCH.name)


def plan_of(
    chosen: Family, rows: list[dict[str, object]], memo: str | None = None, **changes: object
) -> _core.Plan:
    path = write_rows(scratch() / "rows.jsonl", rows)
    content = ir(chosen.bundle, [dataset(path)], [task(**changes)], max_length=1 << 20)
    return _core.Plan.build(content, memo)


def fault(caught: pytest.ExceptionInfo[_core.PlanFaults]) -> str:
    code: str = json.loads(str(caught.value))[0]["code"]
    return code


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=150, deadline=None)
@given(
    prefixed=st.booleans(),
    opening=st.one_of(st.just(""), texts),
    pairs=st.lists(
        st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=10
    ),
    delimiter=delimiters,
)
def test_choices_are_split_as_the_reference_splits_them(
    name: str,
    prefixed: bool,
    opening: str,
    pairs: list[tuple[str, list[str]]],
    delimiter: str,
) -> None:
    chosen = family(name, prefixed)
    rows: list[dict[str, object]] = [{"p": opening + p, "c": c} for p, c in pairs]
    expected = [[chosen.pair(opening + p, delimiter + c) for c in cs] for p, cs in pairs]
    flat = [one for case in expected for one in case]
    if any(not delimiter + c for _, cs in pairs for c in cs):
        with pytest.raises(_core.PlanFaults) as caught:
            plan_of(chosen, rows, delimiter=delimiter)
        assert fault(caught) in ("bad-choices", "empty-continuation")
        return
    if not all(one.scored for one in flat):
        with pytest.raises(_core.PlanFaults) as caught:
            plan_of(chosen, rows, delimiter=delimiter)
        assert fault(caught) == "empty-continuation"
        return
    plan = plan_of(chosen, rows, delimiter=delimiter)
    assert cell_requests(plan, 0) == expected
    assert len(keys_of(plan)) == len(set(flat)), "one key per distinct request"
    total = json.loads(plan.summary())["total"]
    assert total["prefill_tokens"] == trie_tokens(one.read for one in set(flat))


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=100, deadline=None)
@given(prefixed=st.booleans(), opening=texts, prompts=st.lists(texts, min_size=1, max_size=10))
def test_prompts_are_encoded_whole(
    name: str, prefixed: bool, opening: str, prompts: list[str]
) -> None:
    chosen = family(name, prefixed)
    generate = {"max_new_tokens": 1, "stop": [], "temperature": 0.0, "top_p": 1.0, "top_k": 0}
    generate |= {"repeats": 1, "seed": 0}
    plan = plan_of(
        chosen,
        [{"p": opening + p} for p in prompts],
        kind="generate",
        choices=None,
        generate=generate,
    )
    expected = [chosen.prefix + chosen.ids(opening + p) or (0,) for p in prompts]
    assert [case[0].context for case in cell_requests(plan, 0)] == expected


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=100, deadline=None)
@given(text=texts, window=st.integers(1, 9))
def test_every_token_of_a_text_is_scored_once_in_order(name: str, text: str, window: int) -> None:
    chosen = family(name, False)
    path = write_rows(scratch() / "text.jsonl", [{"p": text}])
    described = task(kind="perplexity", choices=None)
    content = ir(chosen.bundle, [dataset(path)], [described], max_length=window)
    whole = chosen.ids(text)
    if not whole:
        with pytest.raises(_core.PlanFaults, match="empty-continuation"):
            _core.Plan.build(content)
        return
    (windows,) = cell_requests(_core.Plan.build(content), 0)
    assert tuple(i for one in windows for i in one.scored) == whole
    assert all(1 <= len(one.read) <= window for one in windows)
    position = 0
    for one in windows:
        before = (0, *whole)[: position + 1]
        assert one.context == before[-len(one.context) :]
        position += len(one.scored)
