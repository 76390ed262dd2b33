"""`--since REVISION`: what changed chooses the tier, in a real git repository."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from repositories import commit, git, repository

from evalc.run.request import Request
from evalc.run.since import Since, settled
from workspaces import QUIZ, SUMS, Done, Workspace, quiz_rows, sum_rows

TIERS = "[tiers.smoke]\ncases = 2\n[tiers.most]\ncases = 4\n"
TRIGGERS = """
[[triggers]]
default = true
tier = "smoke"
[[triggers]]
paths = ["docs/**", "*.md"]
tier = "none"
[[triggers]]
changed = ["model.weights", "model.adapter"]
tier = "full"
[[triggers]]
changed = ["task.prompt", "dataset"]
tier = "most"
"""


@pytest.fixture
def tracked(workspace: Workspace) -> Workspace:
    """A repository of specs, data and model, all committed on `main`, on a branch `work`."""
    shutil.copytree(workspace.model, workspace.root / "model")
    workspace = Workspace(workspace.root, Path("../model"))
    workspace.write(QUIZ, SUMS, TIERS, TRIGGERS)
    workspace.rows("quiz.jsonl", quiz_rows(6))
    workspace.rows("sums.jsonl", sum_rows(6))
    write(workspace, "docs/a.md", "text")
    repository(workspace.root)
    commit(workspace.root)
    git(workspace.root, "switch", "-q", "-c", "work")
    return workspace


def write(workspace: Workspace, name: str, text: str) -> Path:
    path = workspace.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def planned(workspace: Workspace, *more: str) -> Done:
    return workspace.call("plan", "specs", "--since", "main", "--json", *more)


def found_of(workspace: Workspace) -> Since:
    """What changed, and nothing planned: tokenizers and the Hub are left alone."""
    asked = Request((workspace.specs,), (), (), (), (), None, workspace.cache, since="main")
    found = settled(asked)[1]
    assert found is not None
    return found


def since(workspace: Workspace) -> dict[str, Any]:
    done = planned(workspace)
    assert done.code == 0, done.text
    found: dict[str, Any] = done.json["since"]
    assert done.json["tier"] == (found["tier"] or "full")
    return found


def test_documents_alone_run_nothing(tracked: Workspace) -> None:
    write(tracked, "docs/deep/b.txt", "more")
    write(tracked, "README.md", "read me")
    found = since(tracked)
    assert (found["tier"], found["files"]) == ("none", ["README.md", "docs/deep/b.txt"])
    assert found["why"] == "every changed file matches `docs/**`, `*.md`"
    done = planned(tracked)
    assert (done.json["nothing_to_run"], done.json["cells"]) == (True, [])
    assert done.json["total"]["requests"] == 0
    shown = tracked.call("plan", "specs", "--since", "main", "--detailed-exitcode")
    assert (shown.code, shown.out) == (0, "nothing to run: the tier is `none`\n")


def test_the_plan_of_nothing_has_the_shape_of_any_other(tracked: Workspace) -> None:
    whole = tracked.call("plan", "specs", "--json").json
    write(tracked, "docs/b.md", "more")
    nothing = planned(tracked).json
    assert {*nothing} == {*whole, "since"}
    assert {*nothing["total"]} == {*whole["total"]}
    assert {*nothing["total"]["estimate"]} == {*whole["total"]["estimate"]}


def test_a_file_beside_the_documents_is_the_default_wherever_that_stands(
    tracked: Workspace,
) -> None:
    write(tracked, "docs/b.md", "more")
    write(tracked, "train.py", "pass")
    found = since(tracked)
    assert (found["tier"], found["trigger"]["position"]) == ("smoke", 0)
    line = (tracked.specs / "spec.toml").read_text().splitlines()[found["trigger"]["line"] - 1]
    assert (found["trigger"]["file"], line) == ("specs/spec.toml", "[[triggers]]")
    assert found["changes"] == []


def test_nothing_changed_is_the_default_too(tracked: Workspace) -> None:
    found = since(tracked)
    assert (found["files"], found["tier"]) == ([], "smoke")
    assert "no file changed" in planned(tracked).err


def test_new_weights_ask_for_the_tier_of_weights(tracked: Workspace) -> None:
    file = next((tracked.root / "model").glob("*.safetensors"))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = since(tracked)
    assert found["tier"] == "full"
    assert [(c["component"], c["of"], c["known"]) for c in found["changes"]] == [
        ("model.weights", "m", True)
    ]


def test_committed_staged_edited_and_new_files_count_and_what_main_did_since_does_not(
    tracked: Workspace,
) -> None:
    root = tracked.root
    write(tracked, "a.py", "1")
    commit(root)
    write(tracked, "b.py", "2")
    git(root, "add", "b.py")
    write(tracked, "docs/a.md", "edited")
    write(tracked, "c.py", "3")
    write(tracked, "cache/ignored", "4")
    git(root, "stash", "-q", "-u")
    git(root, "switch", "-q", "main")
    write(tracked, "elsewhere.py", "5")
    commit(root)
    git(root, "switch", "-q", "work")
    git(root, "stash", "pop", "-q", "--index")
    assert since(tracked)["files"] == ["a.py", "b.py", "c.py", "docs/a.md"]


def test_a_rename_counts_on_both_sides_and_odd_names_as_they_are(tracked: Workspace) -> None:
    write(tracked, "one.py", "x = 1\n" * 50)
    write(tracked, "gone.py", "y = 1")
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    git(tracked.root, "mv", "one.py", "docs/two.md")
    (tracked.root / "gone.py").unlink()
    odd = ["a b\n-c.md", "-d.md", "é'\"$(x).md", ":(top)e.md"]
    for name in odd:
        write(tracked, name, "odd")
    (tracked.root / os.fsdecode(b"\xff.md")).write_text("no UTF-8")
    found = since(tracked)
    assert found["files"] == sorted([*odd, "gone.py", "one.py", "docs/two.md", "\ufffd.md"])
    assert found["tier"] == "smoke"


def edit(workspace: Workspace, before: str, after: str) -> None:
    path = workspace.specs / "spec.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "components"),
    [
        ("{{ question }} =", "{{ question }} is", [("task.prompt", "sums")]),
        ("max_new_tokens = 4", "max_new_tokens = 5", [("task.generate", "sums")]),
        ('["exact_match"]', '["exact_match"]\naverage = "micro"', []),
        ('"{{ answer }}"\ngenerate', '"{{ answer }}!"\ngenerate', [("task.scorer", "sums")]),
        ('[datasets.quiz]', '[datasets.quiz]\nrows = "0:3"', [("dataset", "quiz")]),
        ('"../model"', '"../model"\ndtype = "bfloat16"', [("engine", "m")]),
        ('"../model"', '"../model"\nmax_length = 99', [("model.settings", "m")]),
        ('"../model"', '"../model"\ndate = "2026-01-31"', [("model.chat_template", "m")]),
        ("evalc = 1", "# a comment\nevalc = 1", []),
        ("[tiers.most]\ncases = 4", "[tiers.most]\ncases = 5", []),
    ],
    ids=str,
)  # fmt: skip
def test_an_edit_of_the_spec_changes_the_component_that_it_is(
    tracked: Workspace, before: str, after: str, components: list[tuple[str, str]]
) -> None:
    edit(tracked, before, after)
    found = since(tracked)
    assert [(c["component"], c["of"]) for c in found["changes"]] == components
    assert all(change["known"] for change in found["changes"])


def test_the_name_of_a_file_is_no_command_to_github(tracked: Workspace) -> None:
    tracked.write(QUIZ, TIERS, TRIGGERS)
    odd = "quiz\n::error::x.jsonl"
    tracked.rows(odd, quiz_rows(2))
    edit(tracked, '"quiz.jsonl"', json.dumps(odd))
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    tracked.rows(odd, quiz_rows(3))
    done = planned(tracked)
    assert done.json["since"]["changes"][0]["why"] == f"`specs/{odd}` is another"
    assert "`specs/quiz\\n::error::x.jsonl` is another" in done.err
    assert not [line for line in done.err.splitlines() if line.startswith("::")]


def test_only_what_is_selected_counts(tracked: Workspace) -> None:
    edit(tracked, "{{ question }} =", "{{ question }} is")
    assert planned(tracked, "--task", "quiz").json["since"]["changes"] == []


def test_rows_and_shots_and_a_moved_model_are_components(tracked: Workspace) -> None:
    tracked.rows("quiz.jsonl", quiz_rows(7))
    assert [c["component"] for c in since(tracked)["changes"]] == ["dataset"]
    (tracked.root / "model").rename(tracked.root / "other")
    edit(tracked, '"../model"', '"../other"')
    found = {change["component"]: change["why"] for change in since(tracked)["changes"]}
    assert found["model.weights"] == found["model.tokenizer"] == "`path` is another"


def test_a_file_of_the_tokenizer_is_the_tokenizer(tracked: Workspace) -> None:
    file = tracked.root / "model" / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    assert [c.component for c in found_of(tracked).changes] == ["model.tokenizer"]


def test_an_edited_hook_and_what_it_imports_are_the_scorer(tracked: Workspace) -> None:
    write(tracked, "specs/mine.py", "import deep\ndef right(case): return 1.0\n")
    write(tracked, "specs/deep.py", "A = 1\n")
    edit(tracked, '["exact_match"]', '["exact_match", "mine:right"]')
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    assert since(tracked)["changes"] == []
    write(tracked, "specs/deep.py", "A = 2\n")
    (change,) = since(tracked)["changes"]
    assert (change["component"], change["of"]) == ("task.scorer", "sums")
    assert change["why"] == "`specs/deep.py` is another"


def test_what_git_does_not_have_counts_as_changed_and_is_said(workspace: Workspace) -> None:
    workspace.write(QUIZ, TIERS, TRIGGERS)
    workspace.rows("quiz.jsonl", quiz_rows(6))
    repository(workspace.root)
    commit(workspace.root)
    git(workspace.root, "branch", "work")
    done = planned(workspace)
    found = done.json["since"]
    assert found["tier"] == "full"
    weights = next(c for c in found["changes"] if c["component"] == "model.weights")
    assert not weights["known"]
    assert "counts as changed: git does not have" in done.err


def test_an_ignored_file_is_not_known(tracked: Workspace) -> None:
    (tracked.root / ".gitignore").write_text("cache/\n*.safetensors\n")
    git(tracked.root, "rm", "-q", "-r", "--cached", "model")
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    found = {change["component"]: change["known"] for change in since(tracked)["changes"]}
    assert found == {"model.weights": False}


def test_a_link_that_leads_out_of_the_repository_is_not_known(tracked: Workspace) -> None:
    outside = tracked.root.parent / f"{tracked.root.name}-data.jsonl"
    shutil.move(tracked.specs / "quiz.jsonl", outside)
    (tracked.specs / "quiz.jsonl").symlink_to(outside)
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    assert [(c["component"], c["known"]) for c in since(tracked)["changes"]] == [("dataset", False)]


def lock_text(digest: str) -> str:
    files = f'{{ path = "model.safetensors", size = 1, blake3 = "{digest}" }}'
    return (
        'version = 1\n[[models]]\naddress = "hf:a/b"\nrevision = "main"\n'
        f'commit = "{"0" * 40}"\nfiles = [{files}]\n'
    )


def test_the_lock_tells_whether_what_is_remote_moved(tracked: Workspace) -> None:
    edit(tracked, '"../model"', '"hf:a/b"')
    write(tracked, "specs/evalc.lock", lock_text("1" * 64))
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    assert found_of(tracked).changes == ()
    write(tracked, "specs/evalc.lock", lock_text("2" * 64))
    (weights,) = found_of(tracked).changes
    assert (weights.component, weights.known) == ("model.weights", True)
    assert weights.why == "`evalc.lock` pins another content of `hf:a/b`"
    (tracked.specs / "evalc.lock").unlink()
    unknown = found_of(tracked).changes
    assert {change.known for change in unknown} == {False}
    assert "nothing tells if it moved" in unknown[0].why
    edit(tracked, "hf:a/b", f"hf:a/b@{'0' * 40}")
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    assert found_of(tracked).changes == ()


@pytest.mark.parametrize("before", ["evalc = 1\nnonsense = 3\n", None])
def test_a_spec_that_was_not_there_or_not_sound_has_changed_wholly(
    tracked: Workspace, before: str | None
) -> None:
    path = tracked.specs / "spec.toml"
    text = path.read_text()
    git(tracked.root, "switch", "-q", "main")
    path.write_text(before) if before else path.unlink()
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "work")
    git(tracked.root, "switch", "-q", "work")
    path.write_text(text)
    found = since(tracked)
    assert found["tier"] == "full"
    assert len(found["changes"]) == 11
    phrase = "cannot be read as it was" if before else "was not there at `main`"
    assert phrase in found["why"]


def test_without_a_trigger_that_applies_the_tier_is_the_usual_one(tracked: Workspace) -> None:
    tracked.write(QUIZ, SUMS, TIERS, '[[triggers]]\npaths = ["docs/**"]\ntier = "none"\n')
    found = since(tracked)
    assert (found["tier"], found["trigger"]) == (None, None)
    assert "so the tier is that of a run without `--since`" in planned(tracked).err


def test_exec_and_report_go_by_the_same_tier(tracked: Workspace) -> None:
    write(tracked, "train.py", "pass")
    ran = tracked.call("exec", "specs", "--since", "main", "--json")
    assert ran.code == 0, ran.text
    assert (ran.json["tier"], ran.json["since"]["tier"]) == ("smoke", "smoke")
    assert ran.json["runs"][0]["asked"] == 10
    told = tracked.call("report", "specs", "--since", "main", "--json")
    assert told.json["results"] == ran.json["results"]


def test_exec_of_nothing_loads_nothing_and_records_nothing(tracked: Workspace) -> None:
    write(tracked, "docs/b.md", "more")
    done = tracked.call("exec", "specs", "--since", "main", "--json", "--record", "main")
    assert (done.code, done.json["results"], done.json["tier"]) == (0, [], "none")
    assert "nothing is recorded" in done.err
    assert tracked.untouched()
    assert tracked.call("report", "specs", "--since", "main").code == 0


def test_what_evalc_writes_itself_is_no_change(tracked: Workspace) -> None:
    (tracked.root / ".gitignore").write_text("")
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    write(tracked, "docs/b.md", "more")
    write(tracked, "cache/stray", "in the cache")
    file = tracked.root / "evalc.xml"
    done = tracked.call("exec", "specs", "--since", "main", "--json", "--junit", file)
    assert (done.json["tier"], done.json["since"]["files"]) == ("none", ["docs/b.md"])
    assert 'tests="0"' in file.read_text()
    file.unlink()
    for _ in range(2):
        page = tracked.root / "r.html"
        done = tracked.call("report", "specs", "--since", "main", "--json", "--html", page)
        assert (done.json["tier"], done.json["since"]["files"]) == ("none", ["docs/b.md"])
        assert "tier by what changed since main" in page.read_text()


def test_a_plan_pinned_by_what_changed_runs_at_that_tier(tracked: Workspace) -> None:
    write(tracked, "train.py", "pass")
    pinned = tracked.root / "docs" / "p.json"
    assert planned(tracked, "--out", str(pinned)).code == 0
    assert json.loads(pinned.read_text())["ask"]["tier"] == "smoke"
    refused = tracked.call("exec", pinned, "--since", "main")
    assert (refused.code, "plan-options" in refused.err) == (2, True)
    assert tracked.call("exec", pinned, "--json").json["runs"][0]["asked"] == 10


def fault(workspace: Workspace, code: str, *arguments: str, exit_code: int = 2) -> Done:
    done = workspace.call("plan", "specs", *arguments)
    assert (done.code, f"[{code}]" in done.err) == (exit_code, True), done.text
    return done


def test_a_tier_beside_it_is_refused(tracked: Workspace) -> None:
    fault(tracked, "since-options", "--since", "main", "--tier", "smoke")


def test_a_spec_without_triggers_is_refused(tracked: Workspace) -> None:
    tracked.write(QUIZ, TIERS)
    fault(tracked, "no-triggers", "--since", "main")


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "", "main:specs", "HEAD~99"])
def test_a_revision_that_is_none_is_said(tracked: Workspace, revision: str) -> None:
    done = fault(tracked, "unknown-revision", f"--since={revision}")
    assert "git fetch" in done.err
    assert not (tracked.root / "x").exists()


def test_a_history_without_a_common_commit_is_said(tracked: Workspace) -> None:
    git(tracked.root, "switch", "-q", "--orphan", "apart")
    git(tracked.root, "checkout", "-q", "main", "--", "specs")
    commit(tracked.root)
    done = fault(tracked, "unknown-revision", "--since", "main")
    assert "no common commit" in done.err


def test_a_shallow_clone_is_told_how_to_become_whole(tracked: Workspace, tmp_path: Path) -> None:
    first = git(tracked.root, "rev-parse", "HEAD")
    write(tracked, "train.py", "pass")
    commit(tracked.root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tracked.root}", str(clone))
    shallow = Workspace(clone, tracked.model)
    for revision in ("origin/main", first):
        done = fault(shallow, "shallow-clone", "--since", revision)
        assert "fetch-depth: 0" in done.err


def test_outside_a_repository_it_is_said(workspace: Workspace) -> None:
    workspace.write(QUIZ, TIERS, TRIGGERS)
    done = fault(workspace, "no-repository", "--since", "main")
    assert "git says" in done.err


def test_without_git_it_is_said(tracked: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    fault(tracked, "no-git", "--since", "main")


def test_a_repository_that_git_cannot_read_is_said(tracked: Workspace) -> None:
    (tracked.root / ".git" / "index").write_bytes(b"DIRC nonsense")
    fault(tracked, "git-failed", "--since", "main")


def test_a_spec_in_a_folder_below_the_repository_is_found_from_anywhere(
    tracked: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(tracked, "{{ question }} =", "{{ question }} is")
    inner = Workspace(tracked.specs, tracked.model)
    done = inner.call("plan", ".", "--since", "main", "--json")
    assert [c["component"] for c in done.json["since"]["changes"]] == ["task.prompt"]


def test_a_repository_of_another_owner_is_told_how_git_is_made_to_read_it(
    tracked: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a switch of git's own tests; containers of CI systems bring it about
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    done = fault(tracked, "no-repository", "--since", "main")
    assert f"safe.directory {tracked.root}\n" in done.err
    assert "run the `git config` that git names" in done.err


def test_data_in_a_submodule_goes_by_the_submodule(tracked: Workspace, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    repository(other)
    shutil.copy(tracked.specs / "quiz.jsonl", other / "quiz.jsonl")
    commit(other)
    git(
        tracked.root,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "-q",
        str(other),
        "data",
    )
    edit(tracked, '"quiz.jsonl"', '"../data/quiz.jsonl"')
    commit(tracked.root)
    git(tracked.root, "branch", "-f", "main")
    assert found_of(tracked).changes == ()
    with (tracked.root / "data" / "quiz.jsonl").open("a") as stream:
        stream.write(json.dumps(quiz_rows(9)[8]) + "\n")
    (change,) = found_of(tracked).changes
    assert (change.component, change.of, change.known) == ("dataset", "quiz", True)
