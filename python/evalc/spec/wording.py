"""Faults of one table, from pydantic's findings to diagnostics in the project's own words."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, get_args

from pydantic_core import ErrorDetails

from evalc.diagnostics import MOST_SHOWN, Diagnostic, Place
from evalc.diagnostics.catalogue import CATALOGUE
from evalc.diagnostics.near import nearest
from evalc.spec.index import Index, Loc, Step
from evalc.spec.models import ExtractSpec, Table

BARE = re.compile(r"[A-Za-z0-9_-]+")
WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
KINDS: dict[type, str] = {str: "text", list: "a list", dict: "a table"}
BOUNDS = {
    "greater_than": ("larger than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("smaller than", "lt"),
    "less_than_equal": ("at most", "le"),
}
ELSEWHERE = {
    "doc_to_text": "prompt",
    "process_docs": "prepare",
    "test_split": "dataset",
    "fewshot_split": "fewshot.dataset",
    "fewshot_config": "fewshot",
    "generation_kwargs": "generate",
    "gen_kwargs": "generate",
    "pretrained": "path",
    "peft": "adapter",
    "apply_chat_template": "chat",
    "system_instruction": "system",
    "doc_to_choice": "choices",
    "doc_to_target": "target",
    "target_delimiter": "delimiter",
    "fewshot_delimiter": "fewshot.separator",
    "num_fewshot": "fewshot.k",
    "output_type": "type",
    "metric_list": "metrics",
    "dataset_path": "dataset",
    "max_gen_toks": "generate.max_new_tokens",
    "max_tokens": "generate.max_new_tokens",
    "max_length_generation": "generate.max_new_tokens",
    "until": "generate.stop",
    "stop_sequences": "generate.stop",
    "stop_strings": "generate.stop",
    "num_return_sequences": "generate.repeats",
    "do_sample": "generate.temperature",
    "filter_list": "extract",
    "tag": "tags",
    "limit": "cases",
}
"""Names that other harnesses give to keys of this language."""
ALIASES = {
    "gpu": "cuda",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "float": "float32",
    "float64": "float32",
    "fp64": "float32",
    "double": "float32",
    "loglikelihood": "multiple_choice",
    "loglikelihood_rolling": "perplexity",
    "generate_until": "generate",
    "sample": "random",
}
"""Values by other names."""


def dotted(loc: Sequence[Step]) -> str:
    """`tasks.gsm8k.metrics[1]`, with quotes around keys that need them."""
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if BARE.fullmatch(step) else json.dumps(step, ensure_ascii=False)
            text += f".{key}" if text else key
    return text


def shown(value: Any) -> str:
    """A value as a message shows it: short, in backticks, with its kind where that helps."""
    if isinstance(value, str):
        text = value if len(value) <= 60 else value[:57] + "..."
        return f"the text `{json.dumps(text, ensure_ascii=False)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a whole number of more than 20 digits"
    if isinstance(value, int | float):
        return f"the number `{value}`"
    if isinstance(value, datetime.date | datetime.time):
        return f"the date or time `{value}`"
    return "a list" if isinstance(value, list) else "a table"


def listed(words: Sequence[str]) -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def did_you_mean(word: str, words: Sequence[str]) -> str | None:
    """A hint with the nearest of `words`, or None."""
    close = nearest(word, words)
    return f"did you mean `{close}`?" if close else None


def unknown_key(loc: Sequence[Step], table: type[Table], place: Place | None) -> Diagnostic:
    """A key that `table` does not have."""
    key, parent = str(loc[-1]), loc[:-1]
    where = f"`{dotted(parent)}`" if parent else "a spec file"
    return Diagnostic(
        "unknown-key",
        f"unknown key `{key}` in {where}",
        place,
        hint=meant(key, table) or f"use one of {listed(sorted(table.model_fields))}",
    )


def meant(key: str, table: type[Table]) -> str | None:
    """What an unknown key of `table` was probably meant to be."""
    own = list(table.model_fields)
    if "." in key and key.split(".", maxsplit=1)[0] in own:
        return f"write `{key}` without quotes; inside them a dot is part of the name"
    other = ELSEWHERE.get(key)
    if key == "do_sample" and {"generate", "temperature"} & set(own):
        name = "temperature" if "temperature" in own else other
        return f"leave it out; `{name}` above 0 samples, and 0 takes the likeliest token"
    for name in (other, other and other.split(".")[-1]):
        if name and name.split(".")[0] in own:
            return f"this language calls it `{name}`"
    for name in own:
        if key in getattr(table_at(table, (name,)), "model_fields", ()):
            return f"write it inside `{name}`, as `{name}.{key}`"
    return did_you_mean(key, own)


def wrong_type(loc: Sequence[Step], value: Any, wanted: type, place: Place | None) -> Diagnostic:
    """A value of another TOML type than `wanted`."""
    message = f"`{dotted(loc)}` wants {KINDS[wanted]}, not {shown(value)}"
    return Diagnostic("wrong-type", message, place)


@cache
def _table_in(table: type[Table], name: str) -> type[Table] | None:
    """The model of the tables under one key."""
    return _tables_in(table.model_fields[name].annotation)


def table_at(table: type[Table], loc: Sequence[Step]) -> type[Table] | None:
    """The model of the innermost table at `loc`; names inside a table of tables are passed by."""
    current = table
    for step in loc:
        if isinstance(step, int) or step not in current.model_fields:
            continue
        inner = _table_in(current, step)
        if inner is None:
            return None
        current = inner
    return current


def _tables_in(annotation: Any) -> type[Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    found = (_tables_in(part) for part in get_args(annotation))
    return next((table for table in found if table is not None), None)


def clean(loc: Sequence[Step]) -> Loc:
    """A pydantic location without the tags of unions, which are in angle brackets."""
    return tuple(s for s in loc if not (isinstance(s, str) and s[:1] == "<" and s[-1:] == ">"))


def worded(
    errors: Sequence[ErrorDetails], prefix: Loc, table: type[Table], index: Index
) -> list[Diagnostic]:
    """Diagnostics for what pydantic found in the table at `prefix`.

    A missing key whose misspelling is also reported is not reported on its own. Of one table's
    faults the first are reported: each is looked at for what was meant.
    """
    diagnostics = []
    errors = errors[:MOST_SHOWN]
    misspelt = {
        (clean(e["loc"])[:-1], nearest(str(e["loc"][-1]), _keys(table, clean(e["loc"])[:-1])))
        for e in errors
        if e["type"] == "extra_forbidden"
    }
    for error in errors:
        inner = clean(error["loc"])
        if error["type"] == "missing" and (inner[:-1], inner[-1]) in misspelt:
            continue
        diagnostics.append(_one(error, prefix, inner, table, index))
    return diagnostics


def _keys(table: type[Table], loc: Loc) -> list[str]:
    found = table_at(table, loc)
    return list(found.model_fields) if found else []


def _one(
    error: ErrorDetails, prefix: Loc, inner: Loc, table: type[Table], index: Index
) -> Diagnostic:
    kind, loc = error["type"], prefix + inner
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "extra_forbidden":
        owner = table_at(table, inner[:-1]) or table
        found = unknown_key(loc, owner, index.place(loc, key=True))
        if owner is ExtractSpec and isinstance(error["input"], dict):
            return replace(found, hint="give every extraction a name, or none")
        return found
    if kind == "missing":
        return missing_key(loc, index)
    if kind in CATALOGUE:
        place = index.place(loc, span=context.get("span"))
        message = f"`{dotted(loc)}`: {context['message']}"
        return Diagnostic(kind, message, place, hint=context.get("hint"))
    code, message, hint = _value(kind, error["input"], context, error["msg"])
    return Diagnostic(code, f"`{dotted(loc)}` {message}", index.place(loc), hint=hint)


def missing_key(loc: Loc, index: Index, hint: str | None = None) -> Diagnostic:
    """The key `loc[-1]` is absent from the table `loc[:-1]`; the table is shown."""
    message = f"`{dotted(loc[:-1])}` has no `{dotted(loc[-1:])}`"
    return Diagnostic(
        "missing-key",
        message,
        index.place(loc[:-1]),
        hint=hint or f"add `{dotted(loc[-1:])} = ...` to it",
    )


def _value(
    kind: str, value: Any, context: Mapping[str, Any], said: str
) -> tuple[str, str, str | None]:
    """(code, rest of the message, hint) for a value that pydantic refused."""
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        alias = ALIASES.get(str(value))
        hint = f"write `{alias}`" if alias in words else did_you_mean(str(value), words)
        said = f"`{value}`" if isinstance(value, str) else shown(value)
        return "wrong-value", f"is {said}; it must be {listed(words)}", hint
    if kind in BOUNDS:
        words_, name = BOUNDS[kind]
        said = shown(value).removeprefix("the number ")
        return "wrong-value", f"is {said}; it must be {words_} `{context[name]}`", None
    if kind in ("too_short", "string_too_short"):
        return "wrong-value", "is empty", "write at least one value"
    if kind in ("too_long", "string_too_long"):
        most, of = context["max_length"], "values" if kind == "too_long" else "characters"
        said = f"has {len(value)} {of}; it may have at most {most}"
        return "wrong-value", said, "leave some out"
    if kind == "finite_number":
        return "wrong-value", f"is `{value}`; it must be a finite number", None
    wanted = WANTED.get(kind, said)
    return "wrong-type", f"wants {wanted}, not {shown(value)}", _retyped(kind, value)


def _retyped(kind: str, value: Any) -> str | None:
    """How to write `value` so that its type is right."""
    if kind == "list_type" and isinstance(value, str):
        return f"write `[{json.dumps(value, ensure_ascii=False)}]`"
    if kind == "string_type" and isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else value
        return f'write `"{text}"`, with quotes'
    if kind in ("int_type", "float_type") and isinstance(value, str):
        pattern = r"[+-]?\d+" if kind == "int_type" else r"[+-]?\d+(\.\d+)?"
        return f"write `{value}`, without quotes" if re.fullmatch(pattern, value) else None
    if kind == "bool_type" and str(value).lower() in ("true", "false"):
        return f"write `{str(value).lower()}`, without quotes"
    return None
