"""The programs for GPUs, interpreted on a CPU, and the tests of the engine on top of them.

On a machine with a GPU they run there too, and more of the engine's tests with them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
SLOW = (
    "test_generation.py::test_greedy_tokens_equal_transformers_generate[llama]",
    "test_generation.py::test_greedy_tokens_equal_transformers_generate[gpt_neox]",
    "test_generation.py::test_refilled_slots_give_the_same_tokens[2]",
    "test_generation.py::test_seed_slot_and_key_each_change_a_sampled_text",
    "test_generation.py::test_a_prompt_without_room_fails_alone",
    "test_likelihoods.py::test_scores_equal_plain_model_calls[qwen3]",
    "test_likelihoods.py::test_scores_equal_plain_model_calls[gpt_neox]",
)
"""Tests of the engine that an interpreter can take its time for."""


def child(engine: str, tests: list[str]) -> int:
    """Run tests in a process of their own; the number that passed, and none that did not."""
    environment = {**os.environ, "EVALC_TEST_ENGINE": engine, "OMP_NUM_THREADS": "1"}
    if engine == "interpreted":
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *tests],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    counted = re.search(r"(\d+) passed", done.stdout)
    assert counted is not None and "skipped" not in done.stdout, done.stdout[-500:]
    return int(counted[1])


def test_each_program_is_right_when_interpreted() -> None:
    pytest.importorskip("triton", reason="torch is here without Triton")
    assert child("interpreted", ["interpreted.py"]) > 20


def test_the_engine_is_right_on_interpreted_programs() -> None:
    pytest.importorskip("triton", reason="torch is here without Triton")
    assert child("interpreted", list(SLOW)) == len(SLOW)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_programs_and_engine_are_right_on_a_gpu() -> None:
    assert child("cuda", ["interpreted.py", "gpu_only.py"]) > 20
    without = "not running_out_of_memory and not different_settings and not threads"
    assert child("cuda", ["test_generation.py", "-k", without]) > 60
