"""A tier is a prefix of one order that knows ids and a seed, and nothing of positions."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from evalc import _core
from planned_requests import dataset, ir, task
from tiny_models import write_rows

ROWS = [{"p": f"Q {n}", "c": ["x"], "n": n} for n in range(100)]


def cases(
    bundle: Path, path: Path, rows: list[dict[str, Any]], seed: int = 0, **tier: Any
) -> list[str]:
    write_rows(path, rows)
    content = json.loads(ir(bundle, [dataset(path, id="{{ n }}")], [task()]))
    content["tier"] |= tier
    content["seed"] = seed
    found: list[str] = _core.Plan.build(json.dumps(content).encode()).cell(0)["case_ids"]
    return found


def test_a_small_tier_is_part_of_a_larger_one(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    before: set[str] = set()
    for size in (1, 5, 20, 99, 100, 1000):
        found = set(cases(bundle, path, ROWS, cases=size))
        assert len(found) == min(size, 100)
        assert before <= found
        before = found


def test_a_tier_keeps_the_order_of_the_file(bundle: Path, tmp_path: Path) -> None:
    found = cases(bundle, tmp_path / "rows.jsonl", ROWS, cases=30)
    assert [int(n) for n in found] == sorted(int(n) for n in found)
    assert found != [str(n) for n in range(30)], "the first rows instead of a sample"


def test_an_inserted_row_pushes_out_at_most_one(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    before = set(cases(bundle, path, ROWS, cases=30))
    for n in range(5):
        new = {"p": "new", "c": ["x"], "n": 1000 + n}
        after = set(cases(bundle, path, [*ROWS[: 7 * n], new, *ROWS[7 * n :]], cases=30))
        assert len(before - after) == (1 if str(1000 + n) in after else 0)


def test_the_order_of_rows_does_not_matter(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    mixed = random.Random(1).sample(ROWS, len(ROWS))
    assert set(cases(bundle, path, ROWS, cases=30)) == set(cases(bundle, path, mixed, cases=30))


def test_a_fraction_is_rounded_up_and_the_smaller_limit_counts(
    bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    assert len(cases(bundle, path, ROWS, fraction=0.101)) == 11
    assert len(cases(bundle, path, ROWS, fraction=0.5, cases=7)) == 7
    assert len(cases(bundle, path, ROWS, fraction=0.001)) == 1


def test_another_seed_draws_another_sample(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    one = cases(bundle, path, ROWS, cases=30)
    assert set(cases(bundle, path, ROWS, cases=30, seed=1)) != set(one)


def test_the_population_is_what_a_full_run_has(bundle: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    content = json.loads(ir(bundle, [dataset(path, where="{{ n >= 40 }}")], [task()]))
    content["tier"]["cases"] = 10
    cell = _core.Plan.build(json.dumps(content).encode()).cell(0)
    assert (len(cell["case_ids"]), cell["population"]) == (10, 60)


def test_rows_and_where_choose_before_the_tier(bundle: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    data = dataset(path, rows=[10, 20], where="{{ n % 2 == 0 }}", id="{{ n }}")
    cell = _core.Plan.build(ir(bundle, [data], [task()])).cell(0)
    assert cell["case_ids"] == ["10", "12", "14", "16", "18"]


def test_equal_rows_without_an_id_are_cases_of_their_own(bundle: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [ROWS[0]] * 3 + ROWS[1:2])
    ids = _core.Plan.build(ir(bundle, [dataset(path)], [task()])).cell(0)["case_ids"]
    assert ids[1:3] == [f"{ids[0]}#2", f"{ids[0]}#3"]
    assert len(set(ids)) == 4


def test_the_id_of_a_row_does_not_depend_on_the_order_of_its_keys(
    bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"p": "Q", "c": ["x"], "z": {"a": 1, "b": 2}}\n')
    one = _core.Plan.build(ir(bundle, [dataset(path)], [task()])).cell(0)["case_ids"]
    path.write_text('{"z": {"b": 2, "a": 1}, "c": ["x"], "p": "Q"}\n')
    assert _core.Plan.build(ir(bundle, [dataset(path)], [task()])).cell(0)["case_ids"] == one
