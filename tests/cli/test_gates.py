"""Gates end to end: a run asks what its decisions need, says what they are, and exits by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tiny_models import write_noisy
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

CASES = 240
DECIDED = """
[tiers.quick]
stop = "decided"
[tiers.small]
cases = 40
stop = "decided"
"""


def gate(name: str, metric: str = "quiz.acc", **keys: Any) -> str:
    """A gate's table."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"metric": metric, **keys}.items()]
    return f"\n[gates.{name}]\n" + "\n".join(lines) + "\n"


@pytest.fixture
def judged(workspace: Workspace) -> Workspace:
    """A workspace with a long quiz."""
    workspace.write(QUIZ, DECIDED)
    workspace.rows("quiz.jsonl", quiz_rows(CASES))
    return workspace


def with_gates(workspace: Workspace, *gates: str) -> None:
    workspace.write(QUIZ, DECIDED, *gates)


def asked(workspace: Workspace) -> int:
    """Requests that have a record."""
    with workspace.store() as store:
        return store.records()


def truth(workspace: Workspace) -> float:
    """The full run's accuracy."""
    done = workspace.call("exec", "--json")
    found: float = done.json["results"][0]["metrics"][0]["value"]
    return found


def noisy(workspace: Workspace, scale: float) -> Path:
    """A copy of the model with noise on its weights."""
    return write_noisy(workspace.model, workspace.root / f"noisy-{scale}", scale)


@pytest.mark.parametrize(
    ("keys", "code", "state"),
    [
        ({"min": 0.02}, 0, "pass"),
        ({"min": 0.9}, 3, "fail"),
        ({"max": 0.95}, 0, "pass"),
        ({"max": 0.03}, 3, "fail"),
        ({"half_width": 0.12}, 0, "pass"),
        ({"min": 0.02, "half_width": 0.12}, 0, "pass"),
    ],
    ids=str,
)
def test_a_clear_gate_is_decided_by_a_part_of_the_cases(
    judged: Workspace, keys: dict[str, float], code: int, state: str
) -> None:
    with_gates(judged, gate("g", **keys))
    done = judged.call("exec", "--tier", "quick", "--json")
    assert done.code == code, done.text
    (entry,) = done.json["gates"]
    assert entry["state"] == state
    assert entry["basis"] in ("certain", "evidence")
    seen = max(condition["seen"] for condition in entry["conditions"])
    assert seen < CASES
    assert asked(judged) == 4 * seen
    assert done.json["results"][0]["ended"] == "decided"
    for condition in entry["conditions"]:
        assert condition["low"] <= condition["value"] <= condition["high"]
    value = truth(judged)
    for condition in entry["conditions"]:
        assert condition["low"] <= value <= condition["high"]


def test_a_report_says_what_the_run_said(judged: Workspace) -> None:
    with_gates(judged, gate("g", min=0.9))
    first = judged.call("exec", "--tier", "quick", "--json")
    again = judged.call("report", "--tier", "quick", "--json")
    assert (first.code, again.code) == (3, 3)
    assert first.json["gates"] == again.json["gates"]
    shown = judged.call("report", "--tier", "quick")
    assert shown.code == 3
    assert "FAIL" in shown.out
    assert "wrong with probability at most 0.05" in shown.out
    assert "stopped when its gates were decided" in " ".join(shown.out.split())
    assert "❌ fail" in judged.call("report", "--tier", "quick", "--markdown").out


def test_smoke_then_more_asks_nothing_twice_and_equals_a_direct_run(judged: Workspace) -> None:
    with_gates(judged, gate("g", min=0.26, on_inconclusive="warn"))
    small = judged.call("exec", "--tier", "small", "--json")
    assert small.json["gates"][0]["state"] == "inconclusive"
    assert small.code == 0
    assert asked(judged) == 160
    whole = judged.call("exec", "--json")
    assert asked(judged) == 4 * CASES
    assert whole.json["runs"][0]["asked"] == 4 * CASES - 160
    direct = judged.call("exec", "--json", "--cache", judged.root / "other")
    assert whole.json["gates"] == direct.json["gates"]
    assert whole.json["results"] == direct.json["results"]
    assert whole.json["gates"][0]["basis"] == "certain"


def test_an_undecided_gate_exits_with_4_unless_it_only_warns(judged: Workspace) -> None:
    for then, code in (("fail", 4), ("warn", 0)):
        with_gates(judged, gate("g", min=0.26, on_inconclusive=then))
        done = judged.call("exec", "--tier", "small")
        assert done.code == code, done.text
        assert "the budget ended before it was decided" in " ".join(done.out.split())


