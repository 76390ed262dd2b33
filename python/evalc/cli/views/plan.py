"""A priced plan as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from evalc.cli.views.reasons import merged_reasons
from evalc.diagnostics.amounts import many

COLUMNS = (
    "cases",
    "requests",
    "deduped",
    "cached",
    "to run",
    "prefill",
    "unshared",
    "decode ≤",
    "time ≤",
    "USD ≤",
)
SHOWN_TASKS = 3


def plan_table(priced: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The table, then remarks on what its numbers rest on."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    table.add_column("task")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for cell in priced["cells"]:
        table.add_row(cell["model"], cell["task"], *_row(cell))
    table.add_section()
    table.add_row("total", "", *_row(priced["total"]), style="bold")
    yield table
    yield ""
    yield from _remarks(priced)


def _row(counts: Mapping[str, Any]) -> list[str]:
    estimate = counts["estimate"]
    about = "~" if estimate["basis"] == "guess" and estimate["seconds"] else ""
    usd = "-" if estimate["usd"] is None else f"{about}{estimate['usd']:.4f}"
    return [
        *(f"{counts[key]:,}" for key in ("cases", "requests", "deduped", "cached", "to_run")),
        count(counts["prefill_tokens"]),
        count(counts["prefill_tokens_unshared"]),
        count(counts["decode_tokens_bound"]),
        about + duration(estimate["seconds"]),
        usd,
    ]


def _remarks(priced: Mapping[str, Any]) -> Iterator[str]:
    total = priced["total"]
    for model in priced["models"]:
        # a plan pinned by an earlier version does not name it
        adapted = f" with {model['adapted']}" if model.get("adapted") else ""
        yield f"{model['name']}: {model['dtype']} on {model['device']}, {model['path']}{adapted}"
    if priced["hooks"]:
        yield f"runs your own functions: {', '.join(priced['hooks'])}"
    if priced["nothing_to_run"]:
        yield "nothing to run: every answer is in the cache"
        yield from dict.fromkeys(_warnings(priced))
        return
    yield f"tier {priced['tier']}; {total['estimate']['flops'] / 1e12:,.2f} TFLOP remain"
    # a plan pinned by an earlier version does not have it
    if setup := total.get("setup_seconds"):
        yield f"the total holds {duration(setup)} for loading and checking models"
    if total["estimate"]["basis"] == "guess":
        yield "~ marks a guess: this model has not run on this hardware yet"
    yield from _decisions(priced)
    for words, cases, tasks in merged_reasons(priced["cells"]):
        shown = ", ".join(tasks[:SHOWN_TASKS])
        more = f" and {len(tasks) - SHOWN_TASKS} more" if len(tasks) > SHOWN_TASKS else ""
        yield f"why {many(cases, 'case')}: {words}: {shown}{more}"
    # a task says the same of every model with one tokenizer
    yield from dict.fromkeys(_warnings(priced))


def _warnings(priced: Mapping[str, Any]) -> Iterator[str]:
    """What the scores will have to be read with."""
    for cell in priced["cells"]:
        if cell["split_words"]:
            yield (
                f"warning: {cell['task']}: in {many(cell['split_words'], 'case')} the "
                "continuation starts inside a token, so that its first letters are counted as the "
                f"prompt's and not scored{_split(cell)}; end the prompt where a word ends, or "
                "begin `delimiter` with a space"
            )
        if cell.get("forged"):
            yield _forged(cell)
        if cell["truncated"]:
            cut = many(cell["truncated"], "context")
            verb = "was" if cell["truncated"] == 1 else "were"
            yield f"warning: {cell['task']}: {cut} {verb} cut at the left"
        # a plan pinned by an earlier version does not have it
        if unsure := cell.get("unsure_targets"):
            yield (
                f"warning: {cell['task']}: the target of {many(unsure, 'case')} is the text of "
                "one choice and the index of another, and is read as the text; write `| int` for "
                "the index, or `choices.index(...)` for the text"
            )
        if unsure := cell.get("unsure_indices"):
            yield (
                f"warning: {cell['task']}: the target of {many(unsure, 'case')} is the index of "
                "one choice and says what another does, and is read as the index; write `| int` "
                "for the index, or an expression for the choice that is meant"
            )


def _split(cell: Mapping[str, Any]) -> str:
    """Where the first of them does; a plan pinned by an earlier version does not have it."""
    if cell.get("split_first") is None:
        return ""
    identity, line, before, after = cell["split_first"]
    return f": `{before}` goes on with `{after}` in row `{identity}` on line {line}"


def _forged(cell: Mapping[str, Any]) -> str:
    first = ""
    if cell.get("forged_first") is not None:
        identity, line, token = cell["forged_first"]
        first = f"the first is `{token}` in row `{identity}` on line {line}; "
    rows = "1 row spells" if cell["forged"] == 1 else f"{cell['forged']:,} rows spell"
    return (
        f"warning: {cell['task']}: {rows} control tokens, which are asked as ordinary text: "
        f"{first}a column of rendered chat is named in `control_tokens` of its dataset"
    )


def _decisions(priced: Mapping[str, Any]) -> Iterator[str]:
    """What gates are expected to need; a plan pinned by an earlier version says nothing of it."""
    found = priced.get("decisions", [])
    for entry in found:
        share = f"{entry['cases']:,} of {many(entry['total'], 'case')}"
        yield (
            f"gate {entry['gate']} ({entry['model']}, {entry['key']}): decided after about {share} "
            f"if {entry['assumes']}"
        )
        if entry["why"]:
            yield f"warning: gate {entry['gate']}: {entry['why']}"
    expected = priced["total"].get("expected")
    if expected and expected["early"]:
        usd = "" if expected["usd"] is None else f", {expected['usd']:.4f} USD"
        whole = duration(priced["total"]["estimate"]["seconds"])
        about = duration(expected["seconds"])
        yield f"ends when its gates are decided: about {about}{usd}, not {whole}"
    elif found:
        yield 'a tier with `stop = "decided"` asks no more than its gates need'


def count(number: float) -> str:
    """A count in at most five characters or so: 512, 23.4k, 1.20M."""
    for limit, divisor, suffix in ((10_000, 1, ""), (10_000_000, 1e3, "k"), (1e10, 1e6, "M")):
        if number < limit:
            return f"{number / divisor:,.{0 if divisor == 1 else 1}f}{suffix}"
    return f"{number / 1e9:,.1f}G"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds else "0"
    if seconds < 3600:
        return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"
    return f"{int(seconds // 3600)}h{int(seconds % 3600 // 60):02d}m"
