"""The text of `evalc.lock`: the same for the same content, and read back as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalc.diagnostics import Faults
from evalc.plan.lock import NAME, Entry, LockedFile, lock_text, read_lock, write_lock

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
commits = st.text("0123456789abcdef", min_size=40, max_size=40)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
paths = texts.filter(lambda p: not p.startswith("/") and "\\" not in p and ".." not in p)
files = st.builds(LockedFile, paths, st.integers(0, 1 << 50), digests)
files_of = st.lists(files, max_size=3, unique_by=lambda file: file.path).map(
    lambda found: tuple(sorted(found, key=lambda file: file.path))
)
models = st.builds(Entry, st.just("model"), texts, texts, commits, files_of)
datasets = st.builds(
    Entry, st.just("dataset"), texts, texts, commits, files_of, st.integers(0, 1 << 40), digests
)
entries = st.lists(models | datasets, max_size=4, unique_by=lambda entry: entry.key)


@given(entries)
def test_a_lock_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, found: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("lock")
    write_lock(folder, found)
    assert read_lock(folder) == {entry.key: entry for entry in found}


@given(entries)
def test_the_order_of_entries_and_files_is_canonical(found: list[Entry]) -> None:
    assert lock_text(found) == lock_text(found[::-1])


def test_the_text_is_what_is_documented(tmp_path: Path) -> None:
    file = LockedFile("data/test.jsonl", 12, "ab" * 32)
    entry = Entry("dataset", "hf:a/b/c/test", "main", "12" * 20, (file,), 3, "cd" * 32)
    write_lock(tmp_path, [entry])
    assert (tmp_path / NAME).read_text().splitlines() == [
        "# What is remote, pinned. Written by `evalc lock`; commit it, do not edit it.",
        "version = 1",
        "",
        "[[datasets]]",
        'address = "hf:a/b/c/test"',
        'revision = "main"',
        f'commit = "{"12" * 20}"',
        "rows = 3",
        f'content = "{"cd" * 32}"',
        "files = [",
        f'  {{ path = "data/test.jsonl", size = 12, blake3 = "{"ab" * 32}" }},',
        "]",
    ]


def test_a_lock_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    write_lock(tmp_path, [])
    before = (tmp_path / NAME).stat().st_ino
    write_lock(tmp_path, [])
    assert (tmp_path / NAME).stat().st_ino == before
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("path", ["../evil.json", "/etc/passwd", "a\\b", "", "a/../../b"])
def test_a_path_that_leads_out_of_the_repository_is_refused(tmp_path: Path, path: str) -> None:
    write_lock(
        tmp_path, [Entry("model", "hf:a/b", "main", "1" * 40, (LockedFile("x", 1, "a" * 64),))]
    )
    lock = tmp_path / NAME
    quoted = path.replace("\\", "\\\\")
    lock.write_text(lock.read_text().replace('path = "x"', f'path = "{quoted}"'))
    with pytest.raises(Faults) as raised:
        read_lock(tmp_path)
    assert raised.value.diagnostics[0].code == "bad-lock"


def test_a_folder_that_cannot_be_written_is_a_diagnostic(tmp_path: Path) -> None:
    with pytest.raises(Faults) as raised:
        write_lock(tmp_path / "gone", [])
    assert raised.value.diagnostics[0].code == "lock-unwritable"
