"""The sandbox of programs: bubblewrap, where it is installed and works.

In it a program has no network, no environment and no process in sight but its own; it sees the
system's libraries and this Python read-only, and a private `/tmp` and home. Neither the user's home
nor the repository, the cache, `/proc` or the sockets of `/run` are there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from evalc.score.faults import fault

Sandbox = Literal["bwrap", "none"]
"""Where a program runs; `none` on the machine as it is."""
HOME = "/tmp/home"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_SETTINGS = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives")
_TEMPORARY_BYTES = 256 << 20
_PROBE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """What there is of bubblewrap: its program, and why it does not work, if so."""

    program: str | None
    fault: str | None

    @property
    def works(self) -> bool:
        return self.program is not None and self.fault is None


@lru_cache(maxsize=8)
def _probed(program: str, python: str) -> str | None:
    """Why a sandbox cannot be made, None if it can. Tried once: user namespaces may be off."""
    command = [*wrapped(program), python, "-I", "-S", "-c", "pass"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[0] if said else f"it ends with {done.returncode}"


def bubblewrap() -> Bubblewrap:
    """Bubblewrap on the PATH, tried once in this process."""
    program = shutil.which("bwrap")
    if program is None:
        return Bubblewrap(None, "there is no `bwrap` on the PATH")
    return Bubblewrap(program, _probed(program, sys.executable))


def in_use(asked: Sandbox | None) -> Sandbox:
    """The sandbox that is asked for; where none is, bubblewrap if it works."""
    return asked or ("bwrap" if bubblewrap().works else "none")


def require(asked: Sandbox | None) -> None:
    """Raise `Faults` (`no-sandbox`) unless programs may run in what `in_use` says: without a
    sandbox only where that was asked for."""
    found = bubblewrap()
    if asked == "none" or found.works:
        return
    raise fault(
        "no-sandbox",
        f"programs that the model wrote would run without a sandbox: {found.fault}",
        hint="install bubblewrap and allow user namespaces; or pass `--sandbox none` in a "
        "container that holds nothing of value",
    )


def wrapped(program: str) -> list[str]:
    """The command that what it precedes runs in a sandbox."""
    command = [program, "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net"]
    command += ["--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    command += ["--as-pid-1", "--clearenv", "--hostname", "sandbox"]
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    command += ["--size", str(_TEMPORARY_BYTES), "--tmpfs", "/tmp", "--dir", HOME]
    for setting in _SETTINGS:
        command += ["--ro-bind-try", setting, setting]
    for path in _python():
        command += ["--ro-bind", str(path), str(path)]
    return [*command, "--dev", "/dev", "--remount-ro", "/", "--chdir", HOME]


def _python() -> list[Path]:
    """Folders of this interpreter and of its packages; not the system's, which are there."""
    named = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    real = Path(sys.executable).resolve()
    named += [str(real.parent.parent), str(Path(sys.base_prefix).resolve())]
    named += [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    found = dict.fromkeys(Path(name) for name in named)
    return [path for path in found if path.is_dir() and not path.is_relative_to("/usr")]
