"""What the page's charts show, as Vega-Lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalc.report.html.figures import NARROW, Chart
from evalc.report.shape import ConditionEntry

Row = dict[str, Any]
QUANTITY = "quantitative"
LONG = 25
"""Rows from which on the scale stands above them, where one begins to read."""
LETTER, LABEL = 7.2, 330
"""Pixels of a letter of a label, and of the longest label."""

BASELINE: Chart = {
    "type": "point",
    "shape": "diamond",
    "size": 90,
    "filled": True,
    "fill": "var(--paper)",
    "stroke": "var(--ink)",
    "strokeWidth": 1.5,
    "opacity": 1,
}
"""The mark of what a gate compares with."""


def _x(field: str, title: str | None = None, domain: Sequence[float] | None = None) -> Chart:
    scale: Chart = {"zero": False, "nice": True}
    if domain is not None:
        scale = {"domain": list(domain), "nice": False}
    axis = {"tickCount": 6, "labelOverlap": True}
    return {"field": field, "type": QUANTITY, "title": title, "scale": scale, "axis": axis}


def _labels(rows: Sequence[Row], field: str) -> Chart:
    """An axis of names with room for the longest in whatever font the reader has."""
    longest = max(len(row[field]) for row in rows)
    room = min(LABEL, 12 + LETTER * longest)
    return {
        "domain": False,
        "ticks": False,
        "grid": False,
        "labelPadding": 10,
        "minExtent": room,
        "maxExtent": room,
        "labelLimit": room - 10,
    }


def _direct(field: str) -> Chart:
    """A column that holds colours."""
    return {"field": field, "type": "nominal", "scale": None}


def _layer(mark: Chart, needs: str | None = None, **encoding: Chart) -> Chart:
    """A layer over the rows whose column `needs` is not null."""
    layer: Chart = {"mark": mark, "encoding": encoding}
    if needs is not None:
        layer["transform"] = [{"filter": f"isValid(datum.{needs})"}]
    return layer


def intervals(rows: Sequence[Row], width: int) -> Chart:
    """Estimates one below the other.

    A row has a unique `label`, `color`, `value`, `low` and `high` (the population's interval),
    `least` and `most` (the benchmark's), `bound` and `baseline`; all but the first two may be null.
    On a phone the label stands above its line.
    """
    above = width <= NARROW
    y: Chart = {"field": "label", "type": "nominal", "sort": None, "title": None}
    y["axis"] = None if above else _labels(rows, "label")
    color = _direct("color")
    layers: list[Chart] = [
        _layer({"type": "rule", "strokeWidth": 2}, "low", x=_x("low"), x2={"field": "high"}),
        _layer(
            {"type": "rule", "strokeWidth": 9, "opacity": 0.35},
            "least",
            x=_x("least"),
            x2={"field": "most"},
        ),
        _layer({"type": "point", "filled": True, "size": 75, "opacity": 1}, x=_x("value")),
    ]
    for layer in layers:
        layer["encoding"]["color"] = color
        if len(rows) > LONG:
            layer["encoding"]["x"]["axis"]["orient"] = "top"
    layers += [
        _layer(
            {"type": "tick", "thickness": 2, "size": 20, "color": "var(--ink)", "opacity": 1},
            "bound",
            x=_x("bound"),
        ),
        _layer(BASELINE, "baseline", x=_x("baseline")),
    ]
    if above:
        text = {"type": "text", "align": "left", "dy": -14, "color": "var(--ink)", "limit": width}
        layers.append(_layer(text, x={"value": 0}, text={"field": "label", "type": "nominal"}))
    return {
        "data": {"values": list(rows)},
        "width": width,
        "height": {"step": 46 if above else 30},
        "encoding": {"y": y},
        "layer": layers,
    }


def condition(entry: ConditionEntry, baseline: float | None, width: int) -> Chart:
    """One condition: the interval, the bound, and the side of it that fails shaded."""
    value, low, high, bound = entry["value"], entry["low"], entry["high"], entry["bound"]
    assert value is not None and low is not None and high is not None
    narrow = entry["key"] == "half_width"
    marks = [low, high, *((value - bound, value + bound) if narrow else (bound,))]
    if baseline is not None:
        marks.append(baseline)
    spread = max(marks) - min(marks) or 0.02
    domain = (min(marks) - 0.12 * spread, max(marks) + 0.12 * spread)
    fails = {"min": (domain[0], bound), "max": (bound, domain[1]), "max_drop": (domain[0], bound)}
    shade = (value - bound, value + bound) if narrow else fails[entry["key"]]
    row: Row = {
        "from": shade[0],
        "to": shade[1],
        "low": low,
        "high": high,
        "value": value,
        "bound": None if narrow else bound,
        "baseline": baseline,
    }

    def x(field: str) -> Chart:
        return _x(field, domain=domain)

    soft = "var(--pass-soft)" if narrow else "var(--fail-soft)"
    layers = [
        _layer({"type": "rect", "color": soft, "opacity": 1}, x=x("from"), x2={"field": "to"}),
        _layer({"type": "rule", "strokeWidth": 2, "color": "var(--ink)"}, "bound", x=x("bound")),
        _layer(
            {"type": "rule", "strokeWidth": 7, "color": "var(--s0)", "opacity": 0.45},
            x=x("low"),
            x2={"field": "high"},
            y={"value": 22},
        ),
        _layer(
            {"type": "point", "filled": True, "size": 80, "color": "var(--s0)", "opacity": 1},
            x=x("value"),
            y={"value": 22},
        ),
        _layer(BASELINE, "baseline", x=x("baseline"), y={"value": 22}),
    ]
    return {"data": {"values": [row]}, "width": width, "height": 44, "layer": layers}


def narrowing(entry: ConditionEntry, width: int) -> Chart:
    """The interval at every look, and the bound."""
    rows = [{**look} for look in entry["rounds"]]
    x = {
        "field": "seen",
        "type": QUANTITY,
        "title": "cases seen",
        "axis": {"tickCount": 5},
        "scale": {"zero": True},
    }

    def y(field: str) -> Chart:
        return {**_x(field), "axis": {"tickCount": 5}, "title": None}

    layers = [
        _layer(
            {"type": "area", "color": "var(--s0)", "opacity": 0.22},
            x=x,
            y=y("low"),
            y2={"field": "high"},
        ),
        _layer(
            {"type": "line", "color": "var(--s0)", "point": {"color": "var(--s0)", "size": 26}},
            x=x,
            y=y("value"),
        ),
    ]
    if entry["key"] != "half_width":
        bound = {"type": "rule", "color": "var(--ink)", "strokeDash": [5, 4], "strokeWidth": 1.5}
        layers.append({"mark": bound, "encoding": {"y": {"datum": entry["bound"]}}})
    return {"data": {"values": rows}, "width": width, "height": 190, "layer": layers}


MOST_EVIDENCE = 1e6
LEAST_EVIDENCE = 1e-3
LOG_MOST = 13.8
"""The natural logarithm of `MOST_EVIDENCE`: what is beyond is drawn at the edge."""


def evidence(rows: Sequence[Row], limits: tuple[float, float], width: int) -> Chart:
    """Evidence for (`kind` "holds") and against ("fails") over the looks, where it decides.

    A row has `seen`, `kind`, `evidence` and `color`; `limits` are what is needed for and against.
    """
    scale = {"type": "log", "clamp": True, "nice": False}
    top = max(2 * max(limits), *(row["evidence"] for row in rows))
    scale = {**scale, "domain": [LEAST_EVIDENCE, top]}
    values = [v for v in (0.001, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6) if v <= top]
    y = {
        "field": "evidence",
        "type": QUANTITY,
        "scale": scale,
        "title": None,
        "axis": {"values": values, "format": "~g"},
    }
    x = {
        "field": "seen",
        "type": QUANTITY,
        "title": "cases seen",
        "axis": {"tickCount": 5},
        "scale": {"zero": True},
    }
    line = {"type": "line", "point": {"size": 26}}
    layers = [
        _layer(line, x=x, y=y, color=_direct("color"), detail={"field": "kind", "type": "nominal"})
    ]
    colors = ("var(--pass)", "var(--fail)")
    for limit, color in zip(limits, colors, strict=True):
        rule = {"type": "rule", "color": color, "strokeDash": [5, 4], "strokeWidth": 1.5}
        layers.append({"mark": rule, "encoding": {"y": {"datum": limit}}})
    return {"data": {"values": list(rows)}, "width": width, "height": 190, "layer": layers}


def stacked(rows: Sequence[Row], width: int, unit: str) -> Chart:
    """A bar of parts: a row has `amount`, `color` and `order`."""
    x = {
        "field": "amount",
        "type": QUANTITY,
        "stack": "zero",
        "title": unit,
        "axis": {"tickCount": 5, "format": "~s", "grid": False},
    }
    order = {"field": "order", "type": QUANTITY}
    bar = {"type": "bar", "size": 20, "stroke": "var(--paper)", "strokeWidth": 1}
    layers = [_layer(bar, x=x, color=_direct("color"), order=order)]
    return {"data": {"values": list(rows)}, "width": width, "height": 34, "layer": layers}
