"""Inputs that are small and ask for more than a machine has: each is a diagnostic, and soon.

    python benches/bombs.py [--seed N] [--only WORD] [--generated N]

Every bomb runs in a child of its own. Printed: seconds, peak MB, how it ended, and what was said.
Exits with 1 when one is killed, takes 10 s or 1 GB, or says "internal error".
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10.0
MEGABYTES = 1024

SPEC = """evalc = 1
[datasets.d]
path = "{path}"
{dataset}
[tasks.t]
dataset = "d"
type = "generate"
prompt = {prompt}
target = "x"
metrics = [{metrics}]
{task}
[tiers.small]
cases = 1
{rest}
"""


@dataclass(frozen=True)
class Bomb:
    """A template over a row, or a folder with a spec that is checked; `fine` may also succeed."""

    name: str
    template: str | None = None
    row: str = '{"q": "What is it?"}'
    chat: bool = False
    spec: str | None = None
    files: tuple[tuple[str, bytes], ...] = ()
    fine: bool = False


def spec(  # noqa: PLR0917
    path: str = "d.jsonl",
    dataset: str = "",
    prompt: str = "'{{ q }}'",
    metrics: str = '"exact_match"',
    task: str = "",
    rest: str = "",
) -> str:
    """A spec of one task with something put in."""
    return SPEC.format(
        path=path, dataset=dataset, prompt=prompt, metrics=metrics, task=task, rest=rest
    )


def templates() -> Iterator[tuple[str, str]]:  # noqa: PLR0915
    """What faults.md names, and its siblings."""
    loop = "{% for i in range(100000) %}"
    loops = loop + loop
    end = "{% endfor %}"
    ends = end + end
    long = "{% set a = 'x' * 16000000 %}{% set b = 'x' * 16000000 %}"
    space = "{% set ns = namespace(a='x', d=[]) %}"
    yield "width of str.format", "{{ '{:10000000000}'.format(q) }}"
    yield "precision of str.format", "{{ '{:.1000000000f}'.format(1.5) }}"
    yield "zeros of str.format", "{{ '{:01000000000d}'.format(1) }}"
    yield "fields of str.format", "{% set t = q * 100000 %}{{ '" + "{0}" * 20000 + "'.format(t) }}"
    yield "width of format", "{{ '%1000000000s' | format(q) }}"
    yield "precision of format", "{{ '%.1000000000f' | format(1.5) }}"
    for method in ("ljust", "rjust", "center", "zfill"):
        yield method, f"{{{{ q.{method}(10000000000) }}}}"
    yield "expandtabs", "{{ '\t'.expandtabs(10000000000) }}"
    yield "filter center", "{{ q | center(10000000000) }}"
    yield "indent", "{{ ('x\n' * 1000000) | indent('y' * 1000000) }}"
    yield "repeated text", "{{ 'x' * 10000000000 }}"
    yield "repeated list", "{{ [0] * 10000000000 }}"
    yield "repeated list joined", "{{ ([q] * 10000000000) | join }}"
    yield "lists of lists", "{{ ((([0] * 100000) | list * 100000) | string) }}"
    yield "lists of lists, concatenated", "{{ ([[0] * 100000] * 100000) ~ '' }}"
    yield "range", "{{ range(10000000000) | list }}"
    yield "filter join", "{{ ([q * 1000000] * 100000) | join }}"
    yield "method join", "{{ ''.join([q * 1000000] * 100000) }}"
    yield "doubling by ~", space + loop + "{% set ns.a = ns.a ~ ns.a %}" + end + "{{ ns.a }}"
    yield "doubling by +", space + loop + "{% set ns.a = ns.a + ns.a %}" + end + "{{ ns.a }}"
    yield "doubling by join", space + loop + "{% set ns.a = [ns.a, ns.a] | join %}" + end
    yield "doubling by format", space + loop + "{% set ns.a = '%s%s' | format(ns.a, ns.a) %}" + end
    yield (
        "doubling by capture",
        (space + loop + "{% set b %}{{ ns.a }}{{ ns.a }}{% endset %}{% set ns.a = b %}" + end),
    )
    yield "a namespace in itself", space + "{% set ns.d = ns %}{{ ns }}"
    yield "a namespace in a list in itself", space + "{% set ns.d = [[ns]] %}{{ ns == ns }}"
    yield "nesting by a namespace", space + loops + "{% set ns.d = [ns.d] %}" + ends
    yield "sharing by a namespace", space + loops + "{% set ns.d = [ns.d, ns.d] %}" + ends
    shared = "{% set a = ['x'] %}" + "{% set a = [a, a] %}" * 60
    for name, use in {
        "printed": "{{ a }}",
        "concatenated": "{{ a ~ '' }}",
        "compared": "{{ a == [a] }}",
        "as JSON": "{{ a | tojson }}",
        "sorted": "{{ a | sort }}",
        "as text": "{{ a | string | length }}",
        "upper": "{{ a | upper }}",
        "replaced": "{{ a | replace('x', 'y') }}",
        "formatted": "{{ '%s' | format(a) }}",
        "in str.format": "{{ '{}'.format(a) }}",
        "joined": "{{ a | join }}",
        "found": "{{ 'y' in [a] }}",
        "unique": "{{ [a, a] | unique | list }}",
        "titled": "{{ a | title }}",
        "counted": "{{ [a].count(a) }}",
        "grouped": "{{ [{'k': a}] | groupby('k') }}",
        "tested": "{{ a is eq(a) }}",
        "split": "{{ a | split }}",
        "in lines": "{{ a | lines }}",
        "truncated": "{{ a | string | truncate(3) }}",
        "summed": "{{ a | sum(start=[]) }}",
        "as an index": "{{ {1: 2}[a] }}",
        "as a choice": "{{ a | map('upper') | list }}",
        "escaped": "{{ a | e }}",
        "stripped": "{{ a | striptags }}",
        "trimmed": "{{ a | trim }}",
        "counted in words": "{{ a | wordcount }}",
        "substituted": "{{ a | regex_replace('x', 'y') }}",
    }.items():
        yield f"shared lists {name}", shared + use
    for sign in ("==", "!=", "<", "<=", ">", ">=", "in", "not in"):
        body = f"{{% if a {sign} b %}}{{% endif %}}"
        yield f"texts compared by {sign}", long + loops + body + ends
    yield "texts compared in a chain", long + loops + "{% if a <= b <= a %}{% endif %}" + ends
    yield "texts tested", long + loops + "{% if a is eq(b) %}{% endif %}" + ends
    yield "lists of texts compared", long + loops + "{% if [a] == [b] %}{% endif %}" + ends
    yield "letters of a text", long + loops + "{% if a[15999999] %}{% endif %}" + ends
    yield "last letters of a text", long + loops + "{% if a[-1] %}{% endif %}" + ends
    yield "slices of a text", long + loops + "{% if a[5:6] %}{% endif %}" + ends
    yield "loops over a text", long + loops + "{% for c in a %}{% break %}{% endfor %}" + ends
    yield "keys of a dictionary", long + loops + "{% if {a: 1} %}{% endif %}" + ends
    yield "dictionary looked up", long + "{% set d = {a: 1} %}" + loops + "{{ d[b] }}" + ends
    yield "texts searched", long + loops + "{{ a.find('y') }}" + ends
    yield "texts sorted", long + "{{ ([a, b] * 50000) | sort | length }}"
    yield "texts made unique", long + "{{ ([a, b] * 50000) | unique | list | length }}"
    yield "texts selected", long + "{{ ([a] * 100000) | select('eq', b) | list | length }}"
    yield "texts in a list", long + "{{ 'y' in ([a] * 100000) }}" + loop + "{{ b in [a] }}" + end
    yield "replace of nothing", "{{ ('x' * 4000000).replace('', 'y' * 1000) }}"
    yield "filter replace of nothing", "{{ ('x' * 4000000) | replace('', 'y' * 1000) }}"
    yield "regex_replace that grows", "{{ ('x' * 4000000) | regex_replace('x', 'y' * 1000) }}"
    yield (
        "regex_replace of groups",
        ("{{ ('x' * 4000000) | regex_replace('(x+)', '" + r"\\1" * 500 + "') }}"),
    )
    yield "a large pattern", "{{ q | regex_replace('(" + "(a{1,900}){1,900}" + ")', '') }}"
    yield "many patterns", loops + "{{ q | regex_replace('[a-z]{' ~ (i % 999) ~ '}', '') }}" + ends
    yield "splitlines", "{{ ('\n' * 16000000).splitlines() | length }}"
    yield "split", "{{ ('x ' * 8000000).split() | length }}"
    yield "filter split", "{{ ('x ' * 8000000) | split | length }}"
    yield "filter lines", "{{ ('\n' * 16000000) | lines | length }}"
    yield "batch", "{{ [0] | batch(10000000000, 0) | list }}"
    yield "slice", "{{ [0] | slice(10000000000) | list }}"
    yield "power", "{{ 10 ** 1000000000 }}"
    yield "powers", "{{ 99999999 ** 99999999 }}"
    yield "a long number", "{{ " + "9" * 100000 + " }}"
    yield "int of a long text", "{{ ('9' * 1000000) | int }}"
    yield "round", "{{ 1.5 | round(2000000000) }}"
    yield "JSON with indents", "{{ ([[[[0]]]] * 200000) | tojson(indent=200) }}"
    yield "endless macro", "{% macro m(a) %}{{ m([a]) }}{% endmacro %}{{ m(1) }}"
    yield "endless loop", "{% for a in [[1]] recursive %}{{ loop([[a]]) }}{% endfor %}"
    yield "loops in loops", loops * 3 + "x" + ends * 3
    yield "literal text in loops", loops + "y" * 100000 + ends
    yield "captures in loops", loops + "{% set a %}" + "y" * 100000 + "{% endset %}" + ends
    yield "dict of many pairs", "{{ dict(range(100000) | map('string') | batch(2)) | length }}"
    yield "includes", "{% include 'x' %}"
    yield "extends", "{% extends 'x' %}"


def chains(length: int) -> Iterator[tuple[str, str]]:
    """Texts whose parser or compiler would call itself once per link."""
    n = length
    for sign in ("+", "-", "*", "/", "//", "%", "**", "~", " and ", " or ", "==", "<", " in "):
        yield f"a chain of {sign.strip()}", "{{ " + sign.join(["1"] * n) + " }}"
    for word in ("not ", "-", "(", "[", "{'a':", "f(", "q[", "q if ", "q if q else ", "q is "):
        yield f"a row of {word.strip()}", "{{ " + word * n + "q }}"
    for link in (".b", "[0]", "()", "|string", "|default(q)", ".b()", " is q", "[1:2]", " if q"):
        yield f"a chain of {link}", "{{ q" + link * n + " }}"
    for open_, close in (("(", ")"), ("[", "]"), ("{'a':", "}"), ("(not ", ")"), ("[1, ", "]")):
        yield f"closed {open_}", "{{ " + open_ * n + "q" + close * n + " }}"
    for tag, end in (
        ("if q", "endif"),
        ("for a in q", "endfor"),
        ("with a=q", "endwith"),
        ("set a", "endset"),
        ("filter upper", "endfilter"),
        ("macro m()", "endmacro"),
        ("call m()", "endcall"),
    ):
        yield f"open {tag}", f"{{% {tag} %}}" * n
        yield f"closed {tag}", f"{{% {tag} %}}" * n + f"{{% {end} %}}" * n
    yield "elif", "{% if q %}" + "{% elif q %}" * n + "{% endif %}"
    yield "else in else", "{% if q %}{% else %}" * n + "{% endif %}" * n
    yield "raw without an end", "{% raw %}" + "{%" * n
    yield "set of lists", "{% set a = q %}" + "{% set a = [a] %}" * n + "{{ a }}"
    yield "set of sharing lists", "{% set a = [a, a] %}" * n


def deep(depth: int, *, key: str = "a") -> str:
    return '{"q": ' + f'{{"{key}": ' * depth + "1" + "}" * depth + "}"


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
    yield Bomb(
        "a million columns",
        spec=spec("d.csv"),
        fine=True,
        files=(
            (
                "d.csv",
                b"q,"
                + b",".join(b"c%d" % i for i in range(1_000_000))
                + b"\n"
                + b"1"
                + b",1" * 1_000_000
                + b"\n",
            ),
        ),
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


def named() -> list[Bomb]:
    """The bombs with names."""
    found = [Bomb(name, template=text, fine=True) for name, text in templates()]
    for n in (3_000, 60_000):
        found += [Bomb(f"{name}, {n}", template=text, fine=True) for name, text in chains(n)]
    found += [
        Bomb(f"chat: {name}", template=text, chat=True, fine=True) for name, text in chains(20_000)
    ]
    row = (("d.jsonl", b'{"q": "x", "n": 1}\n'),)
    found += [Bomb(name, spec=text, files=row, fine=True) for name, text in numbers()]
    return [*found, *files()]


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


WATCH = """
import json, os, select, signal, subprocess, sys
report, limit, *command = sys.argv[1:]
child = subprocess.Popen(command)
watched = os.pidfd_open(child.pid)
if not select.select([watched], [], [], float(limit))[0]:
    child.send_signal(signal.SIGKILL)
