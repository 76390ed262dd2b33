"""evalc: a compiler for model evaluations.

    ev = evalc.load("specs", tier="smoke")    # checks the specs; raises evalc.Faults
    plan = ev.plan()                          # what a run would ask and cost; needs no torch
    run = ev.run()                            # asks what the cache does not answer
    run.report.cases("gsm8k").to_pandas()

`load`, `diff`, `read_report`, `listen` and `Faults` are what Python code needs; everything else is
a method of what they return. Rooms (`evalc.run`, `evalc.plan`, ...) may change with any version.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"
__all__ = ["Faults", "__version__", "diff", "listen", "load", "read_report"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from evalc.diagnostics import Faults
    from evalc.run.documents import read_report
    from evalc.run.evaluation import diff, load
    from evalc.run.listener import listen

_HOMES = {
    "Faults": "evalc.diagnostics",
    "diff": "evalc.run.evaluation",
    "listen": "evalc.run.listener",
    "load": "evalc.run.evaluation",
    "read_report": "evalc.run.documents",
}
"""Imported when they are used: `import evalc` is what every command begins with."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module `evalc` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *globals()])
