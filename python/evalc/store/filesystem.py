"""What kind of file system a directory is on, and whether its names outlive a loss of power."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

NETWORK = frozenset(
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "9p", "lustre", "gpfs"),
        *("beegfs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs"),
        *("fuse.gcsfuse", "fuse.juicefs"),
    ]
)
MOUNTS = Path("/proc/self/mountinfo")


def network_filesystem(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """Name of the network file system that `directory` is on, or None if it is local or unknown."""
    kind = filesystem(directory, mounts)
    return kind if kind in NETWORK else None


def filesystem(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """Name of the file system that `directory` is on, or will be when it is made.

    Reads Linux's mount table (proc(5), mountinfo); elsewhere nothing is known.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    target = directory.resolve()
    best, kind = -1, None
    for line in lines:
        fields = line.split()
        if "-" not in fields or len(fields) < 5:
            continue
        point = Path(fields[4].replace("\\040", " "))
        depth = len(point.parts)
        # a later mount on the same point hides the earlier one
        if depth >= best and (point == target or point in target.parents):
            best, kind = depth, fields[fields.index("-") + 1]
    return kind


def sync_names(directories: Iterable[Path]) -> None:
    """Make the names in these directories durable: syncing a new file does not sync its name."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows opens no directory
    for directory in directories:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
