"""`python -m evalc`."""

import os
import sys

# `python -m` looks for modules in the working directory first, whose files nobody asked to run
if sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  pathlib may be one of them
    del sys.path[0]

from evalc.entry import main

main()
