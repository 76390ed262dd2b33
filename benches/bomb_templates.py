"""Templates that ask for more than a machine has, by name; `bombs.py` renders them."""

from __future__ import annotations

from collections.abc import Iterator

LOOP = "{% for i in range(100000) %}"
END = "{% endfor %}"
LOOPS, ENDS = LOOP + LOOP, END + END
LONG = "{% set a = 'x' * 16000000 %}{% set b = 'x' * 16000000 %}"
SPACE = "{% set ns = namespace(a='x', d=[]) %}"


def formats() -> Iterator[tuple[str, str]]:
    """Widths, precisions and repeats that are numbers in a template."""
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


def growths() -> Iterator[tuple[str, str]]:
    """What grows by what it has been."""
    yield "doubling by ~", SPACE + LOOP + "{% set ns.a = ns.a ~ ns.a %}" + END + "{{ ns.a }}"
    yield "doubling by +", SPACE + LOOP + "{% set ns.a = ns.a + ns.a %}" + END + "{{ ns.a }}"
    yield "doubling by join", SPACE + LOOP + "{% set ns.a = [ns.a, ns.a] | join %}" + END
    yield "doubling by format", SPACE + LOOP + "{% set ns.a = '%s%s' | format(ns.a, ns.a) %}" + END
    yield (
        "doubling by capture",
        (SPACE + LOOP + "{% set b %}{{ ns.a }}{{ ns.a }}{% endset %}{% set ns.a = b %}" + END),
    )
    yield "a namespace in itself", SPACE + "{% set ns.d = ns %}{{ ns }}"
    yield "a namespace in a list in itself", SPACE + "{% set ns.d = [[ns]] %}{{ ns == ns }}"
    yield "nesting by a namespace", SPACE + LOOPS + "{% set ns.d = [ns.d] %}" + ENDS
    yield "sharing by a namespace", SPACE + LOOPS + "{% set ns.d = [ns.d, ns.d] %}" + ENDS


def sharings() -> Iterator[tuple[str, str]]:
    """A list of few parts that is long when it is walked."""
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


def comparisons() -> Iterator[tuple[str, str]]:
    """Long texts that are looked at again and again."""
    for sign in ("==", "!=", "<", "<=", ">", ">=", "in", "not in"):
        body = f"{{% if a {sign} b %}}{{% endif %}}"
        yield f"texts compared by {sign}", LONG + LOOPS + body + ENDS
    yield "texts compared in a chain", LONG + LOOPS + "{% if a <= b <= a %}{% endif %}" + ENDS
    yield "texts tested", LONG + LOOPS + "{% if a is eq(b) %}{% endif %}" + ENDS
    yield "lists of texts compared", LONG + LOOPS + "{% if [a] == [b] %}{% endif %}" + ENDS
    yield "letters of a text", LONG + LOOPS + "{% if a[15999999] %}{% endif %}" + ENDS
    yield "last letters of a text", LONG + LOOPS + "{% if a[-1] %}{% endif %}" + ENDS
    yield "slices of a text", LONG + LOOPS + "{% if a[5:6] %}{% endif %}" + ENDS
    yield "loops over a text", LONG + LOOPS + "{% for c in a %}{% break %}{% endfor %}" + ENDS
    yield "keys of a dictionary", LONG + LOOPS + "{% if {a: 1} %}{% endif %}" + ENDS
    yield "dictionary looked up", LONG + "{% set d = {a: 1} %}" + LOOPS + "{{ d[b] }}" + ENDS
    yield "texts searched", LONG + LOOPS + "{{ a.find('y') }}" + ENDS
    yield "texts sorted", LONG + "{{ ([a, b] * 50000) | sort | length }}"
    yield "texts made unique", LONG + "{{ ([a, b] * 50000) | unique | list | length }}"
    yield "texts selected", LONG + "{{ ([a] * 100000) | select('eq', b) | list | length }}"
    yield "texts in a list", LONG + "{{ 'y' in ([a] * 100000) }}" + LOOP + "{{ b in [a] }}" + END


def replacements() -> Iterator[tuple[str, str]]:
    """Replacing, splitting and matching."""
    yield "replace of nothing", "{{ ('x' * 4000000).replace('', 'y' * 1000) }}"
    yield "filter replace of nothing", "{{ ('x' * 4000000) | replace('', 'y' * 1000) }}"
    yield "regex_replace that grows", "{{ ('x' * 4000000) | regex_replace('x', 'y' * 1000) }}"
    yield (
        "regex_replace of groups",
        ("{{ ('x' * 4000000) | regex_replace('(x+)', '" + r"\\1" * 500 + "') }}"),
    )
    yield "a large pattern", "{{ q | regex_replace('(" + "(a{1,900}){1,900}" + ")', '') }}"
    yield "many patterns", LOOPS + "{{ q | regex_replace('[a-z]{' ~ (i % 999) ~ '}', '') }}" + ENDS
    yield "splitlines", "{{ ('\n' * 16000000).splitlines() | length }}"
    yield "split", "{{ ('x ' * 8000000).split() | length }}"
    yield "filter split", "{{ ('x ' * 8000000) | split | length }}"
    yield "filter lines", "{{ ('\n' * 16000000) | lines | length }}"


def others() -> Iterator[tuple[str, str]]:
    """Numbers, and what has no end."""
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
    yield "loops in loops", LOOPS * 3 + "x" + ENDS * 3
    yield "literal text in loops", LOOPS + "y" * 100000 + ENDS
    yield "captures in loops", LOOPS + "{% set a %}" + "y" * 100000 + "{% endset %}" + ENDS
    yield "dict of many pairs", "{{ dict(range(100000) | map('string') | batch(2)) | length }}"
    yield "includes", "{% include 'x' %}"
    yield "extends", "{% extends 'x' %}"


def templates() -> Iterator[tuple[str, str]]:
    """What faults.md names, and its siblings."""
    for kind in (formats, growths, sharings, comparisons, replacements, others):
        yield from kind()


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