def test_an_undecided_gate_goes_on_to_a_larger_tier(judged: Workspace) -> None:
    with_gates(judged, gate("g", min=0.26, on_inconclusive="escalate:full"))
    done = judged.call("exec", "--tier", "small", "--json")
    assert "goes on to `full`" in done.err
    (entry,) = done.json["gates"]
    assert entry["state"] in ("pass", "fail")
    value = truth(judged)
    assert (entry["state"] == "pass") == (value >= 0.26)
    assert done.code == (0 if value >= 0.26 else 3)


def test_a_full_run_is_certain_whatever_the_evidence_said(judged: Workspace) -> None:
    value = truth(judged)
    with_gates(judged, gate("at", min=value), gate("above", min=value + 0.001))
    done = judged.call("report", "--json")
    states = {entry["gate"]: (entry["state"], entry["basis"]) for entry in done.json["gates"]}
    assert states == {"at": ("pass", "certain"), "above": ("fail", "certain")}
    assert done.code == 3


def two_models(workspace: Workspace, other: Path, *gates: str) -> None:
    spec = QUIZ + DECIDED + "".join(gates)
    header = f"evalc = 1\n[models.m]\npath = {json.dumps(str(workspace.model))}\n"
    header += f"[models.other]\npath = {json.dumps(str(other))}\n"
    (workspace.specs / "spec.toml").write_text(header + spec)


def test_a_model_that_is_nearly_the_baseline_does_not_regress_and_needs_few_cases(
    judged: Workspace,
) -> None:
    assert judged.call("exec", "--record", "main", "--no-report").code == 0
    before = asked(judged)
    other = noisy(judged, 0.001)
    (judged.specs / "spec.toml").write_text(
        f"evalc = 1\n[models.m]\npath = {json.dumps(str(other))}\n"
        + QUIZ
        + DECIDED
        + gate("regression", baseline="main", max_drop=0.10)
    )
    done = judged.call("exec", "--tier", "quick", "--json")
    assert done.code == 0, done.text
    (entry,) = done.json["gates"]
    assert entry["state"] == "pass"
    assert entry["conditions"][0]["seen"] <= CASES / 2
    assert asked(judged) - before == 4 * entry["conditions"][0]["seen"]


def test_a_baseline_that_is_a_model_is_asked_first_and_whole(judged: Workspace) -> None:
    two_models(judged, noisy(judged, 0.0), gate("r", baseline="other", max_drop=0.1, models=["m"]))
    done = judged.call("exec", "--tier", "quick", "--json")
    assert done.code == 0, done.text
    results = {result["model"]: result for result in done.json["results"]}
    assert results["other"]["complete"]
    (entry,) = done.json["gates"]
    assert (entry["model"], entry["state"]) == ("m", "pass")
    assert entry["conditions"][0]["scope"] == "value"


def test_a_baseline_with_a_gate_of_its_own_is_asked_whole_all_the_same(judged: Workspace) -> None:
    floor = gate("floor", min=0.9)
    two_models(judged, noisy(judged, 0.0), floor, gate("r", baseline="other", max_drop=0.1))
    done = judged.call("exec", "--tier", "quick", "--json")
    results = {result["model"]: result for result in done.json["results"]}
    states = {(entry["gate"], entry["model"]): entry["state"] for entry in done.json["gates"]}
    assert results["other"]["complete"]
    assert states == {("floor", "m"): "fail", ("floor", "other"): "fail", ("r", "m"): "pass"}


def test_a_baseline_that_saw_a_part_is_compared_on_that_part(judged: Workspace) -> None:
    judged.write(QUIZ, DECIDED)
    assert judged.call("exec", "--tier", "small", "--record", "main", "--no-report").code == 0
    with_gates(judged, gate("r", baseline="main", max_drop=0.02))
    done = judged.call("exec", "--json")
    (entry,) = done.json["gates"]
    (condition,) = entry["conditions"]
    assert (condition["scope"], condition["total"], entry["state"]) == ("difference", 40, "pass")
    assert condition["value"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("baseline", "code", "phrase"),
    [
        ("main", "unknown-baseline", "no result is recorded as `main`"),
        ("spec.toml", "not-a-report", "is not a report"),
        ("deep.json", "not-a-report", "nested too deeply"),
        ("x" * 5000, "unknown-baseline", "no result is recorded as"),
    ],
)
def test_a_baseline_that_is_not_there_is_said_before_anything_runs(
    judged: Workspace, baseline: str, code: str, phrase: str
) -> None:
    (judged.specs / "deep.json").write_text("[" * 100_000)
    with_gates(judged, gate("r", baseline=baseline, max_drop=0.02))
    done = judged.call("exec", "--tier", "quick")
    assert done.code == 2
    assert code in done.err
    assert phrase in done.err
    assert asked(judged) == 0


