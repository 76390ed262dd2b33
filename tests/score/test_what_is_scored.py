"""Each layer runs again only when its own inputs changed: what ran, counted by what ran."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from evalc.score import programs
from evalc.store.environment import QUARANTINE, SCORES
from workspaces import SUMS, Done, Workspace, sum_rows

SCORERS = """\
from pathlib import Path
from rules import BEST

def noted(kind):
    with Path(__file__).with_name("calls").open("a") as file:
        file.write(kind + "\\n")

def judge(case):
    noted("judge")
    return len(case["extracted"][0]) * BEST

def jury(case):
    noted("jury")
    return 1

def last(text, case):
    noted("last")
    return text[-1:] or None
"""
JUDGED = SUMS.replace('["exact_match"]', '["scorers:judge"]')
EXTRACTED = SUMS + 'extract = { python = "scorers:last" }\n'


class Bench:
    """A workspace whose hooks write down that they are called."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        workspace.specs.mkdir(exist_ok=True)
        self.hooks = workspace.specs / "scorers.py"
        self.hooks.write_text(SCORERS)
        self.rules = workspace.specs / "rules.py"
        self.rules.write_text("BEST = 0.25\n")
        self.calls = workspace.specs / "calls"

    def spec(self, *parts: str, rows: int = 4) -> None:
        self.workspace.write(*parts)
        self.workspace.rows("sums.jsonl", sum_rows(rows))

    def ask(self) -> None:
        """Answer what remains, without scoring."""
        done = self.workspace.call("exec", "specs", "--no-report")
        assert done.code == 0, done.text

    def said(self, *options: str) -> Done:
        """A report; it must ask nothing."""
        self.calls.write_text("")
        before = self.workspace.records()
        done = self.workspace.call("report", "specs", "--json", *options)
        assert done.code == 0, done.text
        assert self.workspace.records().keys() <= before.keys(), "a report asked something"
        return done

    def ran(self, *options: str) -> dict[str, int]:
        """Calls that a report made, by hook."""
        self.said(*options)
        found = self.calls.read_text().split()
        return {kind: found.count(kind) for kind in sorted(set(found))}


@pytest.fixture
def bench(workspace: Workspace) -> Bench:
    """Four sums, answered, and scored once by a hook."""
    made = Bench(workspace)
    made.spec(JUDGED)
    made.ask()
    assert made.ran() == {"judge": 4}
    return made


def test_a_second_report_calls_no_hook_and_says_the_same(bench: Bench) -> None:
    first = bench.said().out
    assert bench.ran() == {}
    assert bench.said().out == first
    again = bench.workspace.call("exec", "specs", "--json")
    assert json.loads(again.out)["results"] == json.loads(first)["results"]
    assert bench.calls.read_text() == ""


def test_a_report_scores_the_same_with_and_without_what_is_kept(bench: Bench) -> None:
    warm = bench.said().out
    assert bench.workspace.call("cache", "gc", "--scores").code == 0
    assert bench.said().out == warm
    assert bench.calls.read_text().split() == ["judge"] * 4


def test_a_new_row_is_one_call(bench: Bench) -> None:
    bench.spec(JUDGED, rows=5)
    bench.ask()
    assert bench.ran() == {"judge": 1}


def test_a_corrected_row_is_one_call(bench: Bench) -> None:
    rows: list[dict[str, Any]] = [dict(row) for row in sum_rows(4)]
    rows[2]["answer"] = "corrected"
    bench.workspace.rows("sums.jsonl", rows)
    assert bench.ran() == {"judge": 1}, "a target is part of what a hook sees"
    rows[1]["question"] += " "
    bench.workspace.rows("sums.jsonl", rows)
    bench.ask()
    assert bench.ran() == {"judge": 1}


def test_a_changed_record_is_one_call(bench: Bench) -> None:
    key, *_ = sorted(bench.workspace.records())
    answer = {"text": "another text", "tokens": [1], "finish": "eos", "stop": None}
    with bench.workspace.store() as store:
        store.commit([key], [json.dumps(answer).encode()])
    assert bench.ran() == {"judge": 1}


def test_rows_in_another_order_are_no_call(bench: Bench) -> None:
    bench.workspace.rows("sums.jsonl", sum_rows(4)[::-1])
    assert bench.ran() == {}


def test_an_edited_hook_scores_everything_again(bench: Bench) -> None:
    bench.hooks.write_text(SCORERS.replace("* BEST", "* BEST + 1"))
    assert bench.ran() == {"judge": 4}
    assert bench.ran() == {}
    bench.hooks.write_text(SCORERS)
    assert bench.ran() == {}, "the scores of the source before are still there"


