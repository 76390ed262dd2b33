"""`python -m evalc.cli`."""

import sys
from pathlib import Path

# `python -m` looks for modules in the working directory first, whose files nobody asked to run
if sys.path and sys.path[0] in ("", str(Path.cwd())):
    del sys.path[0]

from evalc.cli.app import main

main()
