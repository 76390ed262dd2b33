"""Which requests an evaluation makes, worked out by brute force and without evalc.

Trusted: Jinja2 for templates, the Python package tokenizers, and this file's reading of the rules
in docs/architecture.md and of lm-evaluation-harness 0.4.13 for splitting and windows. Nothing of
evalc is imported: neither its planner nor its keys, memo, store or identities. A request is a tuple
of what the model is by content, what the engine is, the kind, the token ids and the settings; two
requests are one when the tuples are equal.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from blake3_by_hand import blake3
from evaluations import Evaluation
from jinja2 import Environment, StrictUndefined
from tokenizers import Tokenizer

Request = tuple[Any, ...]
INERT = "transformers_version"
BOS, EOS = 0, 1
ORDER = b"evalc.order.v1\0\0"
PLAIN = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
CHAT = Environment(trim_blocks=True, lstrip_blocks=True)


def requests(evaluation: Evaluation, root: Path) -> set[Request]:
    """Every request of every model under every task."""
    tables = evaluation.tables
    return {
        request
        for name in tables
        if name.startswith("models.")
        for task in tables
        if task.startswith("tasks.")
        for request in _Cell(evaluation, root, tables[name], tables[task]).requests()
    }


def content(path: Path, adapter: Path | None, dtype: str, numerics: str) -> tuple[str, ...]:
    """What a model and its engine are: digests of the files as they are now, and names."""
    config = json.loads((path / "config.json").read_text())
    config.pop(INERT)
    parts = [json.dumps(config, sort_keys=True).encode(), (path / "model.safetensors").read_bytes()]
    if adapter is not None:
        names = ("adapter_config.json", "adapter_model.safetensors")
        parts += [(adapter / name).read_bytes() for name in names]
    return (*(hashlib.sha256(part).hexdigest() for part in parts), dtype, numerics)


def likelihood(model: Request, context: tuple[int, ...], scored: tuple[int, ...]) -> Request:
    """The request for the log-likelihood of `scored` after `context`."""
    return ("loglikelihood", model, context, scored)


def generation(model: Request, context: tuple[int, ...], setting: dict[str, Any]) -> Request:
    """The request for a continuation of `context`; a greedy one has neither seed nor slot."""
    greedy = setting["temperature"] == 0
    drawn = () if greedy else tuple(setting[key] for key in ("top_p", "top_k", "seed", "slot"))
    stops = tuple(sorted({*setting["stop"]}))
    own = (setting["max_new_tokens"], setting["temperature"], stops, *drawn)
    return ("generate", model, context, own)


@lru_cache(maxsize=64)
def _chat(text: str) -> Any:
    return CHAT.from_string(text)


@lru_cache(maxsize=64)
def _tokenizer(text: str) -> Tokenizer:
    return Tokenizer.from_str(text)


@lru_cache(maxsize=4096)
def _template(text: str) -> Any:
    """The value of a template that is one expression, else its text, as a function of a row."""
    if text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1:
        return PLAIN.compile_expression(text[2:-2].strip(), undefined_to_none=False)
    return _compiled(text).render


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Any:
    return PLAIN.from_string(text)


def _text(template: str, row: dict[str, Any]) -> str:
    return str(_compiled(template).render(row))


def _order(text: str) -> int:
    """Where a row stands in the order that tiers and draws take prefixes of; seed 0."""
    return -int.from_bytes(blake3(text.encode(), ORDER + bytes(16))[:16], "big")


class _Cell:
    """A model under a task."""

    def __init__(
        self, evaluation: Evaluation, root: Path, model: dict[str, Any], task: dict[str, Any]
    ) -> None:
        self.evaluation, self.model, self.task = evaluation, model, task
        path = root / model["path"].removeprefix("../")
        adapter = root / "adapter" if "adapter" in model else None
        numerics = model.get("numerics", "stable")
        self.content = content(path, adapter, model["dtype"], numerics)
        self.tokenizer = _tokenizer((path / "tokenizer.json").read_text())
        self.template = (path / "chat_template.jinja").read_text()
        self.start = (BOS,) if self.tokenizer.encode("a").ids[0] == BOS else ()

    def requests(self) -> Iterator[Request]:
        for identifier, row in self.cases():
            if self.task["type"] == "perplexity":
                yield from self._windows(_text(self.task["prompt"], row))
            elif self.task["type"] == "generate":
                yield from self._generations(self._context(identifier, row))
            else:
                yield from self._choices(self._context(identifier, row), row)

    def cases(self) -> list[tuple[str, dict[str, Any]]]:
        """Rows that the tier keeps, in file order."""
        rows = self.rows(self.task["dataset"])
        tier = self.evaluation.tables.get("tiers.some", {})
        budget = tier.get("cases", len(rows))
        if "fraction" in tier:
            budget = min(budget, -(-len(rows) // round(1 / tier["fraction"])))
        kept = sorted(rows, key=lambda pair: _order(pair[0]))[:budget]
        return [pair for pair in rows if pair in kept]

    def rows(self, dataset: str) -> list[tuple[str, dict[str, Any]]]:
        """Selected rows under their ids."""
        table = self.evaluation.tables[f"datasets.{dataset}"]
        rows = self.evaluation.rows[table["path"]]
        if "prepare" in table:
            rows = [{**row, "q": row["q"] + self.evaluation.hooks["suffix"]} for row in rows]
        if "rows" in table:
            start, _, stop = table["rows"].partition(":")
            rows = rows[int(start) : int(stop) if stop else None]
        if "where" in table:
            rows = [row for row in rows if _template(table["where"])(**row)]
        seen: Counter[str] = Counter()
        named = []
        for row in rows:
            name = _text(table["id"], row) if "id" in table else _content_id(row)
            seen[name] += 1
            named.append((name if seen[name] == 1 else f"{name}#{seen[name]}", row))
        return named

    def _context(self, identifier: str, row: dict[str, Any]) -> str:
        text = self.task.get("description", "") + self._shots(identifier, row)
        text += _text(self.task["prompt"], row)
        if not self.model.get("chat"):
            return text
        messages = [{"role": "user", "content": text}]
        if "system" in self.model:
            messages.insert(0, {"role": "system", "content": self.model["system"]})
        given = {"messages": messages, "add_generation_prompt": True}
        return str(_chat(self.template).render(given))

    def _shots(self, identifier: str, row: dict[str, Any]) -> str:
        shots = self.task.get("fewshot")
        if shots is None:
            return ""
        rows = self.rows(shots["dataset"])
        if shots["dataset"] == self.task["dataset"]:
            rows = [pair for pair in rows if pair[0] != identifier]
        seed, way = shots.get("seed", 0), shots.get("select", "first")
        if way != "first":
            own = f"{seed}\0" if way == "random" else f"{seed}\0{identifier}\0"
            rows = sorted(rows, key=lambda pair: _order(own + pair[0]))
        texts = [_text(shots["template"], shot) for _, shot in rows[: shots["k"]]]
        return str(shots.get("separator", "")).join(texts)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _begun(self, text: str) -> tuple[int, ...]:
        """Ids of a text with what the tokenizer puts first; a chat template writes that itself."""
        return (() if self.model.get("chat") else self.start) + self._ids(text)

    def _choices(self, context: str, row: dict[str, Any]) -> Iterator[Request]:
        delimiter = self.task.get("delimiter", "" if self.model.get("chat") else " ")
        given = self.task["choices"]
        listed = isinstance(given, list)
        texts = [_text(own, row) for own in given] if listed else _template(given)(**row)
        stem = context.rstrip()
        moved = context[len(stem) :] + delimiter
        alone = self._ids(stem)
        scored = [self._ids(stem + moved + str(text))[len(alone) :] for text in texts]
        limit = self.model["max_length"] + 1 - max(map(len, scored))
        for one in scored:
            yield likelihood(self.content, self._begun(stem)[-limit:], one)

    def _generations(self, context: str) -> Iterator[Request]:
        setting = {"top_p": 1.0, "top_k": 0, **self.task["generate"]}
        limit = self.model["max_length"] - setting["max_new_tokens"]
        for slot in range(setting["repeats"]):
            yield generation(self.content, self._begun(context)[-limit:], {**setting, "slot": slot})

    def _windows(self, text: str) -> Iterator[Request]:
        ids, window, done = (BOS, *self._ids(text)), self.model["max_length"], 1
        while done < len(ids):
            end = min(len(ids), done + window)
            start = 0 if done == 1 else max(0, end - window - 1)
            yield likelihood(self.content, ids[start:done], ids[done:end])
            done = end


def _content_id(row: dict[str, Any]) -> str:
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return blake3(text.encode()).hex()[:16]
