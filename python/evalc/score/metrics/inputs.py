"""What a metric may read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from evalc.hooks.limits import Limits
from evalc.score.answers import Answers, Found, answers_of, found_in, patient
from evalc.score.cache import ScoreCache
from evalc.score.cells import BoolArray, CellRecords
from evalc.score.extract import Extractor
from evalc.score.sandbox import Sandbox
from evalc.score.scoring import Scoring
from evalc.score.targets import references, right_choices


@dataclass
class Inputs:
    """A cell under one named extract; derived columns are computed once, when first read.

    Hooks that are metrics are imported from `root`, one that extracts from `extract_root`.
    """

    cell: CellRecords
    scoring: Scoring
    extract: str = ""
    root: Path = field(default_factory=Path)
    extract_root: Path = field(default_factory=Path)
    allow_code_execution: bool = False
    sandbox: Sandbox | None = None
    cache: ScoreCache = field(default_factory=ScoreCache)
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def answered(self) -> BoolArray:
        """bool[n]: all records of the case are there."""
        return self.cell.answered()

    @cached_property
    def right(self) -> BoolArray:
        """bool[m]: the right choices."""
        return right_choices(self.cell)

    @cached_property
    def extractor(self) -> Extractor:
        return Extractor(self.scoring.extracts[self.extract])

    @cached_property
    def found(self) -> Found:
        """Per case and repeat, what was found in the text, as it stands there."""
        return found_in(
            self.cell, self.extractor, self.extract_root, self.cache, self.limits, self.extract
        )

    @cached_property
    def answers(self) -> Answers:
        """Per case and repeat, the normalised answer."""
        return answers_of(self.cell, self.found, self.extractor, self.extract)

    @cached_property
    def references(self) -> list[list[str]]:
        """Per case, the normalised acceptable texts."""
        cell, normalise = self.cell, self.extractor.normalise
        return [
            [patient(cell, case, self.extract, partial(normalise, text)) for text in texts]
            for case, texts in enumerate(references(cell))
        ]