def test_each_gate_says_its_own_mistake_in_the_junit_file(judged: Workspace) -> None:
    """All of them said that of the first, and two mistakes were five errors."""
    with_gates(
        judged,
        gate("a", min=0.1),
        gate("b", baseline="nope", max_drop=0.02),
        gate("c", baseline="missing.json", max_drop=0.02),
        gate("d", baseline="nope", max_drop=0.03),
    )
    done = judged.call("exec", "--junit", judged.root / "out.xml")
    assert done.code == 2
    assert done.err.count("[unknown-baseline]") == 2
    assert "named here too" in done.err
    root = ElementTree.parse(judged.root / "out.xml").getroot()
    said = {case.get("name"): str(case[0].get("message")) for case in root.iter("testcase")}
    assert said == {
        "a (m)": "not judged: the command ended before it was judged",
        "b (m)": "not judged: no result is recorded as `nope`, and no model or file is called so",
        "c (m)": "not judged: no result is recorded as `missing.json`, and no model or file is "
        "called so",
        "d (m)": "not judged: no result is recorded as `nope`, and no model or file is called so",
    }
    assert root.get("errors") == "4"


def test_a_report_in_a_file_is_a_baseline(judged: Workspace) -> None:
    text = judged.call("exec", "--json").out
    (judged.specs / "before.json").write_text(text)
    with_gates(judged, gate("r", baseline="before.json", max_drop=0.0))
    assert judged.call("report").code == 0


def test_recorded_results_are_named_replaced_and_carried(judged: Workspace) -> None:
    assert judged.call("exec", "--record", "a/b").code == 2
    assert judged.call("exec", "--record", "main", "--no-report").code == 0
    assert judged.call("exec", "--record", "main", "--no-report").code == 0
    exported = judged.root / "all.evalc"
    assert judged.call("cache", "export", exported).code == 0
    other = judged.root / "elsewhere"
    assert judged.call("cache", "import", exported, "--cache", other).code == 0
    with_gates(judged, gate("r", baseline="main", max_drop=0.0))
    assert judged.call("report", "--cache", other).code == 0


def test_what_would_be_recorded_in_no_cache_is_refused(judged: Workspace) -> None:
    done = judged.call("exec", "--no-cache", "--record", "main")
    assert (done.code, "leave out --no-cache" in done.err) == (2, True)


def test_without_the_cache_gates_compare_with_what_is_recorded_all_the_same(
    judged: Workspace,
) -> None:
    judged.write(QUIZ, DECIDED)
    assert judged.call("exec", "--record", "main", "--no-report").code == 0
    before = judged.records()
    with_gates(judged, gate("r", baseline="main", max_drop=0.1))
    done = judged.call("exec", "--no-cache", "--tier", "quick", "--json")
    assert done.code == 0, done.text
    (entry,) = done.json["gates"]
    assert entry["state"] == "pass"
    assert done.json["runs"][0]["asked"] == 4 * entry["conditions"][0]["seen"] > 0
    assert judged.records() == before


def test_an_interrupted_run_comes_to_the_same_verdict(judged: Workspace) -> None:
    with_gates(judged, gate("g", min=0.9))
    direct = judged.call("exec", "--tier", "quick", "--json", "--cache", judged.root / "other")
    assert judged.call("exec", "--tier", "small", "--no-report").code == 0
    again = judged.call("exec", "--tier", "quick", "--json")
    assert again.json["gates"] == direct.json["gates"]


def test_a_gate_goes_on_to_its_larger_budget_when_the_smaller_was_asked_before(
    judged: Workspace,
) -> None:
    with_gates(judged, gate("g", min=0.3))
    assert judged.call("exec", "--tier", "small", "--no-report").code == 0
    before = asked(judged)
    with_gates(judged, gate("g", min=0.3, on_inconclusive="escalate:full"))
    done = judged.call("exec", "--tier", "small", "--json")
    (entry,) = done.json["gates"]
    assert "goes on to `full`" in done.err
    assert entry["state"] != "inconclusive"
    assert asked(judged) > before


