"""Mutated files that evalc wrote, or reads beside a spec: each ends in a documented exit code.

    python benches/fuzz_files.py [--seconds N] [--seed N] [--keep FOLDER]

Every input is a workspace that has been run, in which one file is changed: data (JSON Lines, CSV,
TSV, Parquet, packed or not), `evalc.lock`, a pinned plan, a segment of the store, a record or a
run's manifest in the store, a file of the cache. The commands that read it follow, in a forked
child. Printed: inputs, outcomes by code. Exits with 1 after an internal error, a traceback, a
signal or a hang; what did it is kept in FOLDER.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import lmdb
import pyarrow
import pyarrow.parquet

import evalc.cli.commands.cache.group
import evalc.cli.commands.exec
from evalc import _core
from evalc.plan.provenance import digest
from evalc.store import segments
from fuzzing import Input, Make, command_line

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import tokenizer_child
from fuzz_models import damaged, edited
from fuzz_specs import mutated
from tiny_models import write_model

SPEC = """evalc = 1
[models.m]
path = "m"
[datasets.j]
path = "d.jsonl"
[datasets.z]
path = "d.jsonl.gz"
[datasets.c]
path = "d.csv"
[datasets.t]
path = "d.tsv"
[datasets.p]
path = "d.parquet"
[tasks.j]
dataset = "j"
type = "multiple_choice"
prompt = "{{ q }}"
choices = "{{ xs }}"
target = "{{ n % 2 }}"
metrics = ["acc", "acc_norm"]
slices = ["{{ n }}"]
[tasks.z]
dataset = "z"
type = "generate"
prompt = "{{ q }}"
target = "x"
generate = { max_new_tokens = 2 }
extract = { regex = '(\\d+)' }
metrics = ["exact_match"]
[tasks.c]
dataset = "c"
type = "perplexity"
prompt = "{{ q }}"
metrics = ["word_perplexity"]
[tasks.t]
dataset = "t"
type = "multiple_choice"
prompt = "{{ q }}"
choices = ["a", "b"]
target = 0
metrics = ["acc"]
[tasks.p]
dataset = "p"
type = "multiple_choice"
prompt = "{{ q }}"
choices = "{{ xs }}"
target = "{{ n % 2 }}"
metrics = ["acc"]
[tiers.small]
cases = 2
[gates.g]
metric = "j.acc"
baseline = "main"
max_drop = 0.5
"""
ROWS = [{"q": f"Is it, {n}?", "n": n, "xs": ["a", "b'"], "d": {"k": [n, None]}} for n in range(6)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
LOCK = {"lock": 1, "models": {}, "datasets": {}}
READERS: dict[str, list[list[str]]] = {
    "data": [["plan", "spec.toml"]],
    "lock": [["plan", "spec.toml"], ["lock", "--check", "spec.toml"]],
    "plan": [["plan", "--show", "plan.json"], ["exec", "plan.json"]],
    "segment": [["cache", "import", "part.evalc"], ["cache", "verify"], ["report", "spec.toml"]],
    "store": [
        *(["report", "spec.toml"], ["diff", "main", "other"], ["report", "--json", "spec.toml"]),
        *(["cache", "verify"], ["cache", "stat"], ["cache", "gc"], ["exec", "spec.toml"]),
    ],
    "cache": [["plan", "spec.toml"], ["report", "spec.toml"], ["explain", "j", "spec.toml"]],
}


def base(folder: Path) -> Path:
    """A workspace with everything in it that evalc writes."""
    write_model(folder / "m")
    (folder / "spec.toml").write_text(SPEC)
    (folder / "d.jsonl").write_text(LINES)
    (folder / "d.jsonl.gz").write_bytes(gzip.compress(LINES.encode()))
    table = [("q", "n")] + [(f"a {n}", str(n)) for n in range(6)]
    (folder / "d.csv").write_text("".join(f'"{q}",{n}\n' for q, n in table))
    (folder / "d.tsv").write_text("".join(f"{q}\t{n}\n" for q, n in table))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "d.parquet")
    for command in (
        ["exec", "spec.toml", "--record", "main"],
        ["exec", "spec.toml", "--record", "other"],
        ["plan", "spec.toml", "--out", "plan.json"],
        ["cache", "export", "part.evalc"],
    ):
        cache = ["--cache", "cache"]
        subprocess.run([sys.executable, "-m", "evalc", *command, *cache], cwd=folder, check=True)
    return folder


def changed_text(raw: bytes, chance: random.Random) -> bytes:
    """Bytes that were changed as text, as JSON or as bytes."""
    how = chance.random()
    if how < 0.4 and raw[:1] in (b"{", b"["):
        try:
            content: Any = json.loads(raw)
        except ValueError:
            content = json.loads(raw.splitlines()[0])
        for _ in range(chance.choice((1, 1, 2, 4))):
            content = edited(content, chance)
        return json.dumps(content, ensure_ascii=chance.random() < 0.5).encode(
            errors="surrogatepass"
        )
    return mutated(raw, chance) if how < 0.7 else damaged(raw, chance)


def change_store(store: Path, chance: random.Random) -> str:
    """Change a value of the store: below its seal, or its bytes."""
    environment = lmdb.open(str(store), max_dbs=64)
    with environment.begin(write=True) as transaction:
        with transaction.cursor() as cursor:
            names = [bytes(key).decode() for key in cursor.iternext(values=False)]
        name = chance.choice(names)
        table = environment.open_db(name.encode(), transaction, create=False)
        with transaction.cursor(table) as cursor:
            pairs = [(bytes(key), bytes(value)) for key, value in cursor]
        if pairs:
            key, value = chance.choice(pairs)
            transaction.put(key, _value(value, chance), db=table)
            if chance.random() < 0.1:
                transaction.put(damaged(key, chance)[:500] or b"x", value, db=table)
    environment.close()
    return f"a value of {name}"


def _value(value: bytes, chance: random.Random) -> bytes:
    """Another value; sealed again where it was sealed, so that it is read."""
    opened = None
    try:
        (opened,) = _core.unseal_values([value])
    except (ValueError, TypeError):
        opened = None
    if opened is not None and chance.random() < 0.8:
        return _core.seal_values([_payload(bytes(opened), chance)])[0]
    return _payload(value, chance)


def _payload(value: bytes, chance: random.Random) -> bytes:
    if len(value) == 13 and chance.random() < 0.5:
        odd = chance.choice([float("nan"), float("inf"), 1e308, -1e308, 5.0, 0.0])
        return struct.pack("<dBI", odd, chance.randrange(256), chance.choice([0, 1, 2**32 - 1]))
    return changed_text(value, chance) if value else b"x"


def change_segment(file: Path, chance: random.Random) -> str:
    """Change a segment: its bytes, or an entry, of which its digests are made anew."""
    if chance.random() < 0.3:
        file.write_bytes(damaged(file.read_bytes(), chance))
        return "bytes"
    batches = list(segments.read_segment(file))
    pairs = [(bucket, pair) for bucket, batch in batches for pair in batch]
    at = chance.randrange(len(pairs))
    bucket, (name, value) = pairs[at]
    if chance.random() < 0.2:
        name = (damaged(name, chance) or b"x")[:60_000]
    pairs[at] = (bucket, (name, _value(value, chance)))
    file.unlink()
    segments.write_segment(file, [(bucket, [pair]) for bucket, pair in pairs])
    return f"an entry of {bucket.decode()}"


def change_plan(file: Path, chance: random.Random) -> None:
    """Change a pinned plan, half of the time with its digest made anew."""
    raw = changed_text(file.read_bytes(), chance)
    try:
        content = json.loads(raw)
        if isinstance(content, dict) and chance.random() < 0.7:
            content.pop("digest", None)
            raw = json.dumps({**content, "digest": digest(content)}).encode()
    except (ValueError, RecursionError, OverflowError):
        pass
    file.write_bytes(raw)


def made(start: Path, chance: random.Random, root: Path) -> Input:
    """Write the files of one input."""
    shutil.copytree(start, root, dirs_exist_ok=True)
    kind = chance.choices(list(READERS), [4, 1, 4, 2, 4, 2])[0]
    commands = READERS[kind]
    if kind == "store":
        return Input(commands, change_store(root / "cache" / "store", chance))
    if kind == "segment":
        return Input(commands, "segment: " + change_segment(root / "part.evalc", chance))
    if kind == "lock":
        (root / "evalc.lock").write_bytes(changed_text(json.dumps(LOCK).encode(), chance))
        return Input(commands, "evalc.lock")
    if kind == "plan":
        change_plan(root / "plan.json", chance)
        return Input(commands, "plan.json")
    files = {
        "data": lambda: sorted(root.glob("d.*")),
        "cache": lambda: sorted(f for f in (root / "cache").glob("[!s]*/*") if f.is_file()),
    }[kind]()
    file = chance.choice(files)
    raw = file.read_bytes()
    if file.suffix == ".gz" and chance.random() < 0.5:
        file.write_bytes(gzip.compress(changed_text(gzip.decompress(raw), chance)))
    elif file.suffix in (".parquet", ".gz"):
        file.write_bytes(damaged(raw, chance))
    else:
        file.write_bytes(changed_text(raw, chance))
    if kind == "cache" and chance.random() < 0.5:
        commands = [["exec", "spec.toml"], *commands]
    return Input(commands, file.relative_to(root).as_posix())


def prepared(root: Path) -> Make:
    """A workspace, and the modules that its commands import, which a fork inherits."""
    assert evalc.cli.commands.cache.group and evalc.cli.commands.exec
    root.mkdir()
    # made where it will lie, for a pinned plan names its specs by their paths
    start = shutil.move(base(root), root.parent / "base")
    return lambda chance, root: made(start, chance, root)


if __name__ == "__main__":
    sys.exit(command_line(__doc__, "fuzz-files", prepared, tokenizer_child.stay))
