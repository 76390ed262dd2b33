"""Inputs that are small and ask for more than a machine has: each is a diagnostic, and soon.

    python benches/bombs.py [--seed N] [--only WORD] [--generated N]

Every bomb runs in a child of its own. Printed: seconds, peak MB, how it ended and what was said.
Exits with 1 when one is killed, takes 10 s or 1 GB, or says "internal error". It wants a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from bomb_products import products
from bomb_specs import Bomb, deep, spec
from bomb_templates import chains, templates

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from tiny_models import write_model

SECONDS = 10.0
WAIT = 60.0
MEGABYTES = 1024


def numbers() -> Iterator[tuple[str, str]]:
    """Specs with a number that nothing can hold."""
    generate = "generate = {{ temperature = 1.0, {} }}"
    huge = ("-1", "0", "1e400", "nan", "inf", "true", "1.5", "1000000000", "9" * 19, "9" * 400)
    for key in ("repeats", "max_new_tokens", "seed", "top_k", "top_p"):
        for value in huge:
            yield f"{key} = {value[:12]}", spec(task=generate.format(f"{key} = {value}"))
    for value in huge:
        few = f"fewshot = {{ dataset = 'd', k = {value}, template = '{{{{ q }}}}' }}"
        yield f"k = {value[:12]}", spec(task=few)
        yield (
            f"fewshot seed = {value[:12]}",
            spec(task=few.replace(f"k = {value}", f"k = 0, seed = {value}")),
        )
        for key in ("cases", "fraction", "seconds", "dollars", "half_width"):
            yield f"{key} = {value[:12]}", spec(rest=f"[tiers.a]\n{key} = {value}")
        for key in ("alpha", "min", "max_drop", "half_width"):
            gate = f"[gates.g]\nmetric = 't.exact_match'\n{key} = {value}"
            yield f"gate's {key} = {value[:12]}", spec(rest=gate)
        yield f"group = {value[:12]}", spec(task=f"extract = {{ regex = 'a', group = {value} }}")
        yield f"take = {value[:12]}", spec(task=f"extract = {{ regex = 'a', take = {value} }}")
        yield f"usd = {value[:12]}", spec(rest=f"[cost]\nusd_per_hour = {value}")
        yield f"rows to {value[:12]}", spec(dataset=f"rows = '0:{value}'")
        yield (
            f"pass@{value[:12]}",
            spec(metrics=f"'pass@{value}'", task=generate.format("repeats = 2")),
        )
        yield f"a key {value[:12]}", spec(task=f"{value} = 1")
    yield "digits beyond int", spec(task="generate = { seed = " + "9" * 5000 + " }")
    for open_, close in (("[", "]"), ("{a = ", "}")):
        yield f"TOML of {open_}", spec(rest="[cost]\nx = " + open_ * 100000 + close * 100000)
        yield f"TOML of 90 {open_}", spec(rest="[cost]\nx = " + open_ * 90 + "1" + close * 90)
    yield "dotted keys", spec(rest=".".join(["a"] * 50000) + " = 1")
    yield "dotted header", spec(rest="[" + ".".join(["a"] * 50000) + "]")
    yield (
        "paths of variables",
        spec(rest="[paths]\n" + "".join(f"a{i} = '${{a{i}}}'\n" for i in range(9999))),
    )
    yield (
        "a glob of stars",
        spec(rest="[suites.s]\nmodels = ['" + "*a" * 5000 + "b']\ntasks = ['*']"),
    )
    yield (
        "a trigger of stars",
        spec(rest="[[triggers]]\npaths = ['" + "**/*a" * 500 + "b']\ntier = 'small'"),
    )
    yield (
        "a pattern of brackets",
        spec(task="extract = { regex = '" + "(" * 20000 + ")" * 20000 + "' }"),
    )
    yield "a pattern's repeats", spec(task="extract = { regex = 'a{99999999999}' }")
    yield "a slice of spaces", spec(task="slices = ['{{" + " " * 200000 + "']")
    yield "a long name", spec(task="tags = ['" + "x" * 1000000 + "']")
    yield "many tasks", spec(rest="".join(f"[tasks.t{i}]\ndataset = 1\n" for i in range(5000)))


def packed(line: bytes, times: int) -> bytes:
    """`line` this often, as gzip."""
    chunk = line * max(1, (1 << 20) // len(line))
    return gzip.compress(chunk, 9) * max(1, times * len(line) // len(chunk))


def files() -> Iterator[Bomb]:
    """Data that unpacks, nests or widens."""
    row = b'{"q": "x"}\n'
    yield Bomb(
        "gzip of rows",
        spec=spec("d.jsonl.gz"),
        files=(("d.jsonl.gz", packed(b"{}\n", 700_000_000)),),
    )
    yield Bomb(
        "gzip of one row",
        spec=spec("d.jsonl.gz"),
        files=(("d.jsonl.gz", packed(b"x", 2_000_000_000)),),
    )
    yield Bomb(
        "gzip of empty lines",
        spec=spec("d.jsonl.gz"),
        files=(("d.jsonl.gz", packed(b"\n", 2_000_000_000)),),
    )
    yield Bomb(
        "gzip of CSV",
        spec=spec("d.csv.gz"),
        files=(("d.csv.gz", packed(b"a,b\n", 500_000_000)),),
    )
    yield Bomb(
        "a cut gzip", spec=spec("d.jsonl.gz"), files=(("d.jsonl.gz", gzip.compress(row)[:-9]),)
    )
    yield Bomb(
        "a row of 70 MB", spec=spec(), files=(("d.jsonl", b'{"q": "' + b"x" * 70_000_000 + b'"}'),)
    )
    yield Bomb(
        "a CSV field of 70 MB", spec=spec("d.csv"), files=(("d.csv", b"q\n" + b"x" * 70_000_000),)
    )
    for depth in (1000, 100_000):
        yield Bomb(f"JSON {depth} deep", spec=spec(), files=(("d.jsonl", deep(depth).encode()),))
        lists = b'{"q": ' + b"[" * depth + b"]" * depth + b"}"
        yield Bomb(f"lists {depth} deep", spec=spec(), files=(("d.jsonl", lists),))
    rows = row * 20_000
    slow = "{% for a in range(100000) %}{% for b in range(99) %}{{ q }}{% endfor %}{% endfor %}"
    yield Bomb("slow on every row", spec=spec(prompt=f"'{slow}'"), files=(("d.jsonl", rows),))
    yield Bomb(
        "slow filter of rows", spec=spec(dataset=f"where = '{slow}'"), files=(("d.jsonl", rows),)
    )


def tables() -> Iterator[Bomb]:
    """Rows that are wide, and tables with long names."""
    wide = b",".join(b"c%d" % i for i in range(1_000_000))
    for name, comma in (("d.csv", b","), ("d.tsv", b"\t")):
        header = wide.replace(b",", comma)
        body = b"q" + comma + header + b"\n1" + (comma + b"1") * 1_000_000 + b"\n"
        yield Bomb(f"a million columns, {name}", spec=spec(name), files=((name, body),))
    keys = b"{" + b",".join(b'"k%d":1' % i for i in range(1_000_000)) + b',"q":"x"}\n'
    yield Bomb("a million keys", spec=spec(), files=(("d.jsonl", keys),))
    inner = b'{"q": ' + keys.strip() + b"}\n"
    yield Bomb("a million keys inside", spec=spec(), fine=True, files=(("d.jsonl", inner),))
    listed = b"[" + b"{}," * 20_000_000 + b"{}]"
    yield Bomb("a JSON list of rows", spec=spec("d.json"), files=(("d.json", listed),))
    yield Bomb(
        "a row of 1 GB, packed",
        spec=spec("d.jsonl.gz"),
        files=(("d.jsonl.gz", gzip.compress(b'{"q": "') + packed(b"x", 1_000_000_000)),),
    )
    header = b"q," + b"c" * 60_000_000 + b"\n" + b"1,2\n" * 100_000
    yield Bomb("a column with a long name", spec=spec("d.csv"), files=(("d.csv", header),))
    rows = zstandard(b"{}\n" * 1_000_000) * 300
    yield Bomb("zstd of rows", spec=spec("d.jsonl.zst"), files=(("d.jsonl.zst", rows),))
    row = zstandard(b"x" * 10_000_000) * 300
    yield Bomb("zstd of one row", spec=spec("d.jsonl.zst"), files=(("d.jsonl.zst", row),))
    for suffix in (".bz2", ".xz", ".zip"):
        name = "d.jsonl" + suffix
        yield Bomb(f"data in {suffix}", spec=spec(name), files=((name, b"BZh9" * 99),))


def zstandard(data: bytes) -> bytes:
    """`data` as a frame of Zstandard."""
    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


def parquet(table: pyarrow.Table, **options: Any) -> bytes:
    """A table as Parquet."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, **options)
    return out.getvalue()


