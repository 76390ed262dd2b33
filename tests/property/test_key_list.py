"""docs/architecture.md says what is in which key; the files beside this one edit each of its lines.

A line without an edit, or an edit without a line, fails.
"""

from __future__ import annotations

from pathlib import Path

from test_in_no_key import NOTHING
from test_keys_of_models import ENGINE, MODEL
from test_keys_of_requests import REQUEST
from test_keys_of_scores import SCORE

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


def listed() -> tuple[set[tuple[str, str]], set[str]]:
    """The lines of the table, as (key, what), and those of the list of what is in no key."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("### What is in which key")[2]
    table, _, rest = text.partition("\nIn no key:\n")
    rows = [line.strip("| ").split(" | ", 1) for line in table.splitlines() if line[:2] == "| "]
    lines = rest.partition("\n\nWhat acts")[0].splitlines()
    return (
        {(key.strip("`"), what) for key, what in rows if key != "key"},
        {line.removeprefix("- ") for line in lines if line.startswith("- ")},
    )


def test_every_line_of_the_list_has_its_edit_and_no_edit_is_without_a_line() -> None:
    table, nothing = listed()
    groups = {"model_id": MODEL, "engine_id": ENGINE, "request": REQUEST, "score": SCORE}
    assert table == {(key, line) for key, lines in groups.items() for line in lines}
    assert nothing == set(NOTHING)
