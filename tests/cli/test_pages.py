"""`--html` of `evalc report` and `evalc diff`: pages of what a tiny model has answered."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from evalc.report.html import extra
from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

GATES = """
[tiers.quick]
stop = "decided"
[gates.floor]
metric = "quiz.acc"
min = 0.9
[gates.regression]
metric = "quiz.acc"
baseline = "main"
max_drop = 0.1
"""


def browsed(page: str) -> Any:
    """The data of a page's case browser."""
    found = re.search(r'id="case-data">([^<]*)<', page)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, bundles: Path) -> Workspace:
    """A quiz and sums, recorded as `main` and then judged by gates, which stop the quiz early."""
    root = tmp_path_factory.mktemp("pages")
    shutil.copytree(bundles, root / "cache" / "tokenizers")
    made = Workspace(root, tiny_model)
    made.write(QUIZ, SUMS)
    made.rows("quiz.jsonl", quiz_rows(120))
    made.rows("sums.jsonl", sum_rows(6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALC_CACHE", str(made.cache))
        assert made.call("exec", "--record", "main", "--no-report").code == 0
    made.write(QUIZ, SUMS, GATES)
    return made


@pytest.fixture
def pages(ran: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("EVALC_CACHE", str(ran.cache))
    return ran


def test_a_page_is_written_beside_what_is_printed_and_exits_alike(pages: Workspace) -> None:
    done = pages.call("report", "--tier", "quick", "--json", "--html", "r.html")
    assert done.code == 3
    assert "wrote r.html" in done.err
    assert done.json["gates"][0]["state"] == "fail"
    page = (pages.root / "r.html").read_text(encoding="utf-8")
    assert "1 of 2 gates failed" in page
    assert "Evidence over" in page


def test_a_page_and_verdicts_in_one_file_are_refused(pages: Workspace) -> None:
    done = pages.call("report", "--html", "r", "--junit", pages.root / "r")
    assert (done.code, "the same file" in done.err) == (2, True)
    assert not (pages.root / "r").exists()


def test_the_looks_of_a_page_are_those_of_the_gate(pages: Workspace) -> None:
    done = pages.call("report", "--tier", "quick", "--json", "--html", "r.html")
    plain = pages.call("report", "--tier", "quick", "--json")
    assert done.json == plain.json
    page = (pages.root / "r.html").read_text(encoding="utf-8")
    looks = sum(
        condition["looks"] for gate in plain.json["gates"] for condition in gate["conditions"]
    )
    assert len(re.findall(r"<tr>(<td class=\"number\">[^<]*</td>){5}</tr>", page)) == looks


def test_cases_carry_prompts_choices_and_texts_beside_the_recorded_baseline(
    pages: Workspace,
) -> None:
    report = pages.call("report", "--json", "--html", "r.html").json
    quiz, sums = browsed((pages.root / "r.html").read_text(encoding="utf-8"))
    assert quiz["prompts"][7] == "Q 7: which of the colours is it?"
    assert quiz["choices"][7] == ["red", "green", "blue", "white"]
    assert [(side["name"], side["own"]) for side in quiz["sides"]] == [("m", True), ("main", False)]
    listed = {result["task"]: result["cases"] for result in report["results"]}
    for side in quiz["sides"]:
        assert side["scores"]["acc"] == [case["scores"]["acc"] for case in listed["quiz"]]
    assert sums["ids"] == [case["id"] for case in listed["sums"]]
    assert all(isinstance(texts[0], str) for texts in sums["sides"][0]["outputs"])


def test_a_page_asks_the_model_nothing_and_needs_no_torch(pages: Workspace) -> None:
    script = (
        "import sys\nfrom evalc.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: code = end.code\n"
        "print(code, [m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = pages.python(script, "report", "--html", "r.html", EVALC_CACHE=str(pages.cache))
    assert done.out.strip().endswith("3 []"), done.text


def test_a_diff_of_two_files_has_a_page_of_what_flipped(pages: Workspace) -> None:
    report = pages.call("report", "--json").json
    (pages.root / "before.json").write_text(json.dumps(report))
    for case in report["results"][0]["cases"][:3]:
        case["scores"]["acc"] = 1 - case["scores"]["acc"]
    (pages.root / "after.json").write_text(json.dumps(report))
    done = pages.call("diff", "before.json", "after.json", "--html", "d.html")
    assert done.code == 0, done.text
    page = (pages.root / "d.html").read_text(encoding="utf-8")
    assert "<title>evalc diff: after.json against before.json</title>" in page
    quiz = browsed(page)[0]
    assert [side["name"] for side in quiz["sides"]] == ["m", "before.json"]
    scores = [side["scores"]["acc"] for side in quiz["sides"]]
    assert [at for at, (a, b) in enumerate(zip(*scores, strict=True)) if a != b] == [0, 1, 2]


def test_a_diff_of_two_models_has_the_texts_of_both(pages: Workspace) -> None:
    header = "".join(f"[models.{name}]\npath = {json.dumps(str(pages.model))}\n" for name in "mn")
    other = pages.root / "two"
    shutil.copytree(pages.specs, other, dirs_exist_ok=True)
    (other / "spec.toml").write_text("evalc = 1\n" + header + QUIZ + SUMS)
    done = pages.call("diff", "n", "m", other, "--html", "d.html")
    assert done.code == 0, done.text
    page = (pages.root / "d.html").read_text(encoding="utf-8")
    assert (
        "gates" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).split("<main>")[0]
    )
    for task in browsed(page):
        assert [side["name"] for side in task["sides"]] == ["n", "m"]
        assert task["baselines"] == ["n"]
        for side in task["sides"]:
            assert None not in side["outputs" if task["task"] == "sums" else "logs"]


def test_a_page_is_written_into_a_folder_that_exists_and_what_cannot_be_is_said(
    pages: Workspace,
) -> None:
    missing = pages.call("report", "--html", "new/r.html")
    assert missing.code == 1
    assert "its folder does not exist" in missing.err
    assert not (pages.root / "new").exists()
    (pages.root / "new").mkdir()
    assert pages.call("report", "--html", "new/r.html").code == 3
    assert (pages.root / "new" / "r.html").is_file()
    done = pages.call("report", "--html", "specs/spec.toml/r.html")
    assert done.code == 1
    assert "file-unwritable" in done.err
    (pages.root / "taken").mkdir(exist_ok=True)
    assert pages.call("report", "--html", "taken").code == 2


def test_without_the_extra_a_page_is_refused_and_the_report_is_not(
    pages: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    done = pages.call("report", "--html", "none.html")
    assert done.code == 2
    assert "needs-report-extra" in done.err
    assert "pip install 'evalc[report]'" in done.err
    assert not (pages.root / "none.html").exists()
    assert pages.call("report", "--task", "sums").code == 0
    assert extra.PACKAGES["vl_convert"] == "vl-convert-python"