def parquets(*, small: bool = False) -> Iterator[Bomb]:
    """Parquet files that say much in few bytes; `small` leaves out what takes long to write."""
    zeros = pyarrow.nulls(20_000_000, pyarrow.int64()).fill_null(0)
    long = pyarrow.array(["x" * 1_000_000])
    often = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 300_000, pyarrow.int32()), long)
    few = pyarrow.table({"q": [f"x{n}" for n in range(9)]})
    kinds: dict[str, Callable[[], bytes]] = {
        "of 20 million equal rows": lambda: parquet(pyarrow.table({"q": zeros})),
        "of 2 million equal rows": lambda: parquet(pyarrow.table({"q": zeros[:2_000_000]})),
        "of a list of 3 million": lambda: parquet(pyarrow.table({"q": [[0] * 3_000_000]})),
        "of a long text, often meant": lambda: parquet(pyarrow.table({"q": often})),
        "of long texts inside": lambda: parquet(
            pyarrow.table({"q": pyarrow.StructArray.from_arrays([often], ["a"])})
        ),
        "of 20,000 columns": lambda: parquet(pyarrow.table({f"c{n}": [1] for n in range(20_000)})),
        "of 16,000 columns": lambda: parquet(
            pyarrow.table({"q": ["x"]} | {f"c{n}": [1] for n in range(16_000)})
        ),
        "of damaged pages": lambda: parquet(few)[:40] + bytes(40) + parquet(few)[80:],
        "of a long description": lambda: b"PAR1" + b"\x19" * 40_000_000 + b"\0\x5a\x62\x02PAR1",
    }
    for packing in ("zstd", "gzip", "snappy", "brotli", "lz4"):
        kinds[f"of {packing}"] = lambda packing=packing: parquet(
            pyarrow.table({"q": long.take(pyarrow.array([0] * 300))}),
            compression=packing,
            use_dictionary=False,
        )
    for name, made in kinds.items():
        if small and name.endswith("columns"):
            continue
        data = made()
        yield Bomb(
            f"Parquet {name}", spec=spec("d.parquet"), fine=True, files=(("d.parquet", data),)
        )


