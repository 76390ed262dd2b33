"""What a hook may give back, checked on both sides of the border."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping

from evalc.hooks.plain import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 1e100
"""Of a score; squares of larger ones overflow where errors are computed."""
LONGEST_TEXT = 1 << 22
"""Characters of an extracted answer."""
SHOWN = 80


class Unfit(Exception):  # noqa: N818
    """A value that no hook may give, or what no hook may do; the text says why, `hint` what to do
    instead where that is not plain."""

    def __init__(self, why: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(why)


def shown(value: object) -> str:
    """The beginning of a value as Python shows it, whatever its `__repr__` does."""
    try:
        return repr(value)[:SHOWN]
    except BaseException:  # the user's own `__repr__`
        return f"<{type(value).__name__} that cannot be shown>"


def as_score(result: Any) -> float:
    """A metric hook's score: a finite number (a bool counts as 0 or 1). Raises `Unfit`."""
    try:
        score = math.nan if isinstance(result, str) else float(result)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise Unfit(f"it returned `{shown(result)}`, not a finite number")
    if abs(score) > LARGEST:
        raise Unfit(f"it returned `{score!r}`, and no score may be beyond {LARGEST:g}")
    return score


def as_text(result: Any) -> str | None:
    """An extraction hook's answer, or None for "no answer". Raises `Unfit`."""
    if result is None:
        return None
    if not isinstance(result, str):
        raise Unfit(f"it returned `{shown(result)}`, neither a text nor None")
    if len(result) > LONGEST_TEXT:
        raise Unfit(f"it returned a text of {len(result):,} characters, beyond {LONGEST_TEXT:,}")
    if not is_unicode(result):
        raise Unfit(f"it returned `{result!a:.{SHOWN}}`, which holds half of a character")
    return str(result)


def is_unicode(text: str) -> bool:
    """Whether a text is Unicode: without lone surrogates, which have no UTF-8."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def line_of(row: Mapping[str, Any]) -> str:
    """A row as a line of JSON, in which NaN is no value. Raises what a value of the user's does."""
    if not isinstance(row, Mapping):
        raise TypeError(f"a row is a {type(row).__name__}, not a mapping")
    return _encode({key: plain(value) for key, value in row.items()}) + "\n"


def lines_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Rows as lines of JSON."""
    return map(line_of, rows)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
