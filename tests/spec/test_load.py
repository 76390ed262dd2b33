from __future__ import annotations

from pathlib import Path

import pytest

from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.spec import Folder, load

SPEC = """\
evalc = 1
[paths]
data = "shared"
[models.base]
path = "model"
date = 2026-01-31
[models.hub]
path = "hf:org/name@main"
[datasets.rows]
path = "${data}/rows.jsonl"
rows = "5:"
[tasks.pick]
dataset = "rows"
type = "multiple_choice"
prompt = \"\"\"
Question: {{ question }}
Answer:\"\"\"
choices = ["a\\tb", "c"]
target = 1
metrics = ["acc"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    return tmp_path


def faults(*paths: Path, sets: tuple[str, ...] = ()) -> list[Diagnostic]:
    with pytest.raises(Faults) as caught:
        load(paths, sets)
    return list(caught.value.diagnostics)


def told(place: Place | None) -> str:
    assert place is not None and place.span is not None
    raw = (place.text or place.path.read_bytes().decode()).encode()
    return raw[place.span.start : place.span.end].decode()


def test_a_folder_is_read_into_a_spec(folder: Path) -> None:
    spec = load([folder]).spec
    assert spec.models["base"].date == "2026-01-31"
    assert spec.datasets["rows"].row_range == (5, None)
    assert spec.tasks["pick"].choices == ["a\tb", "c"]
    assert spec.tasks["pick"].extractions[""].regex is None


def test_files_inside_inner_folders_are_left_alone(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "other.toml").write_text("not toml at all")
    (folder / "notes.txt").write_text("nor this")
    assert len(load([folder]).files) == 1


def test_one_file_named_twice_is_read_once(folder: Path) -> None:
    found = load([folder, folder / "spec.toml", folder / "." / "spec.toml"])
    assert len(found.files) == 1


def test_tables_merge_across_files_in_any_order(folder: Path) -> None:
    more = folder / "more.toml"
    more.write_text('evalc = 1\n[suites.all]\nmodels = ["base"]\ntasks = ["pick"]\n')
    spec = folder / "spec.toml"
    assert load([spec, more]).spec == load([more, spec]).spec == load([folder]).spec


def test_triggers_of_several_files_follow_each_other(tmp_path: Path) -> None:
    for name, tier in (("a", "none"), ("b", "full")):
        text = f'evalc = 1\n[[triggers]]\ndefault = true\ntier = "{tier}"\n'
        (tmp_path / f"{name}.toml").write_text(text)
    found = load([tmp_path])
    assert [trigger.tier for trigger in found.spec.triggers] == ["none", "full"]
    place = found.place(("triggers", 1, "tier"))
    assert place is not None and place.path.name == "b.toml"


def test_a_place_is_the_value_or_the_key(folder: Path) -> None:
    found = load([folder])
    assert told(found.place(("tasks", "pick", "target"))) == "1"
    assert told(found.place(("tasks", "pick", "target"), key=True)) == "target"
    assert told(found.place(("tasks", "pick", "choices", 1))) == '"c"'
    assert told(found.place(("tasks", "pick"))) == "[tasks.pick]"


def test_an_unwritten_place_is_that_of_the_table_around_it(folder: Path) -> None:
    found = load([folder])
    assert told(found.place(("tasks", "pick", "fewshot", "k"))) == "[tasks.pick]"
    assert found.place(("gates", "floor")) is None


def test_a_span_narrows_to_bytes_of_the_decoded_text(folder: Path) -> None:
    found = load([folder])
    prompt = found.spec.tasks["pick"].prompt
    start = prompt.index("question")
    assert told(found.place(("tasks", "pick", "prompt"), (start, start + 8))) == "question"
    assert told(found.place(("tasks", "pick", "choices", 0), (1, 2))) == "\\t"


def test_a_span_outside_of_the_text_falls_back_to_the_whole_value(folder: Path) -> None:
    assert told(load([folder]).place(("tasks", "pick", "choices", 1), (5, 9))) == '"c"'


def test_paths_start_from_the_file_that_writes_them(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (one / "a.toml").write_text('evalc = 1\n[paths]\ndata = "../data"\n')
    (two / "b.toml").write_text(
        'evalc = 1\n[datasets.d]\npath = "${data}/x.jsonl"\n[models.m]\npath = "m"\n'
    )
    found = load([one, two])
    assert found.located(("datasets", "d", "path")) == str(tmp_path / "data" / "x.jsonl")
    assert found.located(("models", "m", "path")) == str(two / "m")
    assert found.base(("models", "m")) == two


def test_a_path_on_the_hub_is_kept_and_an_absent_one_is_an_error(folder: Path) -> None:
    found = load([folder])
    assert found.located(("models", "hub", "path")) == "hf:org/name@main"
    with pytest.raises(LookupError):
        found.located(("models", "base", "adapter"))


class TestOverrides:
    def test_a_value_is_toml_or_plain_text(self, folder: Path) -> None:
        sets = ["models.base.chat=true", "models.base.system=be brief", "models.base.path = 'x'"]
        base = load([folder], sets).spec.models["base"]
        assert (base.chat, base.system, base.path) == (True, "be brief", "x")

    def test_an_inner_table_is_made_where_there_was_none(self, folder: Path) -> None:
        sets = ["tasks.pick.fewshot.dataset=rows", "tasks.pick.fewshot.k=2"]
        sets.append("tasks.pick.fewshot.template={{ question }}")
        fewshot = load([folder], sets).spec.tasks["pick"].fewshot
        assert fewshot is not None and (fewshot.k, fewshot.template) == (2, "{{ question }}")

    def test_a_whole_new_table_may_be_given(self, folder: Path) -> None:
        assert "new" in load([folder], ['models.new={path="x"}']).spec.models

    def test_the_last_one_wins(self, folder: Path) -> None:
        sets = ["tasks.pick.target=0", "tasks.pick.target=1"]
        assert load([folder], sets).spec.tasks["pick"].target == 1

    def test_its_place_is_the_command_line(self, folder: Path) -> None:
        found = load([folder], ["tasks.pick.target=0"])
        place = found.place(("tasks", "pick", "target"))
        assert place is not None and place.text == "--set tasks.pick.target=0"
        assert told(place) == "0"
        assert told(found.place(("tasks", "pick", "metrics"))) == '["acc"]'

    def test_a_path_in_it_starts_from_the_working_directory(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = tmp_path / "there"
        there.mkdir()
        monkeypatch.chdir(there)
        found = load([folder], ["paths.data=d", "models.base.path=m"])
        assert found.located(("datasets", "rows", "path")) == str(there / "d" / "rows.jsonl")
        assert found.located(("models", "base", "path")) == str(there / "m")

    def test_a_line_break_in_it_defines_nothing_else(self, folder: Path) -> None:
        found = load([folder], ['tasks.pick.description=1\n[models.evil]\npath = "x"'])
        assert "evil" not in found.spec.models
        assert found.spec.tasks["pick"].description.startswith("1\n[models")

    def test_a_mended_fault_is_no_fault(self, folder: Path) -> None:
        (folder / "spec.toml").write_text(SPEC.replace('"acc"', '"acd"'))
        assert [d.code for d in faults(folder)] == ["unknown-metric"]
        load([folder], ["tasks.pick.metrics=['acc']"])

    def test_the_same_override_twice_is_told_twice(self, folder: Path) -> None:
        assert [d.code for d in faults(folder, sets=("x", "x"))] == ["bad-set", "bad-set"]


class TestFiles:
    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        assert [d.code for d in faults(tmp_path / "gone")] == ["unreadable-spec"]

    def test_a_folder_without_specs(self, tmp_path: Path) -> None:
        assert [d.code for d in faults(tmp_path)] == ["unreadable-spec"]

    def test_a_file_that_is_not_utf8(self, tmp_path: Path) -> None:
        path = tmp_path / "spec.toml"
        path.write_bytes(b"evalc = 1\n# caf\xe9\n")
        (found,) = faults(path)
        assert found.code == "not-utf8"
        assert found.place == Place(path, line=2)

    def test_line_ends_and_byte_order_mark_of_windows_are_fine(self, folder: Path) -> None:
        path = folder / "spec.toml"
        path.write_bytes(b"\xef\xbb\xbf" + SPEC.replace("\n", "\r\n").encode())
        found = load([folder])
        assert "\r" not in found.spec.tasks["pick"].prompt
        assert told(found.place(("models", "base", "path"))) == '"model"'
        start = found.spec.tasks["pick"].prompt.index("Answer")
        assert told(found.place(("tasks", "pick", "prompt"), (start, start + 6))) == "Answer"

    def test_a_byte_order_mark_moves_no_place_of_a_syntax_error(self, tmp_path: Path) -> None:
        path = tmp_path / "spec.toml"
        path.write_bytes(b"\xef\xbb\xbfevalc = ?\r\n")
        (found,) = faults(path)
        assert (found.code, told(found.place)) == ("toml-syntax", "?")

    def test_a_file_nested_too_deeply(self, tmp_path: Path) -> None:
        path = tmp_path / "spec.toml"
        path.write_text("evalc = 1\nx = " + "[" * 5000 + "]" * 5000)
        assert [d.code for d in faults(path)] == ["toml-syntax"]


def test_the_faults_of_all_files_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("evalc = 1\n[models.m]\npath = 1\nzebra = 2\n")
    (tmp_path / "b.toml").write_text("evalc = 1\n[models\n")
    (tmp_path / "c.toml").write_text("evalc = 3\n[suite.x]\n")
    found = faults(tmp_path)
    assert [d.code for d in found] == [
        "wrong-type",
        "unknown-key",
        "toml-syntax",
        "unsupported-version",
        "unknown-key",
    ]


def test_names_of_a_file_with_a_syntax_error_are_not_missed_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("evalc = 1\n[models.m]\npath = \n")
    (tmp_path / "b.toml").write_text('evalc = 1\n[suites.s]\nmodels = ["m"]\ntasks = ["t"]\n')
    assert [d.code for d in faults(tmp_path)] == ["toml-syntax"]


def test_a_comment_and_key_order_change_nothing(folder: Path) -> None:
    before = load([folder]).spec
    text = SPEC.replace('target = 1\nmetrics = ["acc"]', '# note\nmetrics = ["acc"]\ntarget = 1')
    (folder / "spec.toml").write_text(text)
    assert load([folder]).spec == before


def test_nothing_of_a_folder_can_be_changed(folder: Path) -> None:
    found: Folder = load([folder])
    with pytest.raises(AttributeError):
        found.spec = None  # type: ignore[misc, assignment]
