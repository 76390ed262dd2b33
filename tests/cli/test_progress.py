"""The line of progress: whose turn it is, and a time left that counts what is written."""

from __future__ import annotations

import io
from typing import Any

import pytest

from evalc.cli.output import Talker
from evalc.cli.views import progress as meter

PRICED: dict[str, Any] = {
    "total": {
        "to_run": 100,
        "cached": 0,
        "prefill_tokens": 1000,
        "decode_tokens_bound": 10_000,
        "estimate": {"seconds": 40.0},
    },
    "cells": [
        {"model": "m", "task": "sums", "to_run": 100, "decode_tokens_bound": 10_000},
        {"model": "m", "task": "done", "to_run": 0, "decode_tokens_bound": 0},
        *({"model": "n", "task": f"t{k}", "to_run": 1, "decode_tokens_bound": 0} for k in range(5)),
    ],
}


class Clock:
    """A clock that is set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(meter, "time", made)
    return made


@pytest.fixture
def made(clock: Clock, capsys: pytest.CaptureFixture[str]) -> meter.RunMeter:
    return meter.RunMeter(Talker(file=io.StringIO()), None, PRICED)  # type: ignore[arg-type]


def test_a_line_names_the_model_and_its_tasks(
    made: meter.RunMeter, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.now = 11.0
    made.asking("m")
    assert capsys.readouterr().err == "loading m\n"
    made.started(100, 1000)
    made.advanced(0, 1000, 1.0, "prefill")
    assert capsys.readouterr().err.startswith("m: sums: 0/100 requests, ")
    clock.now = 22.0
    made.asking("n")
    assert capsys.readouterr().err == "loading n\n"
    made.advanced(0, 0, 0.0, "prefill")
    assert capsys.readouterr().err.startswith("n: t0, t1, t2, 2 more: 0/100 requests, ")


def test_the_time_left_is_the_plan_s_until_writing_was_measured(
    made: meter.RunMeter, clock: Clock
) -> None:
    clock.now = 1.0
    made.advanced(0, 1000, 1.0, "prefill")
    assert made._left(1.0) == 39.0


def test_while_nothing_has_ended_the_time_left_falls_with_every_token(
    made: meter.RunMeter, clock: Clock
) -> None:
    made.advanced(0, 1000, 1.0, "prefill")
    made.advanced(0, 500, 5.0, "decode")
    assert made._left(6.0) == pytest.approx(95.0)
    made.advanced(0, 4500, 45.0, "decode")
    assert made._left(51.0) == pytest.approx(50.0)


def test_answers_that_end_early_shorten_the_rest(made: meter.RunMeter) -> None:
    made.advanced(0, 1000, 1.0, "prefill")
    made.advanced(50, 500, 5.0, "decode")
    assert made._left(6.0) == pytest.approx(5.0)
    made.advanced(50, 500, 5.0, "decode")
    assert made._left(11.0) == 0.0
