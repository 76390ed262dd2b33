"""Diagnostics: data, catalogue, renderers."""

from evalc.diagnostics.catalogue import CATALOGUE
from evalc.diagnostics.diagnostic import Diagnostic, Faults, Place, Severity, Span
from evalc.diagnostics.render import MOST_SHOWN, Format, render

__all__ = [
    "CATALOGUE",
    "MOST_SHOWN",
    "Diagnostic",
    "Faults",
    "Format",
    "Place",
    "Severity",
    "Span",
    "render",
]
