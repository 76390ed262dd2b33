"""A diff for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evalc.diagnostics.amounts import many
from evalc.report import words
from evalc.report.compare import ComparisonEntry, FlipEntry
from evalc.report.diff import Diff
from evalc.report.marks import COMMENT, Body, cell

MOST_LINES = 20
_HEADER = ("A", "B", "B - A", "stderr", "95 % interval", "p", "fixed", "broken", "cases")


def diff_json(diff: Diff) -> str:
    """The diff as JSON text with all flips, ending in a newline."""
    return json.dumps(diff, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def diff_view(diff: Diff, *, limit: int = 10) -> RenderableType:
    """One line per comparison, then up to `limit` changed cases of each."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("task", "metric"):
        view.add_column(name, no_wrap=True)
    for name in _HEADER:
        view.add_column(name, justify="right", no_wrap=True)
    for entry in diff["comparisons"]:
        style = "" if entry["complete"] else "yellow"
        row = (entry["task"], entry["metric"], *_numbers(entry))
        view.add_row(*(Text(text, style=style) for text in row))
    parts: list[RenderableType] = [
        *(Text.assemble(("incomplete ", "bold yellow"), line) for line in _warnings(diff)),
        Text(_title(diff)),
        view,
        *(Text(line, style="dim") for line in _notes(diff)),
    ]
    if limit:
        parts += [_flips(entry, limit) for entry in diff["comparisons"] if entry["flips"]]
    return Group(*parts)


def diff_markdown(diff: Diff, *, limit: int = 10) -> str:
    """The same as Markdown, changed cases folded away; ends in a newline.

    It fits into a comment; what has no room is left out, and said.
    """
    rows = [
        [cell(entry["task"]), cell(entry["metric"]), *map(_no_mark_up, _numbers(entry))]
        for entry in diff["comparisons"]
    ]
    body = Body(COMMENT)
    body.add(f"## evalc diff\n\n{cell(_title(diff))}", "heading")
    alerts = [f"> - Incomplete: {cell(alert)}" for alert in _warnings(diff)]
    body.lines(alerts, "warnings", MOST_LINES, head="> [!WARNING]")
    body.table(["task", "metric", *_HEADER], rows, 2, "rows of comparisons")
    for entry in diff["comparisons"]:
        listed = [[cell(text) for text in _flip(flip)] for flip in entry["flips"][:limit]]
        header = ["case", "A", "B", "answer A", "answer B", "target"]
        if listed:
            body.table(header, listed, 6, "cases", _flips_title(entry, limit))
    body.lines([f"- {cell(note)}" for note in _notes(diff)], "notes", MOST_LINES)
    return body.text()


def _no_mark_up(text: str) -> str:
    return text.replace("<", "\\<")


def _title(diff: Diff) -> str:
    return f"A = {diff['a']}, B = {diff['b']}"


def _numbers(entry: ComparisonEntry) -> list[str]:
    return [
        words.number(entry["a"]),
        words.number(entry["b"]),
        words.signed(entry["delta"]),
        words.number(entry["stderr"]),
        words.signed_interval(entry["low"], entry["high"]),
        words.probability(entry["p"]),
        words.NOTHING if entry["fixed"] is None else f"{entry['fixed']:,}",
        words.NOTHING if entry["broken"] is None else f"{entry['broken']:,}",
        _coverage(entry),
    ]


def _coverage(entry: ComparisonEntry) -> str:
    whole = entry["n"] == entry["wanted"]
    return f"{entry['n']:,}" if whole else f"{entry['n']:,}/{entry['wanted']:,}"


def _warnings(diff: Diff) -> list[str]:
    found = []
    for entry in diff["comparisons"]:
        neither = entry["wanted"] - entry["n"] - entry["only_a"] - entry["only_b"]
        counts = ((entry["only_a"], "only in A"), (entry["only_b"], "only in B"))
        why = [f"{n:,} scored {where}" for n, where in (*counts, (neither, "in neither")) if n]
        if why:
            found.append(
                f"{entry['task']} {entry['metric']}: compared on {entry['n']:,} of "
                f"{many(entry['wanted'], 'case')} ({', '.join(why)})"
            )
    return found


def _notes(diff: Diff) -> list[str]:
    notes = []
    for side, unmatched in (("A", diff["unmatched_a"]), ("B", diff["unmatched_b"])):
        notes += [f"only in {side}: {name}" for name in unmatched]
    for side, told in (("A", diff["caveats_a"]), ("B", diff["caveats_b"])):
        notes += [f"note on {side}: {line}" for line in told]
    return notes


def _flips_title(entry: ComparisonEntry, limit: int) -> str:
    listed = min(limit, entry["changed"])
    pair = (
        f" ({entry['model_a']} and {entry['model_b']})"
        if entry["model_a"] != entry["model_b"]
        else f" ({entry['model_a']})"
    )
    return f"{entry['task']}{pair}: {listed:,} of {entry['changed']:,} changed by {entry['metric']}"


def _flip(flip: FlipEntry) -> tuple[str, ...]:
    return (
        flip["id"],
        words.number(flip["a"]),
        words.number(flip["b"]),
        flip["answer_a"],
        flip["answer_b"],
        words.one_line(flip["target"]),
    )


def _flips(entry: ComparisonEntry, limit: int) -> RenderableType:
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("case", "A", "B"):
        view.add_column(name, no_wrap=True)
    for name in ("answer A", "answer B", "target"):
        view.add_column(name, overflow="ellipsis", no_wrap=True)
    for flip in entry["flips"][:limit]:
        view.add_row(*(Text(text) for text in _flip(flip)))
    return Group(Text(), Text(_flips_title(entry, limit), style="bold"), view)
