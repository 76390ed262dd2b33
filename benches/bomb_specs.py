"""What a bomb is, and specs with something put in."""

from __future__ import annotations

from dataclasses import dataclass

SPEC = """evalc = 1
[datasets.d]
path = "{path}"
{dataset}
[tasks.t]
dataset = "d"
type = "generate"
prompt = {prompt}
target = "x"
metrics = [{metrics}]
{task}
[tiers.small]
cases = 1
{rest}
"""


@dataclass(frozen=True)
class Bomb:
    """A template over a row, a folder with a spec that is checked, or a call of a function.

    With `model` the folder is planned for a tiny one. `fine` may also succeed.
    """

    name: str
    template: str | None = None
    row: str = '{"q": "What is it?"}'
    chat: bool = False
    spec: str | None = None
    call: str | None = None
    files: tuple[tuple[str, bytes], ...] = ()
    model: bool = False
    fine: bool = False


def spec(  # noqa: PLR0917
    path: str = "d.jsonl",
    dataset: str = "",
    prompt: str = "'{{ q }}'",
    metrics: str = '"exact_match"',
    task: str = "",
    rest: str = "",
) -> str:
    """A spec of one task with something put in."""
    return SPEC.format(
        path=path, dataset=dataset, prompt=prompt, metrics=metrics, task=task, rest=rest
    )


def deep(depth: int, *, key: str = "a") -> str:
    return '{"q": ' + f'{{"{key}": ' * depth + "1" + "}" * depth + "}"
