"""Specs, templates, rows and packed data that were changed by chance: every one has a diagnostic.

    python benches/fuzz_specs.py [--seconds N] [--seed N] [--keep FOLDER]

Printed: inputs, outcomes by code. Exits with 1 after an internal error, an abort or a hang; what
did it is kept in FOLDER.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
from pathlib import Path

import evalc.cli.commands.check
from fuzzing import Input, Make, command_line

SPEC = """evalc = 1
[paths]
data = "."
[datasets.d]
path = "${data}/d.jsonl"
rows = "0:40"
where = "{{ n != 3 }}"
id = "{{ n }}"
[datasets.c]
path = "c.csv"
[datasets.z]
path = "z.jsonl.gz"
[tasks.m]
dataset = "d"
type = "multiple_choice"
description = "Choose.\\n"
prompt = "{% for x in xs %}{{ loop.index }}. {{ x | upper }}\\n{% endfor %}{{ q }}"
choices = "{{ xs }}"
target = "{{ n % 2 }}"
fewshot = { dataset = "z", k = 2, template = "{{ q }}\\n", select = "random", seed = 1 }
metrics = ["acc", "acc_norm"]
slices = ["{{ q[0] }}"]
average = "micro"
tags = ["one"]
[tasks.g]
dataset = "c"
type = "generate"
prompt = "{{ '%s' | format(a) ~ b.strip()[1:-1] if b is defined else a }}"
target = ["{{ a }}", "{{ b | default('x') }}"]
generate = { max_new_tokens = 8, stop = ["\\n"], temperature = 0.5, repeats = 3, seed = 7 }
extract = { regex = '(\\d+)', take = "last", group = 1, otherwise = 'x', ignore = [","] }
metrics = ["exact_match", "pass@2"]
[models.x]
path = "nowhere"
[suites.s]
models = ["*"]
tasks = ["m", "tag:one"]
[tiers.t]
fraction = 0.5
seconds = 10.0
[[triggers]]
paths = ["docs/**", "*.md"]
tier = "none"
[gates.a]
metric = "m.acc"
min = 0.5
alpha = 0.05
"""
ROWS = "".join(
    json.dumps(
        {"q": f"Was is it, {n}?", "n": n, "xs": ["a", "b'", "ü"], "d": {"k": [n, None, 1.5]}}
    )
    + "\n"
    for n in range(8)
)
TABLE = "a,b\n" + "".join(f'{n},"x, {n}"\n' for n in range(8))
FILES = {
    "spec.toml": SPEC.encode(),
    "d.jsonl": ROWS.encode(),
    "c.csv": TABLE.encode(),
    "z.jsonl.gz": gzip.compress(ROWS.encode()),
}
# fmt: off
WORDS = (
    "-1", "0", "1e400", "nan", "inf", "true", "false", "99999999999999999999", "1.5", "[]", "{}",
    "\"\"", "''", "[[", "]]", "{{", "}}", "{%", "%}", "{#", "#}", "raw", "endraw", "if", "else",
    "elif", "endif", "for", "in", "endfor", "set", "namespace", "macro", "call", "filter", "loop",
    "recursive", "is", "not", "defined", "and", "or", "|", ".", "(", ")", ",", "~", "+", "-", "*",
    "**", "//", "%", "==", "<", ">", "=", ":", "\\", "\\n", "\\d", "\\u0000", "\\ud800", "\"",
    "'", "\u0000", "\u001b", "\u202e", "\ufffd", "range(99999)", "join", "format", "replace('',",
    "q)", "upper", "tojson", "'x'*99999", "[q]*99999", "q", "d.k", "xs[0]", "n", "ns.a",
    "tasks.m", "datasets.d", "metrics", "prompt", "generate", "repeats", "seed", "k", "rows",
    "where", "id", "acc", "exact_match", "pass@3", "hf:", "${data}", "../", "/dev/null", "*",
    "**", "[a-z]", "(a+)+$", "(?P<x>)", "\\1", "{{q}}", "{%set+a=a%}", "{{a|b}}",
)
# fmt: on


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with a few changes: of words, of numbers, of texts, of lines, of bytes."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        kind = rng.randrange(8)
        text = data.decode(errors="surrogateescape")
        tokens = list(re.finditer(r"\w+|[^\w\s]", text))
        if kind <= 2 and tokens:
            token = rng.choice(tokens)
            word = rng.choice(WORDS) * rng.choice([1, 1, 1, 1, 2, 500])
            cut = token.end() if kind < 2 else token.start()
            text = text[: token.start()] + word + text[cut:]
        elif kind == 3:
            lines = text.splitlines(keepends=True)
            rng.shuffle(lines) if rng.random() < 0.1 else lines.insert(
                rng.randint(0, len(lines)), rng.choice(lines or [""])
            )
            text = "".join(lines)
        elif kind == 4 and tokens:
            one, two = rng.choice(tokens), rng.choice(tokens)
            text = text[: one.start()] + two[0] + text[one.end() :]
        elif kind == 5:
            start = rng.randint(0, len(text))
            text = text[:start] + text[start + rng.choice([1, 5, 100]) :]
        elif kind == 6:
            start = rng.randint(0, len(text))
            part = text[start : start + rng.choice([1, 9, 80])]
            text = text[:start] + part * rng.choice([2, 9, 300]) + text[start:]
        data = text.encode(
            errors="surrogateescape" if max(text, default="") >= "\udc80" else "replace"
        )
        if kind == 7 and data:
            at = rng.randrange(len(data))
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    return data


def made(rng: random.Random, root: Path) -> Input:
    """Write the files of one input."""
    files = dict(FILES)
    name = rng.choices(list(files), [8, 3, 1, 1])[0]
    if name == "z.jsonl.gz" and rng.random() < 0.5:
        files[name] = gzip.compress(mutated(ROWS.encode(), rng))
    else:
        files[name] = mutated(files[name], rng)
    for file, data in files.items():
        (root / file).write_bytes(data)
    return Input([["check", "spec.toml"]], name)


def prepared(_: Path) -> Make:
    """Nothing but what is imported; a fork inherits it."""
    assert evalc.cli.commands.check
    return made


if __name__ == "__main__":
    sys.exit(command_line(__doc__, "fuzz-specs", prepared, lambda: None))
