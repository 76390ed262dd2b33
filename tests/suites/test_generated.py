"""The suites that are written from benchmark files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tomli

SPECS = Path(__file__).resolve().parents[2] / "specs"


def test_mmlu_and_bbh_are_fresh(shared: Path) -> None:
    generator = [sys.executable, str(SPECS / "generate.py"), "--check", str(shared / "data")]
    result = subprocess.run(generator, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_stale_file_is_noticed(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "generate.py").write_bytes((SPECS / "generate.py").read_bytes())
    generator = [sys.executable, str(tmp_path / "generate.py"), str(shared / "data")]
    subprocess.run(generator, check=True)
    (tmp_path / "mmlu.toml").open("a").write("# by hand\n")
    result = subprocess.run([*generator, "--check"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "mmlu.toml is stale" in result.stderr


def test_every_subject_with_test_and_dev_cases_is_a_task() -> None:
    tasks = tomli.loads((SPECS / "mmlu.toml").read_text(encoding="utf-8"))["tasks"]
    assert len(tasks) == 56
    assert all(task["fewshot"]["k"] in (3, 4, 5) for task in tasks.values())


def test_the_canary_of_bbh_reaches_no_prompt() -> None:
    text = (SPECS / "bbh.toml").read_text(encoding="utf-8")
    tasks = tomli.loads(text)["tasks"]
    assert len(tasks) == 27
    assert "canary GUID" in text
    for task in tasks.values():
        assert "canary" not in task["description"]
        assert task["description"].count("\nA: Let's think step by step.\n") == 3
        assert task["description"].endswith("\n\n")
