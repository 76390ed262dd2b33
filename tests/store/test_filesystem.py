"""Network file systems are recognised from Linux's mount table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalc.diagnostics import Faults
from evalc.errors import ExitCode
from evalc.store import Store, environment
from evalc.store.filesystem import network_filesystem

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / {root}/share rw shared:2 - nfs4 server:/export rw
31 22 0:41 / {root}/two\\040words rw - cifs //server/x rw
32 30 8:2 / {root}/share/local rw - xfs /dev/sdb1 rw
33 22 0:42 / {root}/hidden rw - nfs server:/a rw
34 22 0:43 / {root}/hidden rw - tmpfs tmpfs rw
a line that is no mount
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    for folder in ("share/local/deep", "two words/x", "hidden", "plain", "shared"):
        (tmp_path / folder).mkdir(parents=True)
    table = tmp_path / "mountinfo"
    table.write_text(TABLE.format(root=tmp_path))
    return table


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("share", "nfs4"),
        ("share/not/yet/made", "nfs4"),
        ("two words/x", "cifs"),
        ("share/local/deep", None),
        ("hidden", None),
        ("plain", None),
        ("shared", None),
    ],
)
def test_the_deepest_and_latest_mount_counts(
    tmp_path: Path, mounts: Path, folder: str, kind: str | None
) -> None:
    assert network_filesystem(tmp_path / folder, mounts) == kind


def test_a_link_is_followed_to_where_it_leads(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "share")
    assert network_filesystem(tmp_path / "link" / "store", mounts) == "nfs4"


def test_nothing_is_known_without_a_mount_table(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path, tmp_path / "absent") is None


def test_a_store_on_a_network_file_system_is_refused(
    tmp_path: Path, mounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        environment, "network_filesystem", lambda folder: network_filesystem(folder, mounts)
    )
    with pytest.raises(Faults) as caught:
        Store.open(tmp_path / "share")
    (found,) = caught.value.diagnostics
    assert (found.code, caught.value.exit_code) == ("cache-on-network", ExitCode.FAILURE)
    assert "nfs4" in found.message
    assert not list((tmp_path / "share").glob("*.mdb"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here")
def test_the_names_of_a_new_store_are_synced_and_those_of_an_old_one_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose name is lost with the power is lost, however well it was synced."""
    synced: list[Path] = []
    real = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        real(handle)

    monkeypatch.setattr(os, "fsync", noted)
    Store.open(tmp_path / "cache" / "store").close()
    assert set(synced) == {tmp_path, tmp_path / "cache", tmp_path / "cache" / "store"}
    synced.clear()
    Store.open(tmp_path / "cache" / "store").close()
    assert synced == []