def test_tasks_without_a_gate_use_their_budget(judged: Workspace) -> None:
    judged.write(QUIZ, SUMS, DECIDED, gate("g", min=0.9))
    judged.rows("sums.jsonl", sum_rows(30))
    done = judged.call("exec", "--tier", "quick", "--json")
    results = {result["task"]: result for result in done.json["results"]}
    assert results["sums"]["complete"]
    assert not results["quiz"]["complete"]


def test_width_and_money_end_a_run_at_a_round(judged: Workspace) -> None:
    narrow, poor = "[tiers.narrow]\nhalf_width = 0.12\n", "[tiers.poor]\ndollars = 1e-12\n"
    judged.write(QUIZ, narrow, poor, "[cost]\nusd_per_hour = 1\n")
    done = judged.call("exec", "--tier", "narrow", "--json")
    assert 0 < done.json["results"][0]["scored"] < CASES
    assert done.json["results"][0]["ended"] == "decided"
    spent = judged.call("exec", "--tier", "poor", "--json", "--cache", judged.root / "poor")
    assert spent.code == 0, spent.text
    assert spent.json["results"][0]["scored"] <= 32
    assert "every answer is in the cache" not in spent.err


def test_a_run_that_asks_nothing_says_whether_that_is_all(judged: Workspace) -> None:
    judged.write(QUIZ, DECIDED, "[tiers.brief]\nseconds = 1e-9\n", gate("g", min=0.9))
    late = judged.call("exec", "--tier", "brief", "--no-report")
    assert "time or money is used up, and answers are missing" in late.err
    assert asked(judged) == 0
    assert judged.call("exec", "--tier", "quick", "--no-report").code == 0
    again = judged.call("exec", "--tier", "quick", "--no-report")
    assert "nothing to run: the cache answers all that is needed" in again.err
    assert judged.call("exec", "--no-report").code == 0
    whole = judged.call("exec", "--no-report")
    assert "nothing to run: every answer is in the cache" in whole.err


def test_a_result_that_is_recorded_in_place_of_its_baseline_was_compared_with_it(
    judged: Workspace,
) -> None:
    # rows whose ids stay what they are when their answers change
    rows = [{**row, "id": n} for n, row in enumerate(quiz_rows(CASES))]
    quiz = QUIZ.replace('"quiz.jsonl"', '"quiz.jsonl"\nid = "{{ id }}"', 1)
    regression = gate("r", baseline="main", max_drop=0.02)
    judged.rows("quiz.jsonl", rows)
    judged.write(quiz, DECIDED)
    picked = judged.call("exec", "--json").json["results"][0]["cases"]
    right = {int(case["id"]): case["picked"] for case in picked}
    judged.rows("quiz.jsonl", [{**row, "answer": right[row["id"]]} for row in rows])
    judged.write(quiz, DECIDED, regression)
    first = judged.call("exec", "--record", "main", "--json")
    assert first.code == 0, first.text
    assert first.json["gates"] == []
    assert "r is not judged: `main` is recorded for the first time" in first.err
    judged.rows("quiz.jsonl", [{**row, "answer": (right[row["id"]] + 1) % 4} for row in rows])
    worse = judged.call("exec", "--record", "main", "--json")
    assert (worse.code, worse.json["gates"][0]["state"]) == (3, "fail")
    assert worse.json["gates"][0]["change"]["difference"] == pytest.approx(-1.0)
    assert judged.call("report").code == 0


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_a_drop_of_what_is_no_mean_of_scores_is_refused(workspace: Workspace, metric: str) -> None:
    tasks = SUMS.replace('["exact_match"]', json.dumps(["exact_match", metric]))
    workspace.write(tasks, gate("r", f"sums.{metric}", baseline="main", max_drop=0.1))
    workspace.rows("sums.jsonl", sum_rows(4))
    done = workspace.call("check", "specs")
    assert done.code == 2
    assert "error[misplaced-key]" in done.err
    assert f"for `{metric}`, which is no mean of scores from 0 to 1" in done.err


