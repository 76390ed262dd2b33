"""Prompt templates print what Jinja2 prints; every known difference is listed in expressions.json.

The five lists of that file are templates rendered with its `row` by both engines. They also back
docs/templates.md: a difference that appears or goes away fails a test here.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalc import _core

CASES: dict[str, Any] = json.loads(
    Path(__file__).with_name("expressions.json").read_text(encoding="utf-8")
)
ROW: dict[str, Any] = CASES["row"]


def _environment() -> jinja2.Environment:
    """The environment in which EleutherAI's lm-evaluation-harness 0.4.13 renders templates."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)

    def regex_replace(text: str, pattern: str, replacement: str, count: int = 0) -> str:
        return re.sub(pattern, replacement, text, count=count)

    environment.filters["regex_replace"] = regex_replace
    return environment


ENVIRONMENT = _environment()


def _theirs(template: str, row: dict[str, Any] = ROW) -> str | None:
    try:
        return ENVIRONMENT.from_string(template).render(**copy.deepcopy(row))
    except Exception:
        return None


def _ours(template: str, row: dict[str, Any] = ROW) -> str | None:
    try:
        return _core.render_template(template, json.dumps(row))
    except ValueError:
        return None


@pytest.mark.parametrize("template", CASES["same"])
def test_a_template_prints_what_jinja2_prints(template: str) -> None:
    expected = _theirs(template)
    assert expected is not None
    assert _ours(template) == expected


@pytest.mark.parametrize("template", CASES["refused_by_both"])
def test_what_jinja2_refuses_is_refused(template: str) -> None:
    assert _theirs(template) is None
    assert _ours(template) is None


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("template", CASES["refused_by_evalc"])
def test_what_is_not_supported_is_refused_rather_than_printed_otherwise(template: str) -> None:
    assert _theirs(template) is not None
    assert _ours(template) is None


@pytest.mark.parametrize("template", CASES["refused_by_jinja2"])
def test_a_known_leniency_stays_as_documented(template: str) -> None:
    assert _theirs(template) is None
    assert _ours(template) == CASES["refused_by_jinja2"][template]


@pytest.mark.parametrize("template", CASES["different"])
def test_a_known_difference_stays_as_documented(template: str) -> None:
    assert _theirs(template) not in (None, _ours(template))
    assert _ours(template) == CASES["different"][template]


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_any_value_prints_as_python_prints_it(value: Any) -> None:
    row = {"x": value}
    assert _core.render_template("{{ x }}|{{ [x] }}", json.dumps(row)) == f"{value}|{[value]}"


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_any_value_becomes_the_json_that_jinja2_makes(value: Any) -> None:
    row = {"x": value}
    for template in ("{{ x | tojson }}", "{{ x | tojson(indent=2) }}"):
        assert _core.render_template(template, json.dumps(row)) == _theirs(template, row)


METHODS = [
    "upper()", "lower()", "strip()", "split()", "split(' ')", "splitlines()", "isdigit()",
    "isspace()", "isalpha()", "isupper()", "find('a')", "count('a')", "replace('a', 'bb')",
    "partition(' ')", "rsplit(' ', 1)", "center(9)", "zfill(7)", "expandtabs(3)", "rstrip('a ')",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("aAbé ß1\t\n\r\x0b\x1c-.\u2028\u00a0日"), max_size=12))
def test_any_text_has_pythons_methods(text: str) -> None:
    template = "|".join(f"{{{{ [x.{method}] }}}}" for method in METHODS)
    assert _core.render_template(template, json.dumps({"x": text})) == _theirs(
        template, {"x": text}
    )
