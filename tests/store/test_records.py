"""Records of both versions: what they say, what is known beside it, and what is none."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.store.records import (
    Answer,
    Facts,
    Likelihood,
    MalformedRecordError,
    Usage,
    decode_answer,
    decode_likelihood,
    decode_likelihoods,
    malformed,
    said,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 1 << 40)
USAGE = st.none() | st.builds(Usage, COUNTS, COUNTS, st.none() | COUNTS)
FACTS = st.builds(
    Facts, NUMBERS, NUMBERS, st.none() | TEXTS, USAGE, st.none() | TEXTS, st.none() | TEXTS
)
SUMS = st.floats(max_value=0.0, min_value=-1e300)
LIKELIHOODS = st.builds(Likelihood, SUMS, st.booleans(), st.integers(0, (1 << 32) - 1), FACTS)
ANSWERS = st.builds(
    Answer,
    TEXTS,
    st.lists(st.integers(0, (1 << 32) - 1), max_size=5).map(tuple),
    st.sampled_from(["stop", "eos", "length"]),
    st.none() | TEXTS,
    FACTS,
)


@given(LIKELIHOODS)
def test_a_log_likelihood_survives_with_its_facts(record: Likelihood) -> None:
    payload = record.encode()
    assert decode_likelihood(payload) == record
    assert malformed(payload) is None
    sums, greedy = decode_likelihoods([payload, None, payload])
    assert [sums[0], greedy[0]] == [record.total, record.greedy]
    assert sums[1] != sums[1], "no record is no number"


@given(ANSWERS)
def test_a_text_survives_with_its_facts(record: Answer) -> None:
    assert decode_answer(record.encode()) == record
    assert malformed(record.encode()) is None


@given(LIKELIHOODS | ANSWERS, FACTS)
def test_facts_are_no_part_of_what_a_record_says(record: Likelihood | Answer, facts: Facts) -> None:
    fields = {name: getattr(record, name) for name in record.__slots__ if name != "facts"}
    assert said(type(record)(**fields, facts=facts).encode()) == said(record.encode())
    assert said(record.encode()) == type(record)(**fields).encode()


def test_without_facts_the_bytes_are_those_of_version_1() -> None:
    assert Likelihood(-1.5, True, 3).encode() == struct.pack("<dBI", -1.5, 1, 3)
    old = b'{"text":"\xc3\xa4","tokens":[1,2],"finish":"stop","stop":"\\n"}'
    assert Answer("ä", (1, 2), "stop", "\n").encode() == old
    assert decode_answer(old) == Answer("ä", (1, 2), "stop", "\n")


def test_facts_of_a_later_version_are_passed_over() -> None:
    payload = Likelihood(-1.0, True, 1).encode() + b'{"gap":0.5,"mood":{"of":"the day"}}'
    assert decode_likelihood(payload).facts == Facts(gap=0.5)


GOOD = {"text": "a", "tokens": [1], "finish": "eos", "stop": None}
BAD_LIKELIHOODS = [
    b"",
    b"short",
    struct.pack("<dBI", float("nan"), 0, 1),
    struct.pack("<dBI", float("-inf"), 0, 1),
    struct.pack("<dBI", 3.0, 0, 1),
    struct.pack("<dBI", -3.0, 7, 1),
    struct.pack("<dBI", -3.0, 1, 1) + b"tail",
    struct.pack("<dBI", -3.0, 1, 1) + b"[1]",
    struct.pack("<dBI", -3.0, 1, 1) + b'{"gap":"wide"}',
    struct.pack("<dBI", -3.0, 1, 1) + b'{"usage":{"input":-1,"output":2}}',
    struct.pack("<dBI", -3.0, 1, 1) + b'{"logprob":1e999}',
]
BAD_ANSWERS = [
    b"{",
    b"[" * 100_000,
    b"null",
    b'{"text":"a"}',
    *(
        json.dumps({**GOOD, **change}).encode()
        for change in (
            {"text": 3},
            {"text": "\ud800"},
            {"tokens": "1"},
            {"tokens": [-1]},
            {"tokens": [True]},
            {"tokens": [1 << 40]},
            {"tokens": [1.5]},
            {"finish": "tired"},
            {"finish": []},
            {"stop": 1},
            {"facts": []},
            {"facts": {"day": 3}},
        )
    ),
]


@pytest.mark.parametrize("payload", BAD_LIKELIHOODS, ids=lambda p: repr(p[:40]))
def test_what_is_no_log_likelihood_is_said_to_be_none(payload: bytes) -> None:
    assert malformed(payload, generated=False)
    with pytest.raises(MalformedRecordError):
        decode_likelihood(payload)


@pytest.mark.parametrize("payload", BAD_ANSWERS, ids=lambda p: repr(p[:60]))
def test_what_is_no_answer_is_said_to_be_none(payload: bytes) -> None:
    assert malformed(payload)
    with pytest.raises(MalformedRecordError):
        decode_answer(payload)
