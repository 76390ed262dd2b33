"""What a run measures is what the next plan predicts from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from evalc import env
from evalc.plan import Planned, cost
from evalc.plan.why import Ledger
from workspaces import Workspace, quiz_rows, sum_rows


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost a tiny model more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def speed(workspace: Workspace, planned: Planned) -> cost.Speed:
    """The recorded speed of the only model."""
    with workspace.store() as store:
        found = cost.recall(store, planned.models[0].identity, env.hardware("cpu"))
    assert found is not None
    return found


def plan(workspace: Workspace) -> dict[str, Any]:
    done = workspace.call("plan", "specs", "--json")
    assert done.code == 0, done.text
    found: dict[str, Any] = done.json
    return found


def more(workspace: Workspace) -> None:
    """Two rows more of each task."""
    workspace.rows("quiz.jsonl", quiz_rows(8))
    workspace.rows("sums.jsonl", sum_rows(8))


def test_a_second_plan_predicts_from_the_rates_of_the_first_run(workspace: Workspace) -> None:
    workspace.both()
    assert plan(workspace)["total"]["estimate"]["basis"] == "guess"
    assert workspace.call("exec", "specs", "--no-report").code == 0
    more(workspace)
    planned = workspace.planned()
    shape, measured = planned.models[0].shape, speed(workspace, planned)
    assert min(measured.prefill_seconds, measured.decode_seconds, measured.setup) > 0
    found = plan(workspace)
    prefill = measured.prefill_flops / measured.prefill_seconds
    decode = measured.decode_tokens / measured.decode_seconds
    seconds = [
        cost.prefill_flops(shape, cell) / prefill + cell["decode_tokens_bound"] / decode
        for cell in found["cells"]
    ]
    assert [c["estimate"]["seconds"] for c in found["cells"]] == pytest.approx(seconds)
    total = found["total"]
    assert total["setup_seconds"] == pytest.approx(measured.setup)
    assert total["estimate"]["seconds"] == pytest.approx(measured.setup + sum(seconds))
    assert total["estimate"]["basis"] == "measured"
    assert "for loading and checking models" in workspace.call("plan", "specs").out


def test_a_machine_that_turns_out_slower_is_believed(workspace: Workspace) -> None:
    workspace.both()
    assert workspace.call("exec", "specs", "--no-report").code == 0
    more(workspace)
    before, planned = plan(workspace), workspace.planned()
    known = speed(workspace, planned)
    slower = replace(
        known, prefill_seconds=9 * known.prefill_seconds, decode_seconds=9 * known.decode_seconds
    )
    with workspace.store() as store:
        cost.record(store, planned.models[0].identity, env.hardware("cpu"), slower)
    after = plan(workspace)
    for old, new in zip(before["cells"], after["cells"], strict=True):
        grown = (9 + cost.MEMORY) / (1 + cost.MEMORY)
        assert new["estimate"]["seconds"] == pytest.approx(grown * old["estimate"]["seconds"])


def test_rates_of_other_hardware_or_numerics_are_not_used(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.both()
    assert workspace.call("exec", "specs", "--no-report").code == 0
    more(workspace)
    fast = workspace.call("plan", "specs", "--json", "--set", "models.m.numerics=fast").json
    assert fast["total"]["estimate"]["basis"] == "guess"
    monkeypatch.setattr(env, "hardware", lambda device: f"another {device}")
    found = plan(workspace)
    assert found["total"]["estimate"]["basis"] == "guess"
    assert found["total"]["setup_seconds"] == 0


def test_what_nothing_remains_of_takes_no_time(workspace: Workspace) -> None:
    workspace.both()
    assert workspace.call("exec", "specs", "--no-report").code == 0
    total = plan(workspace)["total"]
    assert (total["setup_seconds"], total["estimate"]["seconds"]) == (0, 0)


def test_a_run_that_was_stopped_leaves_the_rates_of_what_it_did(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.quiz(8)
    whole = sum(
        cost.prefill_flops(workspace.planned().models[0].shape, cell)
        for cell in plan(workspace)["cells"]
    )
    monkeypatch.setattr("evalc.run.turns.PACK_REQUESTS", {"cpu": 8, "cuda": 8})
    original, commits = Ledger.commit, []

    def stopped(ledger: Ledger, keys: list[bytes], payloads: list[bytes]) -> None:
        if commits:
            raise KeyboardInterrupt
        commits.append(len(keys))
        original(ledger, keys, payloads)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit", stopped)
        assert workspace.call("exec", "specs", "--no-report").code == 130
    found = speed(workspace, workspace.planned())
    assert found.prefill_flops == pytest.approx(whole * commits[0] / 32)
    assert found.prefill_seconds > 0
    assert plan(workspace)["total"]["estimate"]["basis"] == "measured"


def test_a_run_tells_what_was_predicted_and_what_it_took(workspace: Workspace) -> None:
    workspace.both()
    assert workspace.call("exec", "specs", "--no-report").code == 0
    more(workspace)
    predicted = plan(workspace)["total"]["estimate"]["seconds"]
    done = workspace.call("exec", "specs")
    with workspace.store() as store:
        run = json.loads(store.runs()[-1][1])
    assert run["predicted_seconds"] == pytest.approx(predicted, abs=1e-3)
    assert run["predicted_basis"] == "measured"
    assert 0 < run["setup_seconds"] < run["seconds"]
    assert f"(predicted {run['predicted_seconds']:,.1f} s)" in done.out
