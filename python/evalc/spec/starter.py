"""The files that `evalc init` writes: a commented spec and small data, ready to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from evalc.spec.schema import schema_text

MODEL = "path/to/model"
SPEC = """\
#:schema ./evalc.schema.json
evalc = 1                               # version of the spec language

# The model to ask: a directory with config.json, weights and tokenizer. Edit this line.
[models.mine]
path = {model}
# dtype = "bfloat16"                    # float32 (default), bfloat16, float16
# chat = true                           # put prompts into the model's chat template
# adapter = "out/lora"                  # a LoRA adapter on top

# The rows to ask about: jsonl, csv, tsv or parquet, also compressed.
[datasets.capitals]
path = "data/capitals.jsonl"
[datasets.sums]
path = "data/sums.jsonl"
[datasets.sums_shots]
path = "data/sums_shots.jsonl"
[datasets.sentences]
path = "data/sentences.jsonl"

# Which choice is likeliest? Names in {{{{ }}}} are columns of the row.
[tasks.capitals]
dataset = "capitals"
type    = "multiple_choice"
prompt  = "Question: What is the capital of {{{{ country }}}}?\\nAnswer:"
choices = "{{{{ choices }}}}"
target  = "{{{{ answer }}}}"                # the index of the right choice
metrics = ["acc", "acc_norm"]
slices  = ["{{{{ continent }}}}"]           # scores are also reported per continent
tags    = ["facts"]

# The model writes, a regular expression reads the answer out of what it wrote.
[tasks.sums]
dataset  = "sums"
type     = "generate"
prompt   = "Q: {{{{ question }}}}\\nA:"
target   = "{{{{ answer }}}}"
generate = {{ max_new_tokens = 16, stop = ["\\n"] }}
extract  = {{ regex = '-?\\d+' }}
metrics  = ["exact_match"]
tags     = ["arithmetic"]
[tasks.sums.fewshot]                    # worked examples in front of the prompt
dataset  = "sums_shots"
k        = 3
template = "Q: {{{{ question }}}}\\nA: {{{{ answer }}}}\\n\\n"

# How likely is a text?
[tasks.sentences]
dataset = "sentences"
type    = "perplexity"
prompt  = "{{{{ text }}}}"
metrics = ["word_perplexity", "bits_per_byte"]

# What is run together.
[suites.starter]
models = ["mine"]
tasks  = ["tag:facts", "sums", "sentences"]

# A tier is a budget: `--tier smoke` asks a few cases of each task, and a later full run
# asks only the rest.
[tiers.smoke]
cases = 5

# What the results must reach; `evalc exec` exits with 3 when they do not.
# [gates.floor]
# metric = "capitals.acc"
# min    = 0.5
"""

CAPITALS = (
    ("France", "Europe", ("Lyon", "Paris", "Marseille", "Nice"), 1),
    ("Japan", "Asia", ("Osaka", "Kyoto", "Nagoya", "Tokyo"), 3),
    ("Egypt", "Africa", ("Cairo", "Alexandria", "Luxor", "Giza"), 0),
    ("Canada", "America", ("Toronto", "Montreal", "Ottawa", "Vancouver"), 2),
    ("Italy", "Europe", ("Rome", "Milan", "Naples", "Turin"), 0),
    ("Kenya", "Africa", ("Mombasa", "Nairobi", "Kisumu", "Nakuru"), 1),
    ("India", "Asia", ("Mumbai", "Kolkata", "New Delhi", "Chennai"), 2),
    ("Peru", "America", ("Cusco", "Arequipa", "Trujillo", "Lima"), 3),
    ("Norway", "Europe", ("Bergen", "Oslo", "Trondheim", "Stavanger"), 1),
    ("Thailand", "Asia", ("Bangkok", "Phuket", "Chiang Mai", "Pattaya"), 0),
    ("Morocco", "Africa", ("Casablanca", "Marrakesh", "Fez", "Rabat"), 3),
    ("Chile", "America", ("Valparaíso", "Concepción", "Santiago", "Antofagasta"), 2),
)
SUMS = ((2, 3), (7, 1), (4, 4), (10, 5), (6, 9), (12, 7), (20, 22), (15, 15), (31, 8), (44, 55))
SHOTS = ((1, 1), (5, 2), (8, 3))
SENTENCES = (
    "The sun rises in the east and sets in the west.",
    "Water freezes at zero degrees and boils at one hundred.",
    "She put the letter in her pocket and walked slowly to the station.",
    "A good tool does one thing, and does it well.",
)


def starter_files(model: str = MODEL) -> dict[str, str]:
    """Text by relative path; `model` is the path that the spec names."""
    return {
        "evalc.toml": SPEC.format(model=json.dumps(model, ensure_ascii=False)),
        "evalc.schema.json": schema_text(),
        "data/capitals.jsonl": _lines([_capital(*row) for row in CAPITALS]),
        "data/sums.jsonl": _lines([_sum(*row) for row in SUMS]),
        "data/sums_shots.jsonl": _lines([_sum(*row) for row in SHOTS]),
        "data/sentences.jsonl": _lines([{"text": text} for text in SENTENCES]),
    }


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _capital(country: str, continent: str, choices: tuple[str, ...], answer: int) -> dict[str, Any]:
    return {
        "country": country,
        "continent": continent,
        "choices": list(choices),
        "answer": answer,
    }


def _sum(left: int, right: int) -> dict[str, Any]:
    return {"question": f"{left} + {right} =", "answer": str(left + right)}
