"""The packages that the page is made with, which only those need who want one."""

from __future__ import annotations

import importlib
from typing import Any

from evalc.diagnostics import Diagnostic, Faults

PACKAGES = {"jinja2": "jinja2", "vl_convert": "vl-convert-python"}
"""Modules, and what they are installed as."""


def package(module: str) -> Any:
    """One of `PACKAGES`. Raises Faults (`needs-report-extra`) when it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        message = f"an HTML page is made with `{PACKAGES[module]}`, which is not installed"
        hint = "install it with `pip install 'evalc[report]'`"
        raise Faults([Diagnostic("needs-report-extra", message, hint=hint)]) from None


def require() -> None:
    """Raise Faults for the first package that is missing, before any work is done."""
    for module in PACKAGES:
        package(module)
