"""Spec files, checked: `load` them, `select` what to run."""

from evalc.spec.doubts import doubts
from evalc.spec.folder import Folder
from evalc.spec.load import Examined, examine, load
from evalc.spec.models import Spec
from evalc.spec.selection import Selection, select
from evalc.spec.sources import SourceFile

__all__ = [
    "Examined",
    "Folder",
    "Selection",
    "SourceFile",
    "Spec",
    "doubts",
    "examine",
    "load",
    "select",
]
