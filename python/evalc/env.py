"""Everything that evalc reads from, or prepares in, the process environment."""

from __future__ import annotations

import os
import platform
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO


def prepare_accelerator() -> None:
    """Fix the cuBLAS workspaces, which decide the order of sums; has to precede CUDA's start."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


SPINS = "10000"
"""How often a waiting thread looks again before it sleeps; GNU's default is 300,000.

Threads that spin for long take the cores from those they wait for where a machine has other work,
threads that sleep at once lose time everywhere: benches/RESULTS.md, "Waiting threads".
"""


def prepare_threads() -> None:
    """Let threads that wait sleep soon; has to precede the import of torch."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


LAST_NS = 253_402_300_799 * 10**9
"""The last second of the year 9999, the last that Python's dates and ISO 8601 have."""


def clock_ns() -> int:
    """Nanoseconds since 1970; a clock outside the years 1970 to 9999 counts as the nearest.

    A clock that was never set shows such times, and Python cannot express them all.
    """
    try:
        return min(max(0, time.time_ns()), LAST_NS)
    except OverflowError:
        return LAST_NS


def clock() -> datetime:
    """The time by the same clock, in UTC."""
    seconds, rest = divmod(clock_ns(), 10**9)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1000)


def cache_directory() -> Path:
    """Where evalc keeps what it has learnt: EVALC_CACHE, else the user's cache folder."""
    if chosen := os.environ.get("EVALC_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "evalc"


def cuda_present() -> bool:
    """Whether an NVIDIA GPU is visible to this process, found out without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(Path(node).exists() for node in ("/dev/nvidia0", "/dev/nvidiactl"))


def hardware(device: str) -> str:
    """A name for what a measured speed belongs to, such as `cpu x2 x86_64 AMD EPYC`."""
    if device == "cuda":
        found = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for information in found:
            for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("Model:"):
                    return f"cuda {line.removeprefix('Model:').strip()}"
        return "cuda"
    return f"cpu x{os.cpu_count() or 1} {platform.machine()} {_processor()}".strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def free_memory() -> tuple[int, str] | None:
    """Bytes that this process may still take, and what says so; None where nothing does.

    Linux: what the kernel calls available, or what a control group leaves, whichever is less.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    if not found:
        return None
    available = int(found[0]) * 1024
    left = _group_memory(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    if left is not None and left < available:
        return max(0, left), "the control group's limit"
    return available, "/proc/meminfo"


def _group_memory(root: Path, membership: Path) -> int | None:
    """Bytes that the tightest control group above this process leaves; of either version."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, names = root, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            base, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        own = base / path.strip("/")
        folders = [own, *(folder for folder in own.parents if folder.is_relative_to(base))]
        left += [room for folder in folders if (room := _left(folder, *names)) is not None]
    return min(left, default=None)


def _left(folder: Path, limit: str, used: str) -> int | None:
    """What one group leaves; the files that it holds in memory can be let go of."""
    try:
        most = int((folder / limit).read_text(encoding="utf-8"))
        taken = int((folder / used).read_text(encoding="utf-8"))
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    counts = dict(line.split(maxsplit=1) for line in lines if " " in line)
    files = counts.get("total_inactive_file", counts.get("inactive_file", "0"))
    return most - taken + int(files)


def wants_color(stream: TextIO) -> bool:
    """Whether to colour a stream: a terminal, and neither NO_COLOR nor a dumb one."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def on_a_terminal() -> bool:
    """Whether a person sees what is said on stderr, such as the progress of a download."""
    return sys.stderr is not None and sys.stderr.isatty()


def inherited() -> dict[str, str]:
    """The environment that a child process for the user's own functions is given."""
    return dict(os.environ)


def untranslated() -> dict[str, str]:
    """The environment for a program whose messages are read, and so have to be in English."""
    return {**os.environ, "LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}


def on_github() -> bool:
    """Whether a workflow of GitHub Actions runs this, and reads commands from what it says."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def github_workspace() -> Path:
    """The folder that paths of annotations start from; the working directory elsewhere."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())


def github_summary() -> Path | None:
    """The file whose Markdown GitHub shows on the page of the run; None elsewhere."""
    named = os.environ.get("GITHUB_STEP_SUMMARY") if on_github() else None
    return Path(named) if named else None


def wants_traceback() -> bool:
    """Whether an internal error should show where it happened."""
    wanted = os.environ.get("EVALC_TRACEBACK", "").strip().lower()
    return wanted not in ("", "0", "false", "no", "off")


def silence(stream: TextIO) -> None:
    """Point a stream at nothing after its reader went away, so that exiting does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def stands() -> bool:
    """Whether the working directory is still there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def hold_streams() -> None:
    """Let no file that is opened take the place of a standard stream that is closed.

    What a library writes to file descriptor 2 would be written into it, and that may be the store.
    """
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def temporary_folder() -> str:
    """Where programs put files that nobody keeps."""
    import tempfile  # noqa: PLC0415  costs milliseconds, rarely wanted

    return os.environ.get("TMPDIR") or tempfile.gettempdir()
