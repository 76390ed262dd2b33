"""Spec files, checked: `load` them, `select` what to run."""

from evalc.spec.folder import Folder
from evalc.spec.load import load
from evalc.spec.models import Spec
from evalc.spec.selection import Selection, select
from evalc.spec.sources import SourceFile

__all__ = ["Folder", "Selection", "SourceFile", "Spec", "load", "select"]
