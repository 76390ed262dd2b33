"""What stands above the process of a hook, so that nothing which a hook started outlives it.

A process that forks twice and starts a session has left its parent, its group and, with an
environment of its own, every mark. On Linux it cannot leave the nearest ancestor that has said that
it takes orphans (`PR_SET_CHILD_SUBREAPER`). That is the keeper: it waits for the process of the
hook, ends all that is below itself, and ends as that process did. Elsewhere there is none.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

_PDEATHSIG, _SUBREAPER = 1, 36

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def part(descriptors: tuple[int, ...], life: int) -> None:
    """Return in a child of this process, which becomes its keeper: it has no use for `descriptors`.

    It ends all when the other end of the pipe `life` is closed, or by SIGTERM. Raises OSError or
    ImportError where there can be no keeper.
    """
    if sys.platform != "linux":
        raise OSError("no orphans are taken here")
    import ctypes  # noqa: PLC0415  start-up time counts

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no orphans are taken")
    keeper = os.getpid()
    child = os.fork()
    if child:
        _keep(child, descriptors, life)
    prctl(_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != keeper:
        os._exit(0)
    os.close(life)


def _keep(child: int, descriptors: tuple[int, ...], life: int) -> None:
    import fcntl  # noqa: PLC0415  not everywhere

    def ended(_number: int, _frame: FrameType | None) -> None:
        _end_all()
        os._exit(0)

    def asked(number: int, _frame: FrameType | None) -> None:
        with suppress(OSError):
            os.kill(child, number)

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGUSR2, asked)
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2, *descriptors):
        os.dup2(nothing, number)  # what the child closes has to be closed
    pid, status = os.wait()
    while pid != child:
        pid, status = os.wait()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_all()
    _end_as(status)


def _end_all() -> None:
    """Kill what is below this process until nothing is. Orphans of those killed come to it."""
    while True:
        for pid in below(os.getpid()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _end_as(status: int) -> None:
    """End as the child did, by a signal too; without a second core file."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import resource  # noqa: PLC0415  a rare end

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def below(pid: int) -> list[int]:
    """What a process has started, and what that has; Linux alone tells."""
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < 4096:
        found.append(waiting.pop())
        with suppress(OSError, ValueError):
            for task in os.listdir(f"/proc/{found[-1]}/task"):  # noqa: PTH208
                with open(f"/proc/{found[-1]}/task/{task}/children", "rb") as children:  # noqa: PTH123
                    waiting += map(int, children.read().split())
    return found[1:]