def test_what_a_hook_imports_of_the_repository_is_part_of_it(bench: Bench) -> None:
    before = bench.said().json["results"]
    bench.rules.write_text("BEST = 0.50\n")
    assert bench.ran() == {"judge": 4}
    assert bench.said().json["results"] != before, "the edited module was really used"


def test_a_file_that_no_hook_imports_is_no_part_of_it(bench: Bench) -> None:
    (bench.workspace.specs / "unrelated.py").write_text("# said\n")
    assert bench.ran() == {}
    (bench.workspace.specs / "unrelated.py").write_text("# said otherwise\n")
    assert bench.ran() == {}


HARMLESS = {
    "name of the task": JUDGED.replace("tasks.sums", "tasks.additions"),
    "name of the dataset": JUDGED.replace("datasets.sums", "datasets.d").replace('"sums"', '"d"'),
    "comment": JUDGED.replace("\n", "  # said\n", 1),
    "name of the extraction": JUDGED + "[tasks.sums.extract.whole]\n",
    "tag": JUDGED + 'tags = ["new"]\n',
}


@pytest.mark.parametrize("spec", HARMLESS.values(), ids=HARMLESS)
def test_what_no_hook_sees_is_no_call(bench: Bench, spec: str) -> None:
    bench.workspace.write(spec)
    assert bench.ran() == {}


def test_a_metric_beside_it_is_the_only_one_that_runs(bench: Bench) -> None:
    metrics = '["scorers:judge", "scorers:jury", "exact_match"]'
    bench.workspace.write(JUDGED.replace('["scorers:judge"]', metrics))
    assert bench.ran() == {"jury": 4}
    assert bench.ran() == {}


def test_another_extraction_scores_again_only_where_it_finds_another_answer(bench: Bench) -> None:
    bench.ask()
    texts = {case["answers"][""][0] for case in bench.said().json["results"][0]["cases"]}
    assert bench.ran("--set", 'tasks.sums.extract={regex="(?s).*"}') == {}
    cut = 'tasks.sums.extract={regex="(?s)^(.*).$"}'
    assert bench.ran("--set", cut) == {"judge": len([text for text in texts if text])}


def test_a_metric_beside_an_extraction_hook_extracts_nothing(workspace: Workspace) -> None:
    bench = Bench(workspace)
    bench.spec(EXTRACTED)
    bench.ask()
    extracted = bench.ran()
    assert 0 < extracted["last"] <= 4
    assert bench.ran() == {}
    assert bench.ran("--set", 'tasks.sums.metrics=["f1", "exact_match"]') == {}
    assert bench.ran("--set", "tasks.sums.extract.lower=true") == {}
    bench.hooks.write_text(SCORERS.replace("text[-1:]", "text[:1]"))
    assert bench.ran() == extracted


def test_a_damaged_score_is_computed_again_and_reported(bench: Bench) -> None:
    with bench.workspace.store() as store:
        names = [name for batch in store.scan(SCORES) for name, _ in batch]
        store.write_sealed(SCORES, [(names[0], b"rot")])
    done = bench.said()
    assert bench.calls.read_text().split() == ["judge"]
    assert "1 damaged value found in the cache" in done.err
    with bench.workspace.store() as store:
        assert store.count(QUARANTINE) == 1
        assert store.count(SCORES) == 4
    assert bench.ran() == {}


def test_a_hook_that_fails_keeps_the_scores_that_it_gave_and_no_other(workspace: Workspace) -> None:
    bench = Bench(workspace)
    bench.hooks.write_text(
        SCORERS.replace('noted("judge")', 'noted("judge")\n    broken(case)')
        + "def broken(case):\n"
        "    down = not Path(__file__).with_name('up').exists()\n"
        "    if case['row']['question'] == '2 + 3' and down:\n"
        "        raise ConnectionError('no judge')\n"
    )
    bench.spec(JUDGED)
    bench.ask()
    bench.calls.write_text("")
    done = bench.workspace.call("report", "specs", "--json")
    assert (done.code, "no judge" in done.text) == (7, True)
    (workspace.specs / "up").write_text("")
    assert bench.ran() == {"judge": 1}


def test_a_report_without_a_writable_cache_scores_and_keeps_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.workspace.call("cache", "gc", "--scores").code == 0
    allowed = os.access
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    assert bench.ran() == {"judge": 4}
    assert bench.ran() == {"judge": 4}


def test_no_cache_neither_takes_scores_nor_leaves_any(bench: Bench) -> None:
    def kept() -> int:
        with bench.workspace.store() as store:
            return store.count(SCORES)

    bench.calls.write_text("")
    assert bench.workspace.call("exec", "specs", "--no-cache", "--json").code == 0
    assert bench.calls.read_text().split() == ["judge"] * 4
    assert kept() == 4
    assert bench.workspace.call("cache", "gc", "--scores").code == 0
    assert bench.workspace.call("exec", "specs", "--no-cache", "--json").code == 0
    assert kept() == 0


