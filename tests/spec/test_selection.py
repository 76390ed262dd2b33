from __future__ import annotations

from pathlib import Path

import pytest

from evalc.diagnostics import Faults
from evalc.spec import Folder, load, select

HEAD = """\
evalc = 1
[models.small]
path = "s"
[models.large]
path = "l"
[datasets.d]
path = "d.jsonl"
[tiers.smoke]
cases = 3
"""
TASK = '[tasks.{name}]\ndataset = "d"\ntype = "perplexity"\nprompt = "x"\n'
TASKS = "".join(
    TASK.format(name=name) + f'metrics = ["bits_per_byte"]\ntags = ["{tag}"]\n'
    for name, tag in (("mmlu_law", "en"), ("mmlu_art", "en"), ("text", "de"))
)
SUITES = """\
[suites.nightly]
models = ["small"]
tasks = ["mmlu_*", "tag:en"]
[suites.quick]
models = ["*"]
tasks = ["text"]
tier = "smoke"
"""


def folder(tmp_path: Path, text: str) -> Folder:
    path = tmp_path / "spec.toml"
    path.write_text(text)
    return load([path])


@pytest.fixture
def suites(tmp_path: Path) -> Folder:
    return folder(tmp_path, HEAD + TASKS + SUITES)


@pytest.fixture
def plain(tmp_path: Path) -> Folder:
    return folder(tmp_path, HEAD + TASKS)


def code(found: Folder, **wanted: object) -> str:
    with pytest.raises(Faults) as caught:
        select(found, **wanted)  # type: ignore[arg-type]
    (only,) = caught.value.diagnostics
    return only.code


def test_a_suite_selects_by_name_glob_and_tag_each_cell_once(suites: Folder) -> None:
    found = select(suites, ["nightly"])
    assert found.cells == (("small", "mmlu_art"), ("small", "mmlu_law"))
    assert found.tier is None
    assert found.suites == ("nightly",)


def test_a_suite_brings_its_tier(suites: Folder) -> None:
    assert select(suites, ["quick"]).tier == "smoke"
    assert select(suites, ["quick"], tier="full").tier is None


def test_no_suite_named_is_all_suites(suites: Folder) -> None:
    found = select(suites, tier="full")
    assert set(found.cells) == {
        ("small", "mmlu_art"),
        ("small", "mmlu_law"),
        ("small", "text"),
        ("large", "text"),
    }


def test_a_spec_without_suites_is_every_model_with_every_task(plain: Folder) -> None:
    found = select(plain)
    assert len(found.cells) == 6
    assert list(found.cells) == sorted(found.cells)
    assert found.suites == ()


def test_models_and_tasks_narrow_the_cells(suites: Folder, plain: Folder) -> None:
    assert select(plain, models=["large"], tasks=["tag:de"]).cells == (("large", "text"),)
    narrowed = select(suites, tasks=["mmlu_art"], tier="smoke")
    assert narrowed.cells == (("small", "mmlu_art"),)


def test_a_named_task_that_no_suite_holds_is_taken_all_the_same(tmp_path: Path) -> None:
    text = HEAD + TASKS + '[suites.one]\nmodels = ["small"]\ntasks = ["text"]\n'
    found = folder(tmp_path, text)
    assert len(select(found, tasks=["mmlu_art"]).cells) == 2
    assert code(found, suites=["one"], tasks=["mmlu_art"]) == "empty-selection"


def test_suites_with_different_tiers_need_a_choice(suites: Folder) -> None:
    assert code(suites) == "tier-conflict"
    assert select(suites, tier="smoke").tier == "smoke"


def test_unknown_names_have_a_diagnostic_each(suites: Folder) -> None:
    assert code(suites, suites=["nightl"]) == "unknown-suite"
    assert code(suites, models=["smal"]) == "unknown-model"
    assert code(suites, tasks=["tex"]) == "unknown-task"
    assert code(suites, tier="smok") == "unknown-tier"
    assert code(suites, tasks=["tag:fr"]) == "empty-match"


def test_a_spec_without_models_selects_nothing(tmp_path: Path) -> None:
    assert code(folder(tmp_path, "evalc = 1\n")) == "empty-selection"
