"""Sizes and shares on the command line: `500M`, `1.5GiB`, `1%`."""

from __future__ import annotations

import click

from evalc.run.share import Share

UNITS = {
    unit + suffix: base**power
    for power, unit in enumerate(["", "k", "m", "g", "t"])
    for suffix, base in (("", 1000), ("b", 1000), ("ib", 1024))
}


def size_option(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Bytes out of a number with a decimal (K, M, G, T) or binary (KiB, MiB, ...) unit."""
    if value is None:
        return None
    number = value.strip().lower().rstrip("bikmgt")
    unit = value.strip().lower()[len(number) :]
    try:
        size = int(float(number) * UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = -1
    if size < 0:
        raise click.BadParameter(f"`{value}` is not a size; write it as 500M or 1.5GiB")
    return size


def share_option(_: click.Context, __: click.Parameter, value: str) -> Share:
    """A share in percent, or a number of at least 1."""
    found = _share(value)
    if found is None:
        message = f"`{value}` is neither a share such as 1% nor a number of at least 1"
        raise click.BadParameter(message)
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
