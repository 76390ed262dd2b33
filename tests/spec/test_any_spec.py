"""Whatever a file holds, `load` returns a folder or raises `Faults`, and every form renders."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalc.diagnostics import Faults, render
from evalc.spec import load, select
from evalc.spec.models import (
    CodeSpec,
    DatasetSpec,
    ExtractSpec,
    FewshotSpec,
    GateSpec,
    GenerateSpec,
    ModelSpec,
    Spec,
    SuiteSpec,
    TaskSpec,
    TierSpec,
    TriggerSpec,
)

TABLES = (
    Spec,
    ModelSpec,
    DatasetSpec,
    TaskSpec,
    FewshotSpec,
    GenerateSpec,
    ExtractSpec,
    CodeSpec,
    SuiteSpec,
    TierSpec,
    TriggerSpec,
    GateSpec,
)
KEYS = sorted({key for table in TABLES for key in table.model_fields} | {"zebra", "a b", "é", ""})
WORDS = ["a", "tag:x", "*", "[", "{{ x }}", "{{ x", "macro:x", "acc", "pass@2", "generate", "1:2"]
WORDS += ["hf:", "${data}", "${}", "a.acc", "escalate:full", "m.n:f", "é\t\n😀", "", "first", "("]
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.integers(-3, 3),
    st.booleans(),
    st.sampled_from([0.5, -1.0, math.inf, math.nan, datetime.date(2026, 1, 31)]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
DEEP = "[" * 200 + "]" * 200
TOO_DEEP = "[" * 5000
NAMES = st.sampled_from(["a", "b.c", "x y"])


def table(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table whose keys are mostly right and whose values are anything."""
    return st.dictionaries(st.sampled_from([*kind.model_fields, "zebra"]), VALUES, max_size=6)


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "paths": st.dictionaries(NAMES, SCALARS, max_size=2),
        "models": st.dictionaries(NAMES, table(ModelSpec), max_size=2),
        "datasets": st.dictionaries(NAMES, table(DatasetSpec), max_size=2),
        "tasks": st.dictionaries(NAMES, table(TaskSpec), max_size=2),
        "suites": st.dictionaries(NAMES, table(SuiteSpec), max_size=2),
        "tiers": st.dictionaries(NAMES, table(TierSpec), max_size=2),
        "triggers": st.lists(table(TriggerSpec), max_size=2),
        "gates": st.dictionaries(NAMES, table(GateSpec), max_size=2),
        "cost": VALUES,
        "zebra": VALUES,
    },
)


def toml(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    return json.dumps(value, ensure_ascii=False)


def outcome(folder: Path, sets: list[str]) -> None:
    try:
        select(load([folder], sets))
    except Faults as faults:
        assert faults.diagnostics
        for form in ("terminal", "line", "json", "github"):
            assert render(faults.diagnostics, form, root=folder)  # type: ignore[arg-type]
        assert all(d.place is None or d.place.path.name for d in faults.diagnostics)


@given(DOCUMENTS, st.lists(st.sampled_from(KEYS), max_size=3), VALUES)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_tables_make_a_traceback(
    tmp_path: Path, document: dict[str, Any], path: list[str], value: Any
) -> None:
    text = "evalc = 1\n" + "".join(f"{k} = {toml(v)}\n" for k, v in document.items())
    (tmp_path / "spec.toml").write_text(text, encoding="utf-8")
    outcome(tmp_path, [f"tasks.a.{'.'.join(path)}={toml(value)}"])


@given(st.binary(max_size=60))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_make_a_traceback(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spec.toml").write_bytes(content)
    outcome(tmp_path, [])


@given(st.text(max_size=30))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_override_makes_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.toml").write_text('evalc = 1\n[models.a]\npath = "x"\n')
    outcome(tmp_path, [text, f"models.a.{text}", f"models.a.path={text}"])


@pytest.mark.parametrize(
    "text",
    [
        "models.a.path=\udcff",
        "models.a.path=1\n2",
        "models.\n=1",
        f"models.a.path={DEEP}",
        f"models.a.path={TOO_DEEP}",
    ],
)
def test_hard_overrides_make_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.toml").write_text('evalc = 1\n[models.a]\npath = "x"\n')
    outcome(tmp_path, [text])


@pytest.mark.parametrize(
    "text",
    [
        "x = {",
        "x" * 10_000,
        "[[a]]\n[a]\n",
        "evalc = 1\x00",
        f"evalc = {DEEP}",
        f"evalc = 1\nzebra = {DEEP}",
        f"evalc = 1\n[models]\na = {{ path = {DEEP} }}",
        f"evalc = 1\n[[triggers]]\npaths = {DEEP}",
        f"evalc = {TOO_DEEP}",
    ],
)
def test_hard_syntax_makes_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.toml").write_text(text)
    outcome(tmp_path, [])
