"""Where `evalc` begins: Ctrl-C is answered before anything large is imported.

The imports take a few tenths of a second, in which Python would answer it with a traceback. So this
module answers as soon as it is imported itself, which only a process that is the command does.
"""

from __future__ import annotations

import atexit
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SAID = {signal.SIGINT: b"interrupted\n", signal.SIGTERM: b"terminated\n"}


def _early(number: int, _frame: FrameType | None) -> None:
    """Nothing has been begun that would have to be ended."""
    try:
        os.write(2, SAID[signal.Signals(number)])
    finally:
        os._exit(128 + number)


def _late() -> None:
    """All is done, and the exit code is settled: Python would let the process die by a signal."""
    for number in SAID:
        signal.signal(number, signal.SIG_IGN)


# the first that is registered is called last
atexit.register(_late)
for _number in SAID:
    if signal.getsignal(_number) is not signal.SIG_IGN:  # as in the background of a shell
        signal.signal(_number, _early)

from evalc.cli.app import main  # noqa: E402  signals are answered meanwhile

__all__ = ["main"]
