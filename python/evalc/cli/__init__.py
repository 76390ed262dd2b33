"""The command line."""

from evalc.cli.app import main

__all__ = ["main"]
