"""The reference of diagnostic codes, written from the catalogue."""

from __future__ import annotations

from evalc.diagnostics.catalogue import CATALOGUE

HEAD = """\
# Diagnostics

Written from the code by `evalc.diagnostics.reference`; a test keeps it fresh. Every code has a test
that provokes it.

| code | when |
|---|---|
"""


def diagnostics_reference() -> str:
    """`docs/diagnostics.md`: every code, sorted."""
    return HEAD + "".join(f"| `{code}` | {CATALOGUE[code]} |\n" for code in sorted(CATALOGUE))
