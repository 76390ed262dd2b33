"""Collected diagnostics of the checks that look at more than one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from evalc.diagnostics import MOST_SHOWN, Diagnostic
from evalc.spec.index import Index, Loc
from evalc.spec.wording import did_you_mean, dotted, listed, missing_key


@dataclass(slots=True)
class Findings:
    """What checks found; nothing is said twice about a value that already has a fault.

    A value that was refused before is a stand-in now, and silent.
    """

    index: Index
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _silent: set[Loc] = field(default_factory=set)
    _around: set[Loc] = field(default_factory=set)
    _meant: set[Loc] = field(default_factory=set)
    _told: set[Loc] = field(default_factory=set)
    _around_told: set[Loc] = field(default_factory=set)

    @property
    def at_fault(self) -> set[Loc]:
        """The locations of stand-ins, and those of which something was said."""
        return self._silent | self._told

    def hush(self, loc: Loc) -> None:
        """The value at `loc` was refused before and is a stand-in now."""
        self._silent.add(loc)
        self._around.update(loc[:size] for size in range(len(loc) + 1))

    def mean(self, loc: Loc) -> None:
        """The key at `loc` is absent, and another was told to be it misspelt."""
        self._meant.add(loc)

    def is_meant(self, *locs: Loc) -> bool:
        """True when one of these keys is there but misspelt: what rests on it is not at fault."""
        return not self._meant.isdisjoint(locs)

    def is_silent(self, loc: Loc) -> bool:
        """True when the value at `loc`, or one around or inside it, is a stand-in."""
        return loc in self._around or any(loc[:size] in self._silent for size in range(len(loc)))

    def is_wrong_within(self, loc: Loc) -> bool:
        """True when something was said of the value at `loc`, or of one inside it."""
        return loc in self._around_told

    def _tell(self, loc: Loc) -> None:
        self._told.add(loc)
        self._around_told.update(loc[:size] for size in range(len(loc) + 1))

    def add(
        self,
        code: str,
        loc: Loc,
        message: str,
        hint: str | None = None,
        *,
        key: bool = False,
        span: tuple[int, int] | None = None,
    ) -> None:
        """Report `message`, which begins after the location's name, at a value or its key."""
        if not self.is_silent(loc):
            self._tell(loc)
            place = self.index.place(loc, span, key)
            self.diagnostics.append(
                Diagnostic(code, f"`{dotted(loc)}` {message}", place, hint=hint)
            )

    def missing(self, loc: Loc, hint: str | None = None) -> None:
        """The key at the end of `loc` is needed and absent."""
        if not self.is_silent(loc) and not self.is_meant(loc):
            self._tell(loc)
            self.diagnostics.append(missing_key(loc, self.index, hint))

    def misplaced(self, loc: Loc, why: str, hint: str | None = None) -> None:
        """The key at the end of `loc` has no meaning there; `why` continues the sentence."""
        hint = hint or "remove it"
        self.add("misplaced-key", loc, f"has no meaning {why}", hint, key=True)

    @property
    def many(self) -> bool:
        """Whether more was found than is shown: names that are unknown come in thousands, each
        to be compared with thousands."""
        return len(self.diagnostics) >= MOST_SHOWN

    def meant(self, word: str, words: Sequence[str]) -> str | None:
        """A hint with the nearest of `words`, or None; not searched where it would not be seen."""
        return None if self.many else did_you_mean(word, words)

    def unknown(self, what: str, name: str, loc: Loc, known: list[str]) -> None:
        """`loc` names a `what` (model, dataset, ...) that is none of `known`."""
        hint = f"define it as `[{what}s.{name}]`"
        if known and not self.many:
            near = self.meant(name, known)
            hint = near or f"use {listed(sorted(known)[:8])}, or {hint}"
        self.add(f"unknown-{what}", loc, f"names the {what} `{name}`, which does not exist", hint)
