"""Examples are drawn anew by hand, and the same ones by everybody else."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None)
if os.environ.get("EVALC_RANDOM_EXAMPLES") is None:
    settings.load_profile("repeatable")
