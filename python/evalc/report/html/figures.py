"""Vega-Lite charts as inline SVG that follows the page's colours, without style or script.

Colours are the page's custom properties (`var(--ink)`), which SVG takes wherever it takes a colour,
so one drawing serves light, dark and print. All texts of a chart go in as data, and Vega escapes
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from evalc.diagnostics.visible import visible, visible_within
from evalc.report.html.extra import package

Chart = dict[str, Any]
WIDE, NARROW = 1012, 330
"""Widths in CSS pixels: beside each other on no screen, so that text is never scaled."""
SERIES = 6
"""Colours for models before they repeat (Okabe and Ito's, told apart by colour-blind people)."""
CONFIG: Chart = {
    "aria": False,
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--grid)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelLimit": 320,
    },
    "text": {"fontSize": 12},
}
_ROOT = re.compile(r"\A<svg[^>]*?width=\"([\d.]+)\" height=\"([\d.]+)\" viewBox=\"([^\"]+)\"[^>]*>")


@dataclass(frozen=True)
class Figure:
    """A chart as SVG for wide screens and for phones; `narrow` is None where one serves both.

    A `folded` one is long, and is opened by who wants it.

    `title` says what is drawn, `told` what is to be seen in it, for those who cannot see it.
    """

    title: str
    told: str
    wide: str
    narrow: str | None = None
    folded: bool = False


def series(number: int) -> str:
    """The colour of the model of this number."""
    return f"var(--s{number % SERIES})"


def figure(title: str, told: str, chart: Callable[[int], Chart], small: bool = False) -> Figure:
    """Draw a chart, which is made for a width; a `small` one only as wide as a phone."""
    if small:
        return Figure(title, told, _svg(chart(NARROW), title, told))
    wide, narrow = (_svg(chart(width), title, told) for width in (WIDE, NARROW))
    return Figure(title, told, wide, narrow)


def _svg(chart: Chart, title: str, told: str) -> str:
    """SVG whose root says what it is; Vega's own roles would read out every line of a grid."""
    autosize = {"type": "fit-x", "contains": "padding"}
    whole = {"config": CONFIG, "autosize": autosize, "padding": 2, **visible_within(chart)}
    title, told = visible(title), visible(told)
    drawn: str = package("vl_convert").vegalite_to_svg(whole)
    root = _ROOT.match(drawn)
    assert root is not None, drawn[:200]
    width, height, box = root.groups()
    head = (
        f'<svg role="img" aria-label="{escape(title)}" width="{width}" height="{height}" '
        f'viewBox="{box}"><title>{escape(title)}</title><desc>{escape(told)}</desc>'
    )
    return head + drawn[root.end() :]
