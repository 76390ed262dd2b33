"""How a task's answers are scored, as plain values: what the spec says, resolved."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Extract:
    """How the answer is found in a generated text, and how answer and target are normalised.

    `take` picks among the matches of `regex`: "first", "last" or an index (negative from the end).
    `group` names the group that is the answer; None means the reference harness's rule: the whole
    match without groups, the group when there is one, else the first group that is not empty.
    `otherwise` is tried, with the same `take` and the default group, when `regex` finds nothing.
    Without `regex` the whole text is the answer. `python` ("pkg.mod:function") replaces both.
    `strip`, `lower` and the `ignore` patterns (removed) apply to the answer and to the target.
    """

    regex: str | None = None
    take: str | int = "first"
    group: int | str | None = None
    otherwise: str | None = None
    strip: bool = True
    lower: bool = False
    ignore: tuple[str, ...] = ()
    python: str | None = None


@dataclass(frozen=True)
class CodeSettings:
    """How a completion becomes a Python program, and what that program may use.

    `program` is a template over the row's columns, `completion`, `prompt` and `target`. `timeout`
    is wall-clock seconds; `memory_mb` bounds the address space and `file_mb` a written file.
    """

    program: str = "{{ prompt }}{{ completion }}\n{{ target }}\n"
    timeout: float = 10.0
    memory_mb: int = 2048
    file_mb: int = 16


@dataclass(frozen=True)
class Scoring:
    """A task's scoring definition. `extracts` has "" as the name of the only unnamed one.

    `average` is "micro" or "macro:<slice>".
    """

    metrics: tuple[str, ...]
    extracts: dict[str, Extract] = field(default_factory=lambda: {"": Extract()})
    code: CodeSettings | None = None
    average: str = "micro"


def column_name(metric: str, extract: str) -> str:
    """The name of a metric under a named extract, as gates write it: `exact_match@strict`."""
    return f"{metric}@{extract}" if extract else metric