def texts() -> Iterator[Bomb]:
    """Specs that are long, wide or deep."""
    row = (("d.jsonl", b'{"q": "x"}\n'),)
    many = "".join(
        f"[tasks.t{n}]\ndataset = 'd'\ntype = 'generate'\nprompt = '{{{{ q }}}}'\ntarget = 'x'\n"
        "metrics = ['exact_match']\n"
        for n in range(5000)
    )
    names = "".join(f"[tasks.t{n}]\ndataset = 'e{n}'\n" for n in range(5000))
    sets = "".join(f"[datasets.d{n}]\npath = 'd.jsonl'\n" for n in range(5000))
    tables: dict[str, str] = {
        "5,000 tasks": spec(rest=many),
        "5,000 unknown datasets of 5,000": spec(rest=names + sets),
        "one line of 3 MB with faults": spec(
            rest="[suites]\n" + "s = {" + ", ".join(f"k{n} = {n}" for n in range(200_000)) + "}"
        ),
        "a spec of 5 MB": spec(rest="# " + "x" * 5_000_000),
        "a list of 40,000 tags": spec(task=f"tags = {['x'] * 40_000}"),
        "a list of 100,000 metrics": spec(metrics=", ".join(["'no'"] * 100_000)),
        "a list of 40,000 metrics": spec(metrics=", ".join(["'no'"] * 40_000)),
        "a dotted key 300 deep": spec(task=".".join(["tasks", "a"] * 150) + " = 1"),
        "a table 90 deep in a task": spec(task="extract = " + "{a = " * 90 + "1" + "}" * 90),
        "a long path": spec("x/" * 400_000 + "d.jsonl"),
        "a long unknown metric": spec(metrics="'" + "m" * 1_000_000 + "'"),
        "a long unknown key": spec(task="m" * 1_000_000 + " = 1"),
        "a long regular expression": spec(task="extract = { regex = '" + "(a|b)*" * 50_000 + "' }"),
        "a regular expression in itself": spec(
            task="extract = { regex = '" + "(" * 90 + "a" + "{1,9})" * 90 + "' }"
        ),
        "a glob of tasks": spec(
            rest=many + "[suites.s]\nmodels = ['*']\ntasks = ['" + "*t" * 200 + "x']"
        ),
    }
    for name, text in tables.items():
        yield Bomb(name, spec=text, files=row, fine=True)


