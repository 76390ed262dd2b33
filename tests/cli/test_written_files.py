"""Files that a user names: a file or a free name in a folder that exists, or a pipe or device."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces import Workspace

WRITERS = (
    ("plan", "specs", "--out"),
    ("report", "specs", "--junit"),
    ("report", "specs", "--html"),
    ("exec", "specs", "--junit"),
)


@pytest.fixture
def asked(workspace: Workspace) -> Workspace:
    """A workspace whose questions are answered."""
    workspace.both(2)
    assert workspace.call("exec", "specs", "--no-report").code == 0
    return workspace


def folder_missing(root: Path) -> Path:
    return root / "no" / "such" / "file"


def directory(root: Path) -> Path:
    (root / "folder").mkdir()
    return root / "folder"


def dangling(root: Path) -> Path:
    (root / "link").symlink_to(root / "nothing" / "at" / "all")
    return root / "link"


def under_a_file(root: Path) -> Path:
    (root / "plain").write_text("")
    return root / "plain" / "file"


REFUSED: list[Callable[[Path], Path]] = [folder_missing, directory, dangling, under_a_file]


def test_what_cannot_be_written_is_refused_and_nothing_is_made(asked: Workspace) -> None:
    paths = [made(asked.root) for made in REFUSED]
    before = files(asked.root)
    for command in WRITERS:
        for path in paths:
            done = asked.call(*command, path)
            assert done.code in (1, 2), (command, path)
            assert "cannot be written" in done.err or "is a directory" in done.err, done.err
            assert files(asked.root) == before, (command, path)


def files(root: Path) -> list[Path]:
    """What is there, but for the cache."""
    return [path for path in sorted(root.rglob("*")) if "cache" not in path.parts]


def test_a_device_stays_one_and_a_link_to_a_file_too(asked: Workspace) -> None:
    real, link = asked.root / "real", asked.root / "link"
    link.symlink_to(real)
    for command in WRITERS:
        for device in ("/dev/full", "/dev/null"):
            done = asked.call(*command, device)
            assert stat.S_ISCHR(Path(device).stat().st_mode), f"{device} was replaced"
            assert ("cannot be written" in done.err) is (device == "/dev/full"), done.err
            assert (done.code == 0) is (device == "/dev/null")
        real.write_text("before")
        real.chmod(0o640)
        assert asked.call(*command, link).code == 0
        assert link.is_symlink()
        assert real.read_text() != "before"
        assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_descriptor_is_written_through(asked: Workspace) -> None:
    """A shell's redirection goes on after it; a file put in its place would end it."""
    words = [sys.executable, "-m", "evalc", "report", "specs", "--junit", "/dev/stdout"]
    target = asked.root / "out.txt"
    with target.open("w") as stream:
        done = subprocess.run(
            words, stdout=stream, cwd=asked.root, env=asked.environment(), check=False
        )
    assert done.returncode == 0
    text = target.read_text()
    assert "<testsuites" in text
    assert "exact_match" in text


def test_init_writes_through_no_link(workspace: Workspace) -> None:
    (workspace.root / "mine").mkdir()
    (workspace.root / "mine" / "evalc.toml").symlink_to(workspace.root / "elsewhere")
    done = workspace.call("init", "mine")
    assert done.code == 2
    assert "error[file-exists]" in done.err
    assert not (workspace.root / "elsewhere").exists()
