"""Diagnostics as text: for a terminal, one per line, as JSON, as GitHub annotations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from evalc.diagnostics.amounts import form
from evalc.diagnostics.diagnostic import Diagnostic, Place
from evalc.diagnostics.location import TAB, Excerpt, Location, located
from evalc.diagnostics.visible import commandless, seen, visible, visible_json, visible_lines

Format = Literal["terminal", "line", "json", "github"]
SCHEMA = "evalc.diagnostics/1"
MAX_LINES = 4
MOST_SHOWN = 200
"""Diagnostics that are shown, errors before warnings; of the others there is a count."""
RESET = "\x1b[0m"
STYLES = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "rule": "\x1b[1;34m",
    "bold": "\x1b[1m",
    "hint": "\x1b[1;36m",
}


def render(
    diagnostics: Sequence[Diagnostic],
    form: Format = "terminal",
    *,
    root: Path | None = None,
    color: bool = False,
) -> str:
    """`diagnostics` in one of the four forms, ending in a line feed unless empty.

    At most `MOST_SHOWN` of them are shown. Files below `root` are named relative to it. `color` is
    for the terminal form only.
    """
    if form == "terminal":
        return terminal(diagnostics, root=root, color=color)
    return {"line": one_line, "json": json_document, "github": github}[form](diagnostics, root=root)


def terminal(
    diagnostics: Sequence[Diagnostic], *, root: Path | None = None, color: bool = False
) -> str:
    """Each with its source lines, a caret underline, related places, notes and hint; a count."""
    if not diagnostics:
        return ""
    paint = _painter(color)
    shown = _shown(diagnostics)
    blocks = [_block(diagnostic, root, paint) for diagnostic in shown]
    count = counted(diagnostics) + _shortened(diagnostics, shown)
    return commandless("\n\n".join([*blocks, count]) + "\n")


def one_line(diagnostics: Sequence[Diagnostic], *, root: Path | None = None) -> str:
    """`file:line:col: severity[code]: message (hint)`, one diagnostic a line."""
    lines = []
    shown = _shown(diagnostics)
    for diagnostic in shown:
        at = f"{_at(located(diagnostic.place), root)}: " if diagnostic.place else ""
        hint = f" ({diagnostic.hint})" if diagnostic.hint else ""
        lines.append(f"{at}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}{hint}")
    if len(shown) < len(diagnostics):
        lines.append(counted(diagnostics) + _shortened(diagnostics, shown))
    return "".join(commandless(visible(line)) + "\n" for line in lines)


def json_document(diagnostics: Sequence[Diagnostic], *, root: Path | None = None) -> str:
    """A versioned JSON document; lines and columns are 1-based, spans count bytes."""
    errors = sum(d.severity == "error" for d in diagnostics)
    shown = _shown(diagnostics)
    document = {
        "schema": SCHEMA,
        "errors": errors,
        "warnings": len(diagnostics) - errors,
        "left_out": len(diagnostics) - len(shown),
        "diagnostics": [_record(diagnostic, root) for diagnostic in shown],
    }
    return visible_json(json.dumps(document, ensure_ascii=False, indent=2)) + "\n"


def github(diagnostics: Sequence[Diagnostic], *, root: Path | None = None) -> str:
    """Workflow commands that GitHub shows as annotations beside the changed lines."""
    shown = _shown(diagnostics)
    lines = [_annotation(diagnostic, root) for diagnostic in shown]
    if len(shown) < len(diagnostics):
        told = counted(diagnostics) + _shortened(diagnostics, shown)
        lines.append(workflow_command("notice", told, {"title": "evalc"}))
    return "".join(line + "\n" for line in lines)


def counted(diagnostics: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`."""
    errors = sum(d.severity == "error" for d in diagnostics)
    parts = [(errors, "error"), (len(diagnostics) - errors, "warning")]
    return ", ".join(f"{n} {form(n, word)}" for n, word in parts if n)


def _shown(diagnostics: Sequence[Diagnostic]) -> Sequence[Diagnostic]:
    """Those that are shown, in their order."""
    if len(diagnostics) <= MOST_SHOWN:
        return diagnostics
    errors = [d for d in diagnostics if d.severity == "error"][:MOST_SHOWN]
    warnings = [d for d in diagnostics if d.severity != "error"][: MOST_SHOWN - len(errors)]
    kept = {id(diagnostic) for diagnostic in (*errors, *warnings)}
    return [diagnostic for diagnostic in diagnostics if id(diagnostic) in kept]


def _shortened(diagnostics: Sequence[Diagnostic], shown: Sequence[Diagnostic]) -> str:
    return f"; {len(shown)} of them are shown" if len(shown) < len(diagnostics) else ""


Painter = Callable[[str, str], str]


def _painter(color: bool) -> Painter:
    if color:
        return lambda style, text: f"{STYLES[style]}{text}{RESET}"
    return lambda style, text: text