def test_a_hook_of_another_folder_with_the_same_name_is_another_hook(bench: Bench) -> None:
    """Two modules of one name in one process: each spec gets its own, under its own key."""
    other = bench.workspace.root / "other"
    other.mkdir()
    (other / "scorers.py").write_text("def judge(case):\n    return 7\n")
    text = JUDGED.replace("tasks.sums", "tasks.more").replace("[datasets.sums]\n", "")
    (other / "more.toml").write_text("evalc = 1\n" + text.replace('path = "sums.jsonl"\n', ""))
    for _ in range(2):
        done = bench.workspace.call("report", "specs", "other", "--json")
        assert done.code == 0, done.text
        values = {r["task"]: r["metrics"][0]["value"] for r in done.json["results"]}
        assert values["more"] is None or values["more"] == 7
        assert values["sums"] != 7


CODE = """
[datasets.sums]
path = "sums.jsonl"
[tasks.sums]
dataset  = "sums"
type     = "generate"
prompt   = "{{ question }} ="
generate = { max_new_tokens = 4 }
metrics  = ["code_pass@1"]
code     = { program = "open('ran', 'w').close()  # {{ question }}", timeout = 20 }
"""


class Programs:
    """Child interpreters that were started for programs."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.marker = bench.workspace.root / "started"
        child = bench.workspace.root / "child.py"
        child.write_text(
            Path(programs.__file__)
            .with_name("program_child.py")
            .read_text()
            .replace(
                "_source, _path", f"open({str(self.marker)!r}, 'a').write('x')\n_source, _path", 1
            )
        )
        monkeypatch.setattr(programs, "_CHILD", child)

    def ran(self, *options: str) -> int:
        self.marker.write_text("")
        # in a sandbox a child could not leave a mark out here
        self.bench.said(*options, "--sandbox", "none")
        return len(self.marker.read_text())


@pytest.fixture
def coded(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Three programs, run once."""
    made = Bench(workspace)
    made.spec(CODE, rows=3)
    made.ask()
    found = Programs(made, monkeypatch)
    assert found.ran("--allow-code-execution") == 3
    return found


def test_a_second_report_starts_no_program(coded: Programs) -> None:
    assert coded.ran("--allow-code-execution") == 0


def test_what_is_kept_is_reported_without_leave_to_run_programs(coded: Programs) -> None:
    assert coded.ran() == 0
    done = coded.bench.said("--sandbox", "none")
    assert done.json["results"][0]["metrics"][0]["value"] == 1
    assert done.json["unscored"] == []
    unknown = coded.bench.said("--sandbox", "none", "--set", "tasks.sums.code.timeout=21")
    assert len(unknown.json["unscored"]) == 1
    assert coded.ran("--set", "tasks.sums.code.timeout=21") == 0


def test_another_limit_runs_the_programs_again(coded: Programs) -> None:
    edit = ("--set", "tasks.sums.code.timeout=21", "--allow-code-execution")
    assert coded.ran(*edit) == 3
    assert coded.ran(*edit) == 0


def test_another_template_runs_the_programs_whose_text_it_changes(coded: Programs) -> None:
    same = "tasks.sums.code.program=open('ran', 'w').close()  # {{ question | trim }}"
    assert coded.ran("--set", same, "--allow-code-execution") == 0
    one = "tasks.sums.code.program=open('ran', 'w').close()  # {{ question | replace('2 +', '') }}"
    assert coded.ran("--set", one, "--allow-code-execution") == 1


def test_programs_of_one_text_run_once(coded: Programs) -> None:
    assert coded.ran("--set", "tasks.sums.code.program=pass", "--allow-code-execution") == 1


def test_a_time_out_that_the_machine_may_have_caused_is_not_kept(coded: Programs) -> None:
    sleeps = "tasks.sums.code.program=import time; time.sleep(60)"
    options = ("--set", sleeps, "--set", "tasks.sums.code.timeout=0.2", "--allow-code-execution")
    assert coded.bench.said(*options).json["results"][0]["metrics"][0]["value"] == 0
    assert coded.ran(*options) <= 1
    with coded.bench.workspace.store() as store:
        assert store.count(SCORES) == 3


def test_a_child_that_cannot_start_is_no_score(
    coded: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_CHILD", coded.bench.workspace.root / "absent.py")
    done = coded.bench.workspace.call(
        "report", "specs", "--set", "tasks.sums.code.timeout=21", "--allow-code-execution"
    )
    assert done.code == 1
    assert "program-not-started" in done.err
    with coded.bench.workspace.store() as store:
        assert store.count(SCORES) == 3
