"""Edits of an evaluation, drawn at random: what a user may change between two runs.

Each takes the evaluation and a source of randomness, and returns what it did as a phrase, or None
where it does not apply. An edit keeps the evaluation valid. `EDITS` has all of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from evaluations import COLOURS, WEIGHTS, Evaluation, quiz_row, sum_row

from tiny_models import CHATML

Edit = Callable[[Evaluation, random.Random], str | None]
PROMPTS = ("{{ q }}", "{{ q }} ", " {{ q }}", "{{ q }}\n", "Q: {{ q }}  A:", "{{ q }}{# said #}")
METRICS = {
    "multiple_choice": ("acc", "acc_norm", "acc_bytes"),
    "generate": ("exact_match", "f1", "quasi_exact_match", "pass@1", "scorer:judge"),
    "perplexity": ("word_perplexity", "byte_perplexity", "token_perplexity"),
}
GENERATE: dict[str, tuple[Any, ...]] = {
    "max_new_tokens": (3, 4, 6),
    "stop": ([], ["\n"], ["\n", "."], [".", "\n"]),
    "temperature": (0.0, 0.0, 0.7, 1.0),
    "repeats": (1, 2, 3),
    "seed": (0, 1),
    "top_p": (0.5, 1.0),
    "top_k": (0, 2),
}


def tasks(evaluation: Evaluation, *kinds: str) -> list[str]:
    """Names of the tables of tasks of some kinds, or of all."""
    found = [name for name in evaluation.tables if name.startswith("tasks.")]
    return [name for name in found if not kinds or evaluation.tables[name]["type"] in kinds]


def _task(evaluation: Evaluation, draw: random.Random, *kinds: str) -> dict[str, Any] | None:
    found = tasks(evaluation, *kinds)
    return evaluation.tables[draw.choice(found)] if found else None


def _set(table: dict[str, Any] | None, key: str, value: Any) -> str | None:
    if table is None:
        return None
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
    return f"{key} = {value!r}"


def prompt(evaluation: Evaluation, draw: random.Random) -> str | None:
    return _set(_task(evaluation, draw), "prompt", draw.choice(PROMPTS))


def description(evaluation: Evaluation, draw: random.Random) -> str | None:
    text = draw.choice(["", "Now.\n", "Now. "])
    return _set(_task(evaluation, draw, "multiple_choice", "generate"), "description", text)


def delimiter(evaluation: Evaluation, draw: random.Random) -> str | None:
    text = draw.choice([None, " ", "  ", ": "])
    return _set(_task(evaluation, draw, "multiple_choice"), "delimiter", text)


def choices(evaluation: Evaluation, draw: random.Random) -> str | None:
    lists = ("{{ c }}", list(COLOURS), [*COLOURS[:3], "{{ c[3] }}!"], "{{ c[::-1] }}")
    return _set(_task(evaluation, draw, "multiple_choice"), "choices", draw.choice(lists))


def target(evaluation: Evaluation, draw: random.Random) -> str | None:
    text = draw.choice(["{{ a }}", "{{ 3 - a }}", 0])
    return _set(_task(evaluation, draw, "multiple_choice"), "target", text)


def metrics(evaluation: Evaluation, draw: random.Random) -> str | None:
    table = _task(evaluation, draw)
    if table is None:
        return None
    names = METRICS[table["type"]]
    return _set(table, "metrics", draw.sample(names, draw.randint(1, 2)))


def extract(evaluation: Evaluation, draw: random.Random) -> str | None:
    ways = (
        None,
        {"regex": "[0-9]+"},
        {"regex": "[0-9]+", "take": "last"},
        {"python": "scorer:letters"},
        {"strict": {"regex": "[0-9]"}, "loose": {"regex": "[a-z]+", "lower": True}},
    )
    return _set(_task(evaluation, draw, "generate"), "extract", draw.choice(ways))


def generation(evaluation: Evaluation, draw: random.Random) -> str | None:
    table = _task(evaluation, draw, "generate")
    if table is None:
        return None
    key = draw.choice(list(GENERATE))
    return _set(table["generate"], key, draw.choice(GENERATE[key]))


def shots(evaluation: Evaluation, draw: random.Random) -> str | None:
    table = _task(evaluation, draw, "generate", "multiple_choice")
    if table is None:
        return None
    if "fewshot" not in table:
        table["fewshot"] = {"dataset": "shots", "k": 1, "template": "{{ q }} {{ a }}\n"}
        return "shots added"
    if draw.random() < 0.1:
        del table["fewshot"]
        return "shots removed"
    key, values = draw.choice(
        [
            ("k", (0, 1, 2, 3)),
            ("seed", (1, 2)),
            ("select", ("first", "random", "per_case")),
            ("template", ("{{ q }}{{ a }}", "{{ q }} {{ a }}", "{{ q }}{{ a }}\n")),
            ("separator", ("", "; ", "\n")),
            ("dataset", ("shots", "sums")),
        ]
    )
    return _set(table["fewshot"], key, draw.choice(values))


def task_added(evaluation: Evaluation, draw: random.Random) -> str | None:
    names = tasks(evaluation)
    if len(names) > 5:
        return None
    name, free = draw.choice(names), f"tasks.t{draw.randrange(10**6)}"
    evaluation.tables[free] = _copied(evaluation.tables[name])
    return f"{free} as {name}"


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(own) for key, own in value.items()}
    return list(value) if isinstance(value, list) else value


def task_removed(evaluation: Evaluation, draw: random.Random) -> str | None:
    names = tasks(evaluation)
    if len(names) < 2:
        return None
    name = draw.choice(names)
    del evaluation.tables[name]
    return name


def task_renamed(evaluation: Evaluation, draw: random.Random) -> str | None:
    name, new = draw.choice(tasks(evaluation)), f"tasks.r{draw.randrange(10**6)}"
    renamed = {new if key == name else key: value for key, value in evaluation.tables.items()}
    evaluation.tables = renamed
    return f"{name} to {new}"


def tags(evaluation: Evaluation, draw: random.Random) -> str | None:
    return _set(_task(evaluation, draw), "tags", draw.choice([["en"], ["en", "sum"]]))


def reported(evaluation: Evaluation, draw: random.Random) -> str | None:
    key, value = draw.choice(
        [("cluster", "{{ n // 2 }}"), ("slices", ["{{ n % 2 }}"]), ("cluster", None)]
    )
    return _set(_task(evaluation, draw), key, value)


def comment(evaluation: Evaluation, draw: random.Random) -> str | None:
    evaluation.comment = f"note {draw.randrange(10**6)}"
    return evaluation.comment


def order_of_keys(evaluation: Evaluation, draw: random.Random) -> str | None:
    evaluation.backwards = not evaluation.backwards
    return "turned round"


def tier(evaluation: Evaluation, draw: random.Random) -> str | None:
    limits = draw.choice([None, {"cases": 2}, {"cases": 3}, {"fraction": 0.5}])
    evaluation.tables.pop("tiers.some", None)
    if limits is not None:
        evaluation.tables["tiers.some"] = limits
    return str(limits)


def selected_rows(evaluation: Evaluation, draw: random.Random) -> str | None:
    table = evaluation.tables[draw.choice(["datasets.quiz", "datasets.sums"])]
    key, values = draw.choice([("rows", (None, "0:4", "1:")), ("where", (None, "{{ n != 1 }}"))])
    return _set(table, key, draw.choice(values))


def stable_ids(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(["quiz", "sums", "shots"])
    numbers = [row["n"] for row in evaluation.rows[f"{name}.jsonl"]]
    if len(set(numbers)) < len(numbers):
        return None
    return _set(evaluation.tables[f"datasets.{name}"], "id", draw.choice([None, "row {{ n }}"]))


def prepared(evaluation: Evaluation, draw: random.Random) -> str | None:
    table = evaluation.tables[draw.choice(["datasets.quiz", "datasets.sums"])]
    return _set(table, "prepare", draw.choice([None, "shaper:shape"]))


def row_edited(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.rows))
    row = draw.choice(evaluation.rows[name])
    if name == "quiz.jsonl" and draw.random() < 0.5:
        place = draw.randrange(4)
        row["c"] = [*row["c"][:place], draw.choice(["black", "grey"]), *row["c"][place + 1 :]]
        return f"choice {place} of {row['n']} in {name}"
    row["q"] += draw.choice(["?", " x", "é"])
    return f"question of {row['n']} in {name}"


def row_with_more(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.rows))
    row = draw.choice(evaluation.rows[name])
    row["said"] = draw.randrange(100)
    return f"a column nobody asks of in {name}"


def row_added(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.rows))
    rows = evaluation.rows[name]
    if len(rows) > 9:
        return None
    number = 1 + max(row["n"] for row in rows)
    new = quiz_row(number) if name == "quiz.jsonl" else sum_row(number)
    rows.insert(draw.randint(0, len(rows)), new)
    return f"row {number} in {name}"


def row_twice(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.rows))
    rows = evaluation.rows[name]
    if len(rows) > 9 or "id" in evaluation.tables["datasets." + name.removesuffix(".jsonl")]:
        return None
    rows.append(_copied(draw.choice(rows)))
    return f"row {rows[-1]['n']} again in {name}"


def row_removed(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.rows))
    rows = evaluation.rows[name]
    if len(rows) <= 6 or "rows" in evaluation.tables["datasets." + name.removesuffix(".jsonl")]:
        return None
    gone = rows.pop(draw.randrange(len(rows)))
    return f"row {gone['n']} of {name}"


def rows_in_another_order(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.rows))
    draw.shuffle(evaluation.rows[name])
    return name


def keys_of_rows(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.rows))
    evaluation.rows[name] = [dict(list(row.items())[::-1]) for row in evaluation.rows[name]]
    return f"keys of the rows of {name} turned round"


def hook_source(evaluation: Evaluation, draw: random.Random) -> str | None:
    name = draw.choice(list(evaluation.hooks))
    # most new values are as long as the old ones, so that only the content of the file tells
    values = {"factor": (0.25, 0.75, 0.5), "letters": (1, 2, 3), "suffix": (".", "!", "?")}
    evaluation.hooks[name] = draw.choice(values[name])
    return f"{name} = {evaluation.hooks[name]!r}"


def _model(evaluation: Evaluation, draw: random.Random) -> dict[str, Any]:
    names = [name for name in evaluation.tables if name.startswith("models.")]
    return evaluation.tables[draw.choice(names)]


def weights(evaluation: Evaluation, draw: random.Random) -> str | None:
    model = draw.choice(list(evaluation.models.values()))
    model.weights = draw.choice([seed for seed in WEIGHTS if seed != model.weights])
    model.linked = draw.random() < 0.5
    return f"seed {model.weights}, {'another link' if model.linked else 'written over in place'}"


def configuration(evaluation: Evaluation, draw: random.Random) -> str | None:
    model = draw.choice(list(evaluation.models.values()))
    if draw.random() < 0.5:
        model.theta = draw.choice([10000.0, 20000.0])
        return f"rope_theta = {model.theta}"
    model.inert = draw.choice(["5.0", "5.1"])
    return f"transformers_version = {model.inert}"


def tokenizer(evaluation: Evaluation, draw: random.Random) -> str | None:
    model = draw.choice(list(evaluation.models.values()))
    if draw.random() < 0.5:
        model.merge_gone = not model.merge_gone
        return f"merge gone: {model.merge_gone}"
    model.starts_with_bos = not model.starts_with_bos
    return f"starts with BOS: {model.starts_with_bos}"


def chat_template(evaluation: Evaluation, draw: random.Random) -> str | None:
    model = draw.choice(list(evaluation.models.values()))
    model.template = draw.choice([CHATML, CHATML.replace("\nassistant", "\nhelper")])
    return "the chat template"


def chat(evaluation: Evaluation, draw: random.Random) -> str | None:
    table = _model(evaluation, draw)
    table["chat"] = draw.random() < 0.6
    table.pop("system", None)
    if table["chat"] and draw.random() < 0.5:
        table["system"] = draw.choice(["Be brief.", "Be right."])
    return f"chat = {table['chat']}, system = {table.get('system')!r}"


def engine(evaluation: Evaluation, draw: random.Random) -> str | None:
    key, values = draw.choice(
        [("dtype", ("float32", "bfloat16")), ("numerics", (None, "stable", "fast"))]
    )
    return _set(_model(evaluation, draw), key, draw.choice(values))


def longest(evaluation: Evaluation, draw: random.Random) -> str | None:
    return _set(_model(evaluation, draw), "max_length", draw.choice([200, 40, 24]))


def adapter(evaluation: Evaluation, draw: random.Random) -> str | None:
    if draw.random() < 0.3:
        evaluation.adapter = 7 - evaluation.adapter
        return f"adapter of seed {evaluation.adapter}"
    return _set(_model(evaluation, draw), "adapter", draw.choice([None, "../adapter"]))


def second_model(evaluation: Evaluation, draw: random.Random) -> str | None:
    if "models.n" in evaluation.tables:
        del evaluation.tables["models.n"]
        return "gone"
    evaluation.models["copy"] = evaluation.models["model"].__class__(
        **vars(evaluation.models["model"])
    )
    evaluation.tables["models.n"] = {**evaluation.tables["models.m"], "path": "../copy"}
    return "a copy under another name"


EDITS: dict[str, Edit] = {
    edit.__name__: edit
    for edit in (
        *(prompt, description, delimiter, choices, target, metrics, extract, generation, shots),
        *(task_added, task_removed, task_renamed, tags, reported, comment, order_of_keys, tier),
        *(selected_rows, stable_ids, prepared, row_edited, row_with_more, row_added, row_twice),
        *(row_removed, rows_in_another_order, keys_of_rows, hook_source, weights, configuration),
        *(tokenizer, chat_template, chat, engine, longest, adapter, second_model),
    )
}
