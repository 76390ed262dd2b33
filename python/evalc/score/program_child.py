"""The interpreter in which one program runs: limits, then the guard, then the program.

Started by `programs.run_program` as a script, and importing nothing of evalc:
`program_child.py PROGRAM FD CPU_SECONDS MEMORY_MB FILE_MB`, the token on standard input. Writes to
FD a line feed when it hands over to the program, then the token when the program reached its end,
else the error.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

_REFUSED = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "signal.pthread_kill",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.sendmsg",
    "socket.sendto",
    "subprocess.Popen",
)


def _limit(cpu_seconds: int, memory_mb: int, file_mb: int) -> None:
    import resource  # noqa: PLC0415  absent on Windows, where no limit is set

    mega = 1024 * 1024
    wanted = (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_CPU", cpu_seconds),
        ("RLIMIT_FSIZE", file_mb * mega),
        ("RLIMIT_AS", memory_mb * mega),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_NPROC", 4096),
    )
    for name, value in wanted:
        number = getattr(resource, name, None)
        if number is None:
            continue
        ceiling = resource.getrlimit(number)[1]
        bound = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        try:
            resource.setrlimit(number, (bound, bound))
        except (OSError, ValueError):
            continue  # macOS refuses some of them; the wall clock still holds


def _guard(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED:
        raise PermissionError(f"a scored program may not use {event}")


def main() -> None:
    path, fd = sys.argv[1], int(sys.argv[2])
    token = sys.stdin.buffer.read()
    source = open(path, "rb").read()  # noqa: PTH123, SIM115  no pathlib: start-up time counts
    with suppress(ImportError):
        _limit(*map(int, sys.argv[3:6]))
    sys.argv = [path]
    sys.addaudithook(_guard)
    write, leave = os.write, os._exit
    write(fd, b"\n")
    try:
        exec(compile(source, path, "exec"), {"__name__": "__main__", "__file__": path})
    except BaseException as error:
        try:
            write(fd, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:2000])
        finally:
            leave(1)
    write(fd, token)
    leave(0)


if __name__ == "__main__":
    main()
