"""Why cases remain, in words. Imports nothing of planning: a plan that is told again needs none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def merged_reasons(priced: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, list[str]]]:
    """Reasons of many cells put together for people: (words, cases, tasks), most cases first."""
    found: dict[str, tuple[int, list[str]]] = {}
    for cell in priced:
        for reason in cell.get("reasons", ()):
            count, tasks = found.get(words := _words(reason), (0, []))
            kept = tasks if cell["task"] in tasks else [*tasks, cell["task"]]
            found[words] = (count + reason["cases"], kept)
    merged = [(words, count, tasks) for words, (count, tasks) in found.items()]
    return sorted(merged, key=lambda entry: (-entry[1], entry[0]))


def _words(reason: Mapping[str, Any]) -> str:
    if not reason["changes"]:
        return f"{reason['reason']} ({reason['detail']})" if reason["detail"] else reason["reason"]
    return "; ".join(changed(change) for change in reason["changes"])


def changed(change: Mapping[str, Any]) -> str:
    """A change in words: `template (prompt) changed, 1f2e.. -> 9a8b..`."""
    key = f" ({change['key']})" if change["key"] else ""
    old, new = (change[side] or "none" for side in ("old", "new"))
    return f"{change['component']}{key} changed, {old} -> {new}"