def functions() -> Iterator[Bomb]:
    """What runs on a text of a model or on the paths of a change."""
    steps = "/".join(["a" * 50] * 80)
    calls = {
        "a glob of folders": f"path_matches('**/*a' * 500 + 'b', '{steps}')",
        "a glob of stars in a name": "path_matches('*a' * 100 + 'b', 'a' * 255)",
        "a glob of folders alone": "path_matches('**/' * 2000 + 'x', 'a/' * 2000 + 'a')",
        "a glob of classes": "path_matches('*[a-z]' * 100 + '!', 'a' * 255)",
        "glob of names": "matching.fnmatchcase('a' * 5000, '*a' * 500 + 'b')",
    }
    long = "'the cat sat on the mat ' * 43_000"
    other = "'a dog sat at the door of it ' * 37_000"
    letters = "'x' * 1_000_000"
    for name in ("BLEU", "CHRF"):
        calls[f"{name} of 1 MB"] = f"overlap._statistics({name}(), [[{long}]], [[{other}]])"
        word = f"overlap._statistics({name}(), [[{letters}]], [[{letters}]])"
        calls[f"{name} of a word of 1 MB"] = word
    calls["F1 of 1 MB"] = f"text.token_f1({long}, {other})"
    calls["words of 1 MB"] = f"text.plain_words({letters})"
    for name, call in calls.items():
        yield Bomb(name, call=call, fine=True)


def named() -> Iterator[Bomb]:
    """The bombs with names, made one at a time: some are large."""
    yield from (Bomb(name, template=text, fine=True) for name, text in templates())
    for n in (3_000, 60_000):
        yield from (Bomb(f"{name}, {n}", template=text, fine=True) for name, text in chains(n))
    for name, text in chains(20_000):
        yield Bomb(f"chat: {name}", template=text, chat=True, fine=True)
    row = (("d.jsonl", b'{"q": "x", "n": 1}\n'),)
    yield from (Bomb(name, spec=text, files=row, fine=True) for name, text in numbers())
    for kind in (files, tables, parquets, texts, products, functions):
        yield from kind()


def generated(count: int, seed: int) -> list[Bomb]:
    """Templates that grow something, use it in loops, and print it, put together by chance."""
    rng = random.Random(seed)
    grow = ["ns.a ~ ns.a", "ns.a + ns.a", "[ns.a, ns.a]", "ns.a * 9", "[ns.a] * 99", "(ns.a, 1)"]
    grow += ["{'k': ns.a}", "ns.a | string", "ns.a | list", "[ns.a, q] | join", "ns.a | tojson"]
    grow += ["'%s%s' | format(ns.a, ns.a)", "'{0}{0}'.format(ns.a)", "ns.a | batch(2) | list"]
    use = ["ns.a == ns.a", "ns.a in [ns.a]", "ns.a[0]", "ns.a[-1:]", "ns.a < q", "ns.a | upper"]
    use += ["ns.a | length", "ns.a | sort", "ns.a | unique | list", "ns.a | replace('x', 'yy')"]
    use += ["{ns.a: 1}", "ns.a | map('string') | list", "ns.a ~ q", "ns.a | string | trim"]
    use += ["ns.a | indent(9)", "'{:>99999}'.format(q)", "q.center(9999)", "ns.a | wordcount"]
    found = []
    for number in range(count):
        start = rng.choice(
            ["'x' * 999", "[q]", "q", "{'k': q}", "range(999)", "('x ' * 9999).split()"]
        )
        steps = []
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.6:
                steps.append(f"{{% set ns.a = {rng.choice(grow)} %}}")
            else:
                steps.append(
                    rng.choice(["{{ %s }}", "{%% if %s %%}{%% endif %%}"]) % rng.choice(use)
                )
        depth = rng.randint(0, 3)
        loops = "".join(
            f"{{% for i{d} in range({rng.choice([9, 999, 99999])}) %}}" for d in range(depth)
        )
        body = "".join(steps) * rng.choice([1, 1, 40])
        ends = "{% endfor %}" * depth
        text = f"{{% set ns = namespace(a={start}) %}}{loops}{body}{ends}{{{{ ns.a }}}}"
        found.append(Bomb(f"generated {number}", template=text, fine=True))
    return found


RENDER = """
import json, sys
from evalc import _core
bomb = json.load(open(sys.argv[1]))
try:
    if bomb["chat"]:
        said = _core.render_chat(bomb["template"], {}, None, [("user", "q")], True)
    else:
        said = _core.render_template(bomb["template"], bomb["row"])
    print("printed", len(said))
except ValueError as error:
    print(error)
    sys.exit(2)
"""