_, status, usage = os.wait4(child.pid, 0)
ended = [os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024]
open(report, "w").write(json.dumps(ended))
"""
"""Starts the bomb. A child's peak begins with that of who starts it, so nobody large may do it."""


@dataclass(frozen=True)
class Ended:
    """How a child ended; `code` is negative for a signal."""

    code: int
    seconds: float
    megabytes: float
    said: str

    def wrong(self, bomb: Bomb) -> bool:
        """Whether this is no diagnostic in time."""
        codes = (0, 2) if bomb.fine else (2,)
        late = self.seconds >= SECONDS or self.megabytes >= MEGABYTES
        return late or self.code not in codes or "internal error" in self.said


def run(bomb: Bomb, folder: Path) -> Ended:
    """Runs a bomb in a child."""
    if bomb.template is not None:
        given = folder / "bomb.json"
        fields = {"template": bomb.template, "row": bomb.row, "chat": bomb.chat}
        given.write_text(json.dumps(fields))
        command = [sys.executable, "-c", RENDER, str(given)]
    else:
        for name, data in bomb.files:
            (folder / name).write_bytes(data)
        (folder / "spec.toml").write_text(bomb.spec or "")
        command = [sys.executable, "-m", "evalc", "check", str(folder / "spec.toml")]
    report = folder / "ended.json"
    watch = [sys.executable, "-c", WATCH, str(report), str(2 * SECONDS), *command]
    environment = {**os.environ, "EVALC_CACHE": str(folder / "cache"), "NO_COLOR": "1"}
    start = time.monotonic()
    with (folder / "said").open("w+b") as out:
        subprocess.run(watch, stdout=out, stderr=subprocess.STDOUT, env=environment, check=True)
        seconds = time.monotonic() - start
        out.seek(0)
        said = out.read(4000).decode(errors="replace")
    code, megabytes = json.loads(report.read_text())
    return Ended(code, seconds, megabytes, said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--generated", type=int, default=150)
    parser.add_argument("--quiet", action="store_true")
    asked = parser.parse_args()
    bombs = [*named(), *generated(asked.generated, asked.seed)]
    bombs = [bomb for bomb in bombs if asked.only in bomb.name]
    wrong, slowest, largest = 0, 0.0, 0.0
    for bomb in bombs:
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
    print(f"{len(bombs)} bombs, {wrong} wrong; slowest {slowest:.1f} s, largest {largest:.0f} MB")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
