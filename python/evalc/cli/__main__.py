"""`python -m evalc.cli`."""

from evalc.cli.app import main

main()
