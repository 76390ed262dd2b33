"""Specs, templates, rows and packed data that were changed by chance: every one has a diagnostic.

    python benches/fuzz_specs.py [--seconds N] [--seed N] [--keep FOLDER]

Inputs are checked in children that live for a while, so that an abort or a hang is noticed and
costs one child. Printed: inputs, outcomes by code. Exits with 1 after an internal error, an abort
or a hang; what did it is kept in FOLDER.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from evalc.cli import main as evalc

SECONDS = 20.0
INPUTS = 400
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


def made(number: int, seed: int) -> dict[str, bytes]:
    """The files of one input."""
    rng = random.Random(f"{seed}:{number}")
    files = dict(FILES)
    name = rng.choices(list(files), [8, 3, 1, 1])[0]
    if name == "z.jsonl.gz" and rng.random() < 0.5:
        files[name] = gzip.compress(mutated(ROWS.encode(), rng))
    else:
        files[name] = mutated(files[name], rng)
    return files


def serve(folder: Path, seed: int) -> None:
    """Check inputs whose numbers come in, a line each; answer with the code and what was said."""
    for line in sys.stdin:
        for name, data in made(int(line), seed).items():
            (folder / name).write_bytes(data)
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = evalc(["check", str(folder / "spec.toml")])
        except SystemExit as ended:
            code = ended.code
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
        sys.__stdout__.write(json.dumps([code, out.getvalue()[:2000]]) + "\n")
        sys.__stdout__.flush()


class Child:
    """A process that checks inputs until it dies."""

    def __init__(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        environment = {**os.environ, "EVALC_CACHE": str(self.folder / "cache"), "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(self.folder), "--seed", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        self.done = 0

    def outcome(self, number: int) -> tuple[str, str]:
        """The diagnostic codes of an input, or what went wrong, and what was said."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        self.done += 1
        if not select.select([self.process.stdout], [], [], SECONDS + 20 * (self.done == 1))[0]:
            return "HANG", ""
        line = self.process.stdout.readline()
        if not line:
            return f"ABORT {self.process.wait()}", ""
        code, said = json.loads(line)
        if code not in (0, 2) or "internal error" in said:
            return f"INTERNAL {code}", said
        return (",".join(sorted(set(re.findall(r"\[([a-z-]+)\]", said)))[:2]) or "ok"), said

    def end(self) -> None:
        """Stop it."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--serve", type=Path)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.seed)
        return
    end = time.monotonic() + asked.seconds
    outcomes: Counter[str] = Counter()
    child, number = Child(asked.seed), 0
    while time.monotonic() < end:
        found, said = child.outcome(number)
        outcomes[found] += 1
        bad = found.startswith(("HANG", "ABORT", "INTERNAL"))
        if bad:
            print(f"{found} by input {number}: {said[:300]}", flush=True)
            folder = asked.keep / f"{asked.seed}-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in made(number, asked.seed).items():
                (folder / name).write_bytes(data)
        if bad or child.done >= INPUTS:
            child.end()
            child = Child(asked.seed)
        number += 1
    child.end()
    for found, count in outcomes.most_common():
        print(f"{count:7} {found}")
    wrong = sum(
        n for found, n in outcomes.items() if found.startswith(("HANG", "ABORT", "INTERNAL"))
    )
    print(f"{number} inputs in {asked.seconds:.0f} s, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
