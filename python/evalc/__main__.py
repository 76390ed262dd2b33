"""`python -m evalc`."""

from evalc.cli.app import main

main()
