"""The shots that stand before a task's prompts, read back from cases that the planner wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalc import _core
from evalc.plan.planned import Planned

MARK = "\u2063evalc\u2063"
"""A text that no chat template holds, put where the user's words go."""


def rendered_shots(
    planned: Planned, cell: int, model: Mapping[str, Any], task: Mapping[str, Any], own: bool
) -> str | None:
    """Text between the description and the prompt; None where no one text can be told.

    Shots that are drawn from the cases' own table differ in the few cases that are shots
    themselves, so with `own` the text that most of 2k + 3 cases share is taken. Shots drawn anew
    for each case are never one text.
    """
    fewshot = task["fewshot"]
    if fewshot["select"] == "per_case":
        return None
    shell = _shell(model) if model["chat"] else ("", "")
    if shell is None:
        return None
    wanted = 2 * fewshot["k"] + 3 if own else 1
    count = min(wanted, int(planned.summary["cells"][cell]["cases"]))
    texts: Counter[str] = Counter()
    for case in range(count):
        text = _between(planned.case(cell, case), task, shell)
        if text is None:
            return None
        texts[text] += 1
    return texts.most_common(1)[0][0] if texts else None


def _shell(model: Mapping[str, Any]) -> tuple[str, str] | None:
    """What a model's chat template puts before and behind the words of a user."""
    bundle = json.loads(Path(model["bundle"]).read_bytes())
    messages = [("user", MARK)]
    if model["system"] is not None:
        messages.insert(0, ("system", model["system"]))
    try:
        text = _core.render_chat(
            bundle["chat_template"], bundle["special_tokens"], model["date"], messages, True
        )
    except ValueError:
        return None
    before, found, behind = text.partition(MARK)
    return (before, behind) if found else None


def _between(
    case: Mapping[str, Any], task: Mapping[str, Any], shell: tuple[str, str]
) -> str | None:
    prompt = _core.render_template(task["prompt"], json.dumps(case["row"], ensure_ascii=False))
    description: str = task["description"]
    words: str = case["prompt"].removeprefix(shell[0]).removesuffix(shell[1])
    if shell != ("", ""):
        # chat templates often strip what a user says
        words, description, prompt = words.strip(), description.lstrip(), prompt.rstrip()
    if not words.startswith(description) or not words.endswith(prompt):
        return None
    return words[len(description) : len(words) - len(prompt)]