def _block(diagnostic: Diagnostic, root: Path | None, paint: Painter) -> str:
    head = paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    lines = [f"{head}{paint('bold', ': ' + visible(diagnostic.message))}"]
    places: list[tuple[Location, str, str]] = []
    if diagnostic.place:
        places.append((located(diagnostic.place), diagnostic.severity, ""))
    places += [(located(place), "rule", visible(label)) for place, label in diagnostic.related]
    shown = [excerpt.line for at, _, _ in places for excerpt in at.excerpts]
    margin = " " * len(str(max(shown, default=0)))
    for at, style, label in places:
        lines.append(f"{margin}{paint('rule', '-->' if not label else ':::')} {_at(at, root)}")
        lines += _source(at.excerpts, margin, style, label, paint)
    for note in diagnostic.notes:
        lines.append(_remark(margin, "note", "bold", note, paint))
    if diagnostic.hint:
        lines.append(_remark(margin, "hint", "hint", diagnostic.hint, paint))
    return "\n".join(lines)


def _remark(margin: str, word: str, style: str, text: str, paint: Painter) -> str:
    indent = "\n" + margin + " " * 9
    told = visible_lines(text).expandtabs(TAB).replace("\n", indent)
    return f"{margin} {paint('rule', '=')} {paint(style, word)}: {told}"


def _source(
    excerpts: Sequence[Excerpt], margin: str, style: str, label: str, paint: Painter
) -> list[str]:
    if not excerpts:
        return [f"{margin} {paint('rule', '=')} {label}"] if label else []
    bar = paint("rule", "|")
    lines = [f"{margin} {bar}"]
    for position, excerpt in enumerate(excerpts[:MAX_LINES]):
        number = paint("rule", f"{excerpt.line:>{len(margin)}}")
        lines.append(f"{number} {bar} {excerpt.text}".rstrip())
        last = position + 1 == len(excerpts[:MAX_LINES])
        under = _underline(excerpt, single=len(excerpts) == 1)
        mark = paint(style, under.lstrip()) if under else ""
        words = f" {label}" if label and last else ""
        if mark or words:
            lines.append(f"{margin} {bar} {' ' * (len(under) - len(under.lstrip()))}{mark}{words}")
    if len(excerpts) > MAX_LINES:
        lines.append(f"{margin} {bar} ... {len(excerpts) - MAX_LINES} more lines")
    return lines


def _underline(excerpt: Excerpt, single: bool) -> str:
    """Carets under the covered cells; one caret for an empty span; none for a whole line."""
    if excerpt.start == excerpt.end:
        return " " * excerpt.start + "^" if single and excerpt.start else ""
    return " " * excerpt.start + "^" * (excerpt.end - excerpt.start)


def named(path: Path, root: Path | None) -> str:
    """A path for people: relative to `root` where it lies below it."""
    if root is not None:
        try:
            return path.resolve().relative_to(root.resolve()).as_posix()
        except ValueError:
            return path.as_posix()
    return path.as_posix()


def _at(at: Location, root: Path | None) -> str:
    name = visible(named(at.path, root))
    if at.line is None:
        return name
    return f"{name}:{at.line}" if at.column is None else f"{name}:{at.line}:{at.column}"


def _spot(place: Place, root: Path | None) -> dict[str, Any]:
    at = located(place)
    return {
        "file": named(at.path, root),
        "line": at.line,
        "column": at.column,
        "end_line": at.end_line,
        "end_column": at.end_column,
        "span": [place.span.start, place.span.end] if place.span else None,
    }


def _record(diagnostic: Diagnostic, root: Path | None) -> dict[str, Any]:
    related = [{**_spot(place, root), "message": label} for place, label in diagnostic.related]
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "place": _spot(diagnostic.place, root) if diagnostic.place else None,
        "notes": list(diagnostic.notes),
        "hint": diagnostic.hint,
        "related": related,
    }


def _annotation(diagnostic: Diagnostic, root: Path | None) -> str:
    properties: dict[str, Any] = {}
    if diagnostic.place and diagnostic.place.text is None:
        at = located(diagnostic.place)
        properties = {"file": named(at.path, root), "line": at.line, "col": at.column}
        properties |= {"endLine": at.end_line}
        if at.end_line == at.line and at.end_column and at.column:
            properties |= {"endColumn": max(at.column, at.end_column - 1)}
    properties["title"] = f"evalc: {diagnostic.code}"
    parts = [diagnostic.message, *diagnostic.notes]
    if diagnostic.hint:
        parts.append(f"hint: {diagnostic.hint}")
    return workflow_command(diagnostic.severity, "\n".join(parts), properties)


def workflow_command(level: str, text: str, properties: Mapping[str, Any]) -> str:
    """A line that makes GitHub annotate: `::error file=...,line=...,title=...::text`.

    `level` is `error`, `warning` or `notice`; a property that is None is left out.
    """
    told = ",".join(f"{k}={_property(str(v))}" for k, v in properties.items() if v is not None)
    return f"::{level} {told}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return seen(text).expandtabs(TAB).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
