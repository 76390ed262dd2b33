"""Files that are replaced: all of the new content, or all of the old."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalc.store.replacing import replacing


def test_the_old_content_is_there_until_the_block_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with replacing(file) as stream:
        stream.write("né")
        stream.flush()
        assert file.read_text() == "old"
    assert file.read_bytes() == "né".encode()
    assert (file.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o644, [file])


def test_a_block_that_fails_leaves_the_old_content_and_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(file) as stream:
        stream.write("new")
        raise KeyboardInterrupt
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])


def test_a_file_for_its_owner_alone_is_never_another_s(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with replacing(file, mode=0o600) as stream:
        (temporary,) = tmp_path.iterdir()
        assert temporary.stat().st_mode & 0o777 == 0o600
        stream.write("new")
    assert file.stat().st_mode & 0o777 == 0o600
