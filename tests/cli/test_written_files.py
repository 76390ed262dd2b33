"""Files that a user names: a file or a free name in a folder that exists, or a pipe or device."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces import Workspace

WRITERS = {
    "plan --out": ("plan", "specs", "--out"),
    "report --junit": ("report", "specs", "--junit"),
    "report --html": ("report", "specs", "--html"),
    "exec --junit": ("exec", "specs", "--junit"),
}
writers = pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS.keys())


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
    (root / "link").symlink_to(root / "nothing")
    return root / "link"


def under_a_file(root: Path) -> Path:
    (root / "plain").write_text("")
    return root / "plain" / "file"


REFUSED: list[Callable[[Path], Path]] = [folder_missing, directory, dangling, under_a_file]


@writers
@pytest.mark.parametrize("made", REFUSED, ids=lambda made: made.__name__)
def test_what_cannot_be_written_is_refused_and_nothing_is_made(
    asked: Workspace, command: tuple[str, ...], made: Callable[[Path], Path]
) -> None:
    path = made(asked.root)
    before = sorted(asked.root.rglob("*"))
    done = asked.call(*command, path)
    assert done.code in (1, 2)
    assert "unwritable]" in done.err or "cannot be written" in done.err or "directory" in done.err
    after = [p for p in sorted(asked.root.rglob("*")) if "cache" not in p.parts]
    assert after == [p for p in before if "cache" not in p.parts]


@writers
def test_a_device_stays_one(asked: Workspace, command: tuple[str, ...]) -> None:
    for device in ("/dev/full", "/dev/null"):
        done = asked.call(*command, device)
        assert stat.S_ISCHR(Path(device).stat().st_mode), f"{device} was replaced"
        assert ("cannot be written" in done.err) is (device == "/dev/full")
        assert done.code == (1 if device == "/dev/full" and done.code != 2 else done.code)


@writers
def test_a_link_to_a_file_stays_one_and_the_file_keeps_its_mode(
    asked: Workspace, command: tuple[str, ...]
) -> None:
    real, link = asked.root / "real", asked.root / "link"
    real.write_text("before")
    real.chmod(0o640)
    link.symlink_to(real)
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
