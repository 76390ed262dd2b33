"""The example workflows and the pages about them cannot rot: every command line in them parses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from evalc.cli.app import evalc

DOCS = Path(__file__).resolve().parents[2] / "docs"
WORKFLOWS = ("ci/github-workflow.yml", "ci/gitlab-ci.yml")
SHELL = ("run", "script", "before_script", "after_script")
ENDS = (";", "|", "||", "&&", ">", "2>", "fi")


def commands(text: str) -> Iterator[list[str]]:
    """Arguments of every `evalc` in lines of a shell."""
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for at, word in enumerate(words):
            starts = at == 0 or words[at - 1] in (*ENDS, "then", "$")
            if word == "evalc" and starts:
                rest = words[at + 1 :]
                end = next((n for n, word in enumerate(rest) if word in ENDS), len(rest))
                yield rest[:end]


def check(arguments: list[str]) -> None:
    """Parse a command line down to the command; a fault is a `click.UsageError`."""
    context: click.Context = click.Context(evalc, info_name="evalc")
    command: click.Command = evalc
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        assert name is not None
        if isinstance(found, click.Group):
            context = click.Context(found, info_name=name, parent=context)
        else:
            found.make_context(name, list(arguments), parent=context)
        command = found


def loaded(name: str) -> Any:
    return yaml.safe_load((DOCS / name).read_text(encoding="utf-8"))


def scripts(value: Any, key: str = "") -> Iterator[str]:
    """Every text that a runner hands to a shell."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from scripts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from scripts(inner, key)
    elif key in SHELL:
        yield value


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_command_of_a_workflow_is_one_that_evalc_takes(name: str) -> None:
    found = [words for text in scripts(loaded(name)) for words in commands(text)]
    assert {words[0] for words in found} >= {"exec", "cache"}
    for words in found:
        check(words)


def test_every_command_of_the_page_is_one_that_evalc_takes() -> None:
    text = (DOCS / "ci.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?m)^(?: {4}\S.*\n)+", text)
    found = [words for block in blocks for words in commands(block)]
    assert len(found) >= 5
    for words in found:
        check(words)


def test_a_command_that_evalc_does_not_take_is_found() -> None:
    (words,) = commands('if true; then evalc exec specs --no-such "$X" > out; fi')
    assert words == ["exec", "specs", "--no-such", "$X"]
    with pytest.raises(click.UsageError, match="no-such"):
        check(words)


def test_the_workflow_fetches_the_history_that_since_needs() -> None:
    steps = loaded("ci/github-workflow.yml")["jobs"]["evaluate"]["steps"]
    checkout = next(step for step in steps if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["fetch-depth"] == 0
    assert loaded("ci/gitlab-ci.yml")[".evaluate"]["variables"]["GIT_DEPTH"] == "0"


def test_the_workflow_records_what_pull_requests_are_compared_with() -> None:
    steps = loaded("ci/github-workflow.yml")["jobs"]["evaluate"]["steps"]
    recording = [step for step in steps if "--record main" in step.get("run", "")]
    assert [step["if"] for step in recording] == ["github.event_name == 'push'"]


def test_no_expression_is_put_into_a_shell() -> None:
    for step in loaded("ci/github-workflow.yml")["jobs"]["evaluate"]["steps"]:
        assert "${{" not in step.get("run", "")