CALL = """
import sys
from evalc.spec.globs import path_matches
from evalc.spec import matching
from evalc.score.metrics import overlap, text
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
print(str(eval(sys.argv[1]))[:99])
"""


WATCH = """
import json, os, select, signal, subprocess, sys, time
began = time.monotonic()
report, limit, *command = sys.argv[1:]
child = subprocess.Popen(command)
watched = os.pidfd_open(child.pid)
if not select.select([watched], [], [], float(limit))[0]:
    child.send_signal(signal.SIGKILL)
_, status, usage = os.wait4(child.pid, 0)
ended = [os.waitstatus_to_exitcode(status), time.monotonic() - began, usage.ru_maxrss / 1024]
open(report, "w").write(json.dumps(ended))
"""
"""Starts the bomb. A child's peak begins with that of who starts it, so nobody large may do it."""


@dataclass(frozen=True)
class Ended:
    """How a child ended, after how many seconds; `code` is negative for a signal."""

    code: int
    seconds: float
    megabytes: float
    said: str
    end: str = ""

    def wrong(self, bomb: Bomb) -> bool:
        """Whether this is no diagnostic in time."""
        codes = (0, 2) if bomb.fine else (2,)
        late = self.seconds >= SECONDS or self.megabytes >= MEGABYTES
        return late or self.code not in codes or "internal error" in self.said


def know(folder: Path, command: list[str], model: str) -> None:
    """Plan for a tiny model once: to read its tokenizer takes a child with torch."""
    write_model(folder / "m")
    (folder / "known.jsonl").write_text('{"q": "x"}\n')
    (folder / "spec.toml").write_text(
        spec("known.jsonl", task="generate = { max_new_tokens = 4 }") + model
    )
    environment = {**os.environ, "EVALC_CACHE": str(folder / "cache")}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def run(bomb: Bomb, folder: Path) -> Ended:
    """Runs a bomb in a child."""
    if bomb.template is not None:
        given = folder / "bomb.json"
        fields = {"template": bomb.template, "row": bomb.row, "chat": bomb.chat}
        given.write_text(json.dumps(fields))
        command = [sys.executable, "-c", RENDER, str(given)]
    elif bomb.call is not None:
        command = [sys.executable, "-c", CALL, bomb.call]
    else:
        for name, data in bomb.files:
            (folder / name).write_bytes(data)
        command = [sys.executable, "-m", "evalc", "plan" if bomb.model else "check"]
        command.append(str(folder / "spec.toml"))
        model = ""
        if bomb.model:
            model = "[models.m]\npath = 'm'\n"
            know(folder, command, model)
        (folder / "spec.toml").write_text((bomb.spec or "") + model)
    report = folder / "ended.json"
    watch = [sys.executable, "-c", WATCH, str(report), str(WAIT), *command]
    environment = {**os.environ, "EVALC_CACHE": str(folder / "cache"), "NO_COLOR": "1"}
    with (folder / "said").open("w+b") as out:
        subprocess.run(watch, stdout=out, stderr=subprocess.STDOUT, env=environment, check=True)
        out.seek(0)
        said = out.read(4000).decode(errors="replace")
        out.seek(max(0, out.seek(0, os.SEEK_END) - 200))
        end = out.read().decode(errors="replace")
    code, seconds, megabytes = json.loads(report.read_text())
    return Ended(code, seconds, megabytes, said, end)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--generated", type=int, default=150)
    parser.add_argument("--quiet", action="store_true")
    asked = parser.parse_args()
    bombs = chain(named(), generated(asked.generated, asked.seed))
    count, wrong, slowest, largest = 0, 0, 0.0, 0.0
    for bomb in bombs:
        if asked.only not in bomb.name:
            continue
        count += 1
        with tempfile.TemporaryDirectory() as folder:
            ended = run(bomb, Path(folder))
        bad = ended.wrong(bomb)
        wrong += bad
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if bad or not asked.quiet:
            lines = [line for line in ended.said.splitlines() if line.strip()]
            said = " | ".join(lines[:2])[:150]
            mark = "WRONG" if bad else "ok"
            print(
                f"{mark:5} {ended.seconds:6.2f} s {ended.megabytes:6.0f} MB {ended.code:4} "
                f"{bomb.name[:40]:40} {said}",
                flush=True,
            )
    print(f"{count} bombs, {wrong} wrong; slowest {slowest:.1f} s, largest {largest:.0f} MB")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