def test_a_race_by_what_has_no_better_side_is_refused(workspace: Workspace) -> None:
    tasks = QUIZ.replace('["acc", "acc_norm"]', '["likelihood_diff"]')
    workspace.write(tasks, gate("best", "quiz.likelihood_diff", among=["m", "m2"]))
    workspace.write(
        f"[models.m2]\npath = {json.dumps(str(workspace.model))}\n", name="m2.toml", header=False
    )
    workspace.rows("quiz.jsonl", quiz_rows(4))
    done = workspace.call("check", "specs")
    assert (done.code, "of which neither way is better" in done.err) == (2, True)


def test_what_no_bet_can_be_made_on_is_judged_by_the_average_that_is_printed(
    workspace: Workspace,
) -> None:
    tasks = QUIZ.replace('["acc", "acc_norm"]', '["likelihood_diff"]')
    tasks += 'slices = ["{{ kind }}"]\naverage = "macro:kind"\n'
    rows = [
        {**r, "choices": ["red", "g" * (1 + 9 * (n < 3))], "answer": 0, "kind": "ab"[n < 3]}
        for n, r in enumerate(quiz_rows(30))
    ]
    workspace.rows("quiz.jsonl", rows)
    workspace.write(tasks)
    (metric,) = workspace.call("exec", "--json").json["results"][0]["metrics"]
    parts = metric["slices"]["kind"]
    micro = sum(parts[name]["value"] * parts[name]["n"] for name in parts) / len(rows)
    macro = metric["value"]
    assert abs(macro - micro) > 0.1
    workspace.write(tasks, gate("g", "quiz.likelihood_diff", min=(macro + micro) / 2))
    (entry,) = workspace.call("report", "--json").json["gates"]
    assert entry["state"] == ("pass" if macro > micro else "fail")
    assert entry["conditions"][0]["value"] == macro
    assert entry["conditions"][0]["seen"] == len(rows)


def test_a_baseline_with_scores_outside_0_to_1_is_not_compared_on_the_rest(
    workspace: Workspace,
) -> None:
    tasks = SUMS.replace('["exact_match"]', '["long_sums:digits"]')
    workspace.write(tasks)
    (workspace.specs / "long_sums.py").write_text(
        "def digits(case):\n    return float(len(case['target']))\n"
    )
    workspace.rows("sums.jsonl", sum_rows(30))
    recorded = workspace.call("exec", "--record", "main", "--json")
    scores = {c["scores"]["long_sums:digits"] for c in recorded.json["results"][0]["cases"]}
    assert scores == {1.0, 2.0}
    workspace.write(tasks, gate("r", "sums.long_sums:digits", baseline="main", max_drop=0.1))
    done = workspace.call("report", "--json")
    (entry,) = done.json["gates"]
    assert (done.code, entry["state"], entry["conditions"]) == (4, "inconclusive", [])
    assert entry["why"] == "`main` has scores outside 0 to 1"


def test_an_early_end_leaves_no_interval_of_a_fixed_number_of_cases_at_any_tier(
    judged: Workspace,
) -> None:
    with_gates(judged, gate("g", min=0.45))
    assert judged.call("exec", "--tier", "quick", "--no-report").code == 0
    for tier in (["--tier", "quick"], ["--tier", "small"], []):
        (result,) = judged.call("report", *tier, "--json").json["results"]
        assert 40 < result["scored"] < CASES
        assert {metric["method"] for metric in result["metrics"]} == {"anytime"}
    # a number of cases that was fixed before leaves it valid
    judged.call("exec", "--tier", "small", "--no-report", "--cache", judged.root / "other")
    done = judged.call("report", "--tier", "small", "--json", "--cache", judged.root / "other")
    ended = done.json["results"][0].get("ended")
    method = done.json["results"][0]["metrics"][0]["method"]
    assert (ended, method) in {("budget", "wilson"), ("decided", "anytime")}


def test_a_diff_with_what_ended_early_tests_nothing(judged: Workspace) -> None:
    two_models(judged, noisy(judged, 0.0), gate("g", min=0.9))
    assert judged.call("exec", "--tier", "quick", "--no-report").code == 0
    early = judged.call("diff", "m", "other", "--tier", "quick", "--json").json["comparisons"][0]
    assert 0 < early["n"] < CASES
    assert early["delta"] == 0.0
    assert [early[key] for key in ("p", "low", "high", "stderr", "detectable")] == [None] * 5
    assert judged.call("exec", "--no-report").code == 0
    whole = judged.call("diff", "m", "other", "--json").json["comparisons"][0]
    assert (whole["test"], whole["p"]) == ("mcnemar", 1.0)
