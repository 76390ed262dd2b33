"""evalc: a compiler for model evaluations."""

__version__ = "0.1.0"
