from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalc.spec import load, select
from evalc.spec.starter import starter_files


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    for name, text in starter_files('../my "model"').items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_starter_is_a_spec_without_faults(starter: Path) -> None:
    found = load([starter])
    assert len(select(found).cells) == 3
    assert select(found, tier="smoke").tier == "smoke"
    assert found.located(("models", "mine", "path")) == str(starter.parent / 'my "model"')


def test_every_dataset_of_the_starter_is_a_file_of_rows(starter: Path) -> None:
    found = load([starter])
    for name in found.spec.datasets:
        path = Path(found.located(("datasets", name, "path")))
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(rows) >= 3
        assert len({tuple(row) for row in rows}) == 1


def test_right_answers_of_the_starter_are_among_the_choices(starter: Path) -> None:
    lines = (starter / "data/capitals.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(0 <= row["answer"] < len(row["choices"]) for row in rows)


def test_one_line_is_to_be_edited() -> None:
    text = starter_files()["evalc.toml"]
    assert text.count("Edit this line") == 1
    assert text.count("path/to/model") == 1
