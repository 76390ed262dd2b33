"""`evalc explain`: a task or a case, why it would run, from what to what, and where."""

from __future__ import annotations

from workspaces import QUIZ, SUMS, Workspace

EDITED = QUIZ.replace("{{ question }}", "Q: {{ question }}")


def test_a_task_is_explained_by_what_changed_and_the_line_that_says_so(ran: Workspace) -> None:
    path = ran.write(EDITED, SUMS)
    line = path.read_text().splitlines().index('prompt  = "Q: {{ question }}"') + 1
    document = ran.call("explain", "quiz", "--json").json
    assert (document["schema"], document["kind"]) == ("evalc.explain/1", "task")
    (cell,) = document["cells"]
    assert (cell["cases"], cell["cached"], cell["remaining"]) == (6, 0, 6)
    (change,) = cell["reasons"][0]["changes"]
    assert {len(change["old"]), len(change["new"])} == {64}
    where = {"key": "tasks.quiz.prompt", "file": "specs/spec.toml", "line": line, "column": 11}
    assert change["where"] == where
    assert f"specs/spec.toml:{line}:11" in ran.call("explain", "quiz").out


def test_an_answered_task_shows_what_its_requests_are_made_of(ran: Workspace) -> None:
    (cell,) = ran.call("explain", "sums", "--json").json["cells"]
    assert cell["reasons"] == []
    names = {part["component"] for part in cell["components"]}
    assert {"template.prompt", "tokenizer", "settings", "model weights", "dtype", "row"} <= names
    assert not {"template.choices", "template.delimiter", "adapter"} & names
    text = ran.call("explain", "sums").out
    assert "6 cases, 6 cached, 0 would run" in text
    assert "float32" in text


def test_an_override_is_where_its_value_comes_from(ran: Workspace) -> None:
    done = ran.call("explain", "sums", "--set", "models.m.dtype=bfloat16", "--json")
    (change,) = done.json["cells"][0]["reasons"][0]["changes"]
    assert (change["old"], change["new"]) == ("float32", "bfloat16")
    assert change["where"]["file"] == "<command line>"


def test_a_renamed_task_says_what_it_is_compared_with(ran: Workspace) -> None:
    ran.write(QUIZ.replace("[tasks.quiz]", "[tasks.trivia]"))
    done = ran.call("explain", "trivia", "--set", "models.m.dtype=bfloat16")
    assert "compared with `quiz`" in done.out


def test_an_answered_case_shows_its_texts_keys_and_answers(ran: Workspace) -> None:
    planned = ran.planned(tasks=("quiz",))
    case = planned.cell(0)["case_ids"][0]
    (cell,) = ran.call("explain", case, "--json").json["cells"]
    assert cell["cached"]
    assert cell["reason"] is None
    assert (cell["file"], cell["line"]) == ("specs/quiz.jsonl", planned.case(0, 0)["line"])
    assert cell["prompt"] == cell["row"]["question"]
    assert [asked["choice"] for asked in cell["requests"]] == cell["choices"]
    for asked in cell["requests"]:
        assert bytes.fromhex(asked["key"]) in planned.keys
        assert asked["answer"]["loglikelihood"] < 0
        assert asked["context_tokens"] > asked["continuation_tokens"] > 0
    assert f"{case} of quiz on m: cached" in ran.call("explain", case).out


def test_a_generated_answer_is_shown_as_text(ran: Workspace) -> None:
    case = ran.planned(tasks=("sums",)).cell(0)["case_ids"][0]
    (cell,) = ran.call("explain", case, "--json").json["cells"]
    (asked,) = cell["requests"]
    assert asked["answer"]["finish"] in ("length", "eos", "stop")
    assert isinstance(asked["answer"]["text"], str)


def test_a_case_that_would_run_says_why(ran: Workspace) -> None:
    ran.write(EDITED, SUMS)
    case = ran.planned(tasks=("quiz",)).cell(0)["case_ids"][0]
    (cell,) = ran.call("explain", case, "--json").json["cells"]
    assert not cell["cached"]
    assert cell["reason"]["changes"][0]["key"] == "prompt"
    assert {asked["answer"] for asked in cell["requests"]} == {None}
    text = ran.call("explain", case).out
    assert "would run: template changed" in text
    assert "not asked yet" in text


def test_a_glob_explains_every_task_that_it_matches(ran: Workspace) -> None:
    document = ran.call("explain", "*u*", "--json").json
    assert [cell["task"] for cell in document["cells"]] == ["quiz", "sums"]


def test_an_unknown_name_is_met_with_the_nearest_one(ran: Workspace) -> None:
    done = ran.call("explain", "quizz")
    assert done.code == 2
    assert "unknown-case" in done.err
    assert "did you mean `quiz`?" in done.err
    case = ran.planned(tasks=("quiz",)).cell(0)["case_ids"][0]
    done = ran.call("explain", case[:-1] + "x", "--task", "quiz")
    assert f"did you mean `{case}`?" in done.err


def test_explaining_asks_the_model_nothing(ran: Workspace) -> None:
    ran.write(EDITED, SUMS)
    with ran.store() as store:
        before = store.records()
    ran.call("explain", "quiz")
    with ran.store() as store:
        assert store.records() == before
