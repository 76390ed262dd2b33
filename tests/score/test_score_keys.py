"""Score keys: every input is in them, and nothing runs into its neighbour."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.score.keys import Scorer, canonical
from evalc.score.metrics.code import program_scorer
from evalc.score.scorers import ROOM, interpreter, room_digest
from evalc.score.scoring import CodeSettings

JUDGE = Scorer("metric", "pkg.mod:judge", "0" * 64, "CPython 3.11.2", (("timeout", "10.0"),))


def test_golden_vectors_hold() -> None:
    """Computed with the Python package blake3 from the encoding as documented, not by this code."""
    scorer = "80191a3983e038c24e84c3733eb0ab814509afa86ed62a17955b42b46e15733e"
    score = "80191a3983e038c2f905874f742ac6b7a4cebb22dc7742cbd0773d10161bd628"
    assert JUDGE.digest.hex() == scorer
    records, reference = canonical({"texts": ["a"]}), canonical({"row": {"n": 1}})
    assert JUDGE.key(records, reference).hex() == score
    bare = Scorer("program", "code", "", "")
    assert bare.key(b"").hex() == "d7eefcbfa914355a7e72623a76f2c86d1eeac84d3f50bde5fd9d2afca3be8db2"


EDITS: dict[str, dict[str, Any]] = {
    "layer": {"layer": "extract"},
    "name": {"name": "pkg.mod:jury"},
    "source": {"source": "1" + "0" * 63},
    "python": {"python": "CPython 3.11.3"},
    "a parameter's value": {"parameters": (("timeout", "9.0"),)},
    "a parameter's name": {"parameters": (("time", "10.0"),)},
    "no parameter": {"parameters": ()},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_every_field_of_a_scorer_makes_another_key(edit: dict[str, Any]) -> None:
    edited = replace(JUDGE, **edit)
    assert edited.digest != JUDGE.digest
    assert edited.key(b"r", b"t") != JUDGE.key(b"r", b"t")


fields = st.text(max_size=4)
scorers = st.builds(
    Scorer,
    st.sampled_from(["extract", "metric", "program"]),
    fields,
    fields,
    fields,
    st.lists(st.tuples(fields, fields), max_size=2).map(tuple),
)
inputs = st.tuples(scorers, st.binary(max_size=3), st.binary(max_size=3))


@given(inputs, inputs)
def test_two_keys_are_one_exactly_when_all_of_their_fields_are(
    one: tuple[Scorer, bytes, bytes], two: tuple[Scorer, bytes, bytes]
) -> None:
    keys = [scorer.key(records, reference) for scorer, records, reference in (one, two)]
    assert (keys[0] == keys[1]) == (one == two)
    assert {len(key) for key in keys} == {32}


@given(scorers, st.binary(max_size=6), st.integers(0, 6))
def test_bytes_that_move_between_records_and_reference_make_another_key(
    scorer: Scorer, content: bytes, at: int
) -> None:
    split = min(at, len(content))
    moved = scorer.key(content[:split], content[split:])
    assert (moved == scorer.key(content)) == (split == len(content))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@given(values)
def test_what_a_scorer_sees_can_be_read_back_from_its_encoding(value: Any) -> None:
    """So two inputs with one encoding are one input, the order of their members included."""
    back = json.loads(canonical(value))
    assert repr(back) == repr(value)


def test_another_limit_of_programs_is_another_scorer_and_another_template_is_not() -> None:
    plain = CodeSettings()
    for limit in ({"timeout": 9.0}, {"memory_mb": 1024}, {"file_mb": 8}):
        assert program_scorer(replace(plain, **limit)).digest != program_scorer(plain).digest
    assert program_scorer(replace(plain, program="{{ completion }}")) == program_scorer(plain)


def test_another_interpreter_is_another_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    before = program_scorer(CodeSettings())
    assert before.python == interpreter()
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    assert program_scorer(CodeSettings()).digest != before.digest


def test_the_source_of_a_built_in_scorer_is_what_its_files_hold(tmp_path: Any) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("x = 1\n")
    before = room_digest(("one.py",), tmp_path)
    both = room_digest(("one.py", "two.py"), tmp_path)
    (tmp_path / "one.py").write_text("x = 2\n")
    room_digest.cache_clear()
    assert room_digest(("one.py",), tmp_path) != before
    assert room_digest(("one.py", "two.py"), tmp_path) != both
    assert (ROOM / "programs.py").is_file()
