"""Bombs that are small by themselves, and large times the rows, tasks or models that there are."""

from __future__ import annotations

from collections.abc import Iterator

from bomb_specs import Bomb, spec

ROWS = b"".join(b'{"q": "What is %d?"}\n' % n for n in range(20_000))
FEW = ROWS[: 3_000 * 20]
TASK = """[tasks.t{n}]
dataset = 'd'
type = 'generate'
prompt = '{{{{ q }}}}'
target = 'x'
metrics = ['exact_match']
generate = {{ max_new_tokens = 4 }}
"""
SHOTS = "fewshot = {{ dataset = 'd', k = {}, template = '{{{{ q }}}}{}' }}"
REPEATS = "generate = { repeats = 10000, temperature = 1.0 }"


def products() -> Iterator[Bomb]:
    """All of them, made one at a time: some are large."""
    for kind in (requests, work, examples, sizes):
        yield from kind()


def _over(name: str, text: str, data: bytes, model: bool = False) -> Bomb:
    """A spec over rows that are to be refused."""
    return Bomb(name, spec=text, files=(("d.jsonl", data),), model=model)


def _picked(choices: str) -> str:
    """A spec whose task picks one of these choices."""
    text = spec(metrics="'acc'").replace('target = "x"', "target = '0'")
    return text.replace('type = "generate"', f"type = 'multiple_choice'\nchoices = {choices}")


def requests() -> Iterator[Bomb]:
    """More requests than a plan has."""
    tasks = "".join(TASK.format(n=n) for n in range(5_000))
    models = "".join(f"[models.m{n}]\npath = 'm'\n" for n in range(2_000))
    long = b'{"q": "' + b"x " * 500_000 + b'"}\n'
    choices = _picked("'{{ range(100000) | list }}'")
    stopped = REPEATS.replace("}", f", stop = {[str(n) for n in range(4_000)]} }}")
    yield _over("choices of a template times rows", choices, FEW, model=True)
    yield _over("choices of a template, written", choices, ROWS)
    yield _over(
        "choices of a list times rows",
        _picked(str([str(n) for n in range(20_000)])),
        FEW,
        model=True,
    )
    yield _over("repeats times rows", spec(task=REPEATS), FEW, model=True)
    yield _over("tasks times rows", spec(rest=tasks), FEW, model=True)
    yield _over("models times rows", spec(rest=models), FEW, model=True)
    yield _over("tasks times bytes", spec(rest=tasks), long * 5)
    yield _over("stops times repeats", spec(task=stopped), FEW, model=True)


def work() -> Iterator[Bomb]:
    """More work on rows than a plan does."""
    slow = "{% for a in range(60000) %}{% if a == 0 %}{{ q }}{% endif %}{% endfor %}"
    fails = "{% for a in range(60000) %}{% if a == 59999 %}{{ 1 // 0 }}{% endif %}{% endfor %}"
    sums = "{% set ns = namespace(x=0) %}{% for i in range(99999) %}{% set ns.x = ns.x + i %}"
    loop = sums + "{% endfor %}{{ true }}"
    looked = "".join(
        f"[datasets.d{n}]\npath = 'd.jsonl'\nwhere = '{loop}'\n"
        + TASK.format(n=n).replace("'d'", f"'d{n}'")
        for n in range(200)
    )
    groups = f"slices = {[f'{{{{ q }}}} {n}' for n in range(40_000)]}"
    yield _over("work on every row", spec(prompt=f"'{slow}'"), ROWS)
    yield _over("work on every row, which fails", spec(prompt=f"'{fails}'"), ROWS)
    yield _over("work on the id of every row", spec(dataset=f"id = '{slow}'"), ROWS)
    yield _over("filters of many datasets", spec(rest=looked), b"\n".join(ROWS.split(b"\n")[:40]))
    yield _over("slices times rows", spec(task=groups), FEW)


def examples() -> Iterator[Bomb]:
    """Examples that are drawn, joined or encoded for every case."""
    own = SHOTS.replace("k =", "select = 'per_case', k =")
    left = SHOTS.format(10_000, "").replace("k =", "select = 'random', k =")
    cut = spec(task=f"overflow = 'truncate'\ngenerate = {{ max_new_tokens = 4 }}\n{left}")
    texts = b"".join(b'{"q": "%d %s"}\n' % (n, b"what is it " * 180) for n in range(10_001))
    long = spec(task=SHOTS.format(1_000, "x" * 16_000))
    yield _over("examples of every case", spec(task=own.format(10_000, "")), ROWS)
    yield _over("examples of every case, few of many", spec(task=own.format(5, "")), ROWS * 2)
    yield _over("long examples times rows", long, ROWS)
    yield _over("long examples but its own", cut, texts)
    yield _over("long examples but its own, encoded", cut, texts, model=True)


def sizes() -> Iterator[Bomb]:
    """Rows, texts and tables that are large as they are."""
    wide = b"q" + b"".join(b",c%d" % n for n in range(16_000)) + b"\n"
    body = wide + (b"1" + b",1" * 16_000 + b"\n") * 1_000
    keys = b'{"q": 1' + b"".join(b', "c%d": 1' % n for n in range(16_000)) + b"}\n"
    prompt = b'{"q": "' + b"lorem ipsum, dolor " * 850_000 + b'"}\n'
    yield Bomb("wide rows, CSV", spec=spec("d.csv"), files=(("d.csv", body),), fine=True)
    yield Bomb("wide rows, JSON", spec=spec(), files=(("d.jsonl", keys * 1_000),), fine=True)
    yield _over("a prompt of 16 MB", spec(), prompt, model=True)
    tables = "".join(f"[u{n}]\n" for n in range(49_000))
    faulty = "".join(f"[tasks.f{n}]\ndataset = 1\n" for n in range(12_000))
    yield _over("49,000 unknown tables", spec(rest=tables), FEW)
    yield _over("12,000 tasks with faults", spec(rest=faulty), FEW)
