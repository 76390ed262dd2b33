"""Sizes and shares on the command line: `500M`, `1.5GiB`, `1%`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import click

UNITS = {
    unit + suffix: base**power
    for power, unit in enumerate(["", "k", "m", "g", "t"])
    for suffix, base in (("", 1000), ("b", 1000), ("ib", 1024))
}


class Size(click.ParamType[int]):
    """A number of bytes, with a decimal (K, M, G, T) or binary (KiB, MiB, GiB, TiB) unit."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        number = value.strip().lower().rstrip("bikmgt")
        unit = value.strip().lower()[len(number) :].strip()
        try:
            return int(float(number) * UNITS[unit])
        except (ValueError, KeyError, OverflowError):
            self.fail(f"`{value}` is not a size; write it as 500M or 1.5GiB", param, ctx)


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a number of things: a share of them, or so many."""

    text: str
    share: float | None
    number: int

    def of(self, total: int) -> int:
        """At least one, at most all."""
        wanted = self.number if self.share is None else math.ceil(self.share * total)
        return min(total, max(1, wanted))


class ShareOf(click.ParamType[Share]):
    """A share in percent, or a number of at least 1."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Share:
        """The share."""
        if isinstance(value, Share):
            return value
        found = _share(value)
        if found is None:
            message = f"`{value}` is neither a share such as 1% nor a number of at least 1"
            self.fail(message, param, ctx)
        return found


def _share(text: str) -> Share | None:
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            return Share(text, share, 0) if 0 < share <= 1 else None
        number = int(text)
    except ValueError:
        return None
    return Share(text, None, number) if number > 0 else None


def size_text(size: int) -> str:
    """Bytes as a person says them, in decimal units."""
    if size < 1000:
        return f"{size} B"
    for limit, divisor, unit in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (1e12, 1e9, "GB")):
        if size < limit:
            return f"{size / divisor:.1f} {unit}"
    return f"{size / 1e12:.1f} TB"
