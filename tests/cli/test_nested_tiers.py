"""Tiers are prefixes of one order: growing them asks nothing twice, and ends as one full run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalc.store import Store
from workspaces import QUIZ, Workspace, quiz_rows

CASES = 200
TIERS = """
[tiers.smoke]
cases = 40
stop = "decided"
[tiers.standard]
fraction = 0.6
stop = "decided"
[tiers.quick]
stop = "decided"
"""


def gate(name: str, **keys: Any) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return f"\n[gates.{name}]\n" + "\n".join(['metric = "quiz.acc"', *lines]) + "\n"


@pytest.fixture
def tiered(workspace: Workspace) -> Workspace:
    """A workspace with a long quiz, three tiers and gates that stay open for long."""
    workspace.write(
        QUIZ,
        TIERS,
        gate("floor", min=0.25, on_inconclusive="warn"),
        gate("roof", max=0.27, on_inconclusive="warn"),
        gate("narrow", half_width=0.04, on_inconclusive="warn"),
    )
    workspace.rows("quiz.jsonl", quiz_rows(CASES))
    return workspace


def records(workspace: Workspace, cache: str) -> dict[bytes, bytes]:
    with Store.open(workspace.root / cache / "store") as store:
        return {key: value for batch in store.scan(b"records.v1") for key, value in batch}


def test_smoke_standard_and_full_ask_nothing_twice_and_equal_a_direct_full_run(
    tiered: Workspace,
) -> None:
    asked, seen = [], []
    for tier in ("smoke", "standard", "full"):
        done = tiered.call("exec", "--tier", tier, "--json", "--cache", tiered.root / "grown")
        assert done.code in (0, 3), done.text
        asked.append(done.json["runs"][0]["asked"])
        seen.append(set(records(tiered, "grown")))
    assert 0 < asked[0] <= 4 * 40
    assert asked[1] > 0
    assert asked[2] > 0
    assert sum(asked) == 4 * CASES == len(seen[-1]), "nothing is asked twice"
    assert seen[0] < seen[1] < seen[2]
    direct = tiered.call("exec", "--json", "--cache", tiered.root / "direct")
    assert done.json["gates"] == direct.json["gates"]
    assert done.json["results"] == direct.json["results"]
    assert records(tiered, "grown") == records(tiered, "direct"), "bit for bit"


def test_a_tier_says_the_same_whether_more_was_asked_before_or_not(tiered: Workspace) -> None:
    fresh = tiered.call("exec", "--tier", "smoke", "--json", "--cache", tiered.root / "fresh")
    whole = tiered.call("exec", "--json", "--cache", tiered.root / "whole")
    assert whole.json["results"][0]["complete"]
    again = tiered.call("exec", "--tier", "smoke", "--json", "--cache", tiered.root / "whole")
    assert again.json["gates"] == fresh.json["gates"]
    assert again.json["runs"] == whole.json["runs"], "nothing was asked"


def test_a_gate_without_a_baseline_is_sharpened_by_that_of_its_neighbour(
    workspace: Workspace,
) -> None:
    workspace.rows("quiz.jsonl", quiz_rows(CASES))
    workspace.write(QUIZ, TIERS)
    whole = workspace.call("exec", "--json")
    (workspace.specs / "before.json").write_text(whole.out)
    narrow = gate("narrow", half_width=0.06)
    regression = gate("regression", baseline="before.json", max_drop=0.5)
    seen = {}
    for name, more in (("alone", ""), ("beside", regression)):
        workspace.write(QUIZ, TIERS, narrow, more)
        done = workspace.call("exec", "--tier", "quick", "--json", "--cache", workspace.root / name)
        assert done.code == 0, done.text
        found = {entry["gate"]: entry for entry in done.json["gates"]}
        assert found["narrow"]["state"] == "pass"
        seen[name] = found["narrow"]["conditions"][0]["seen"]
        assert done.json["runs"][0]["asked"] == 4 * seen[name]
    assert seen["beside"] < seen["alone"], seen
