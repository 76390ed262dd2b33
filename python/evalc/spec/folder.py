"""What `load` returns: the spec, the files it came from, and where everything stands in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalc.diagnostics import Diagnostic, Faults, Place
from evalc.spec.index import Index, Step
from evalc.spec.models import Spec
from evalc.spec.references import VARIABLE
from evalc.spec.sources import SourceFile

HUB = "hf:"


@dataclass(frozen=True, slots=True)
class Folder:
    """A checked spec and its files, in the order in which they were merged."""

    spec: Spec
    files: tuple[SourceFile, ...]
    index: Index = field(repr=False)

    def place(
        self, loc: Sequence[Step], span: tuple[int, int] | None = None, key: bool = False
    ) -> Place | None:
        """Where `loc` is written; of the nearest written ancestor when `loc` itself is not.

        `span` narrows to a byte range inside the decoded string at `loc`; `key` asks for the key
        instead of the value.
        """
        return self.index.place(loc, span, key)

    def base(self, loc: Sequence[Step]) -> Path:
        """The absolute directory that relative paths at `loc` start from.

        That of the file which wrote the value; the working directory for `--set`.
        """
        found = self.index.entry(loc)
        return found[0].source.base if found else Path.cwd()

    def located(self, loc: Sequence[Step]) -> str:
        """The path at `loc` (of a model, its adapter, or a dataset), variables filled in.

        Local paths come back absolute and normal; a name on the Hub keeps its `hf:`.

        Raises:
            LookupError: the spec has no text at `loc`.
            Faults: its path is not UTF-8.
        """
        section, name, key = loc
        table = getattr(self.spec, str(section))[name]
        text = getattr(table, str(key))
        if not isinstance(text, str):
            raise LookupError(f"no path at {loc}")
        return self._absolute(VARIABLE.sub(lambda m: self._variable(m[1]), text), loc)

    def _variable(self, name: str) -> str:
        return self._absolute(self.spec.paths[name], ("paths", name))

    def _absolute(self, text: str, loc: Sequence[Step]) -> str:
        if text.startswith(HUB):
            return text
        path = os.path.normpath(self.base(loc) / Path(text).expanduser())
        if not path.isascii():
            self._refuse_raw(path, loc)
        return path

    def _refuse_raw(self, path: str, loc: Sequence[Step]) -> None:
        """A folder whose name is bytes of no encoding: a plan is UTF-8, and could not say it."""
        try:
            path.encode()
        except UnicodeEncodeError:
            message = f"the path `{path}` is not UTF-8"
            hint = "give the folder, or the file, a name that is"
            raise Faults(
                [Diagnostic("path-not-utf8", message, self.place(loc), hint=hint)]
            ) from None
