"""What a spec may say and hardly means: warnings of `check`, `plan` and `exec`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from evalc.diagnostics import Diagnostic
from evalc.spec.fields import compiled
from evalc.spec.folder import Folder
from evalc.spec.index import Loc
from evalc.spec.models import ExtractSpec, TaskSpec
from evalc.spec.wording import dotted

CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
"""In expressions of a template `\\n` is a line feed whatever the quotes around the template are."""
ESCAPE = re.compile(r"\\[nt](?![a-z])")
"""Not the beginning of a word, as in LaTeX's `\\neq`; such words are what prompts have."""
PLAIN_ESCAPE = re.compile(r"\\[nt]")


def doubts(folder: Folder, tasks: Iterable[str] | None = None) -> list[Diagnostic]:
    """Warnings of these tasks, or of all, in the order of the spec."""
    wanted = folder.spec.tasks if tasks is None else set(tasks)
    found = []
    for name, task in folder.spec.tasks.items():
        if name in wanted:
            found += [*_literal(folder, name, task), *_constant(folder, name, task)]
            found += [*_joined(folder, name, task), *_patterns(folder, name, task)]
    return found


def _literal(folder: Folder, name: str, task: TaskSpec) -> Iterator[Diagnostic]:
    for loc, text, pattern in _texts(("tasks", name), task):
        escape = pattern.search(CODE.sub("", text))
        if escape is None or not _quoted_once(folder, loc):
            continue
        message = (
            f"`{dotted(loc)}` holds a backslash and the letter `{escape[0][1]}`, as it is "
            "written in single quotes"
        )
        hint = f"write it in double quotes, where `{escape[0]}` is {NAMES[escape[0][1]]}"
        yield _warning(folder, "literal-escape", loc, message, hint)


NAMES = {"n": "the end of a line", "t": "a tab"}


def _texts(loc: Loc, task: TaskSpec) -> Iterator[tuple[Loc, str, re.Pattern[str]]]:
    for key in ("description", "prompt"):
        yield (*loc, key), getattr(task, key), ESCAPE
    yield (*loc, "delimiter"), task.delimiter, PLAIN_ESCAPE
    if isinstance(task.choices, list):
        yield from (((*loc, "choices", n), text, ESCAPE) for n, text in enumerate(task.choices))
    if task.fewshot is not None:
        yield (*loc, "fewshot", "template"), task.fewshot.template, ESCAPE
        yield (*loc, "fewshot", "separator"), task.fewshot.separator, PLAIN_ESCAPE
    if task.generate is not None:
        stops = enumerate(task.generate.stop)
        yield from (((*loc, "generate", "stop", n), text, PLAIN_ESCAPE) for n, text in stops)


def _quoted_once(folder: Folder, loc: Sequence[str | int]) -> bool:
    """Whether a text is written in single quotes, of one line or of many."""
    found = folder.index.entry(loc)
    if found is None or not found[1] or found[0].value is None:
        return False
    start = found[0].value[0]
    return found[0].source.text.encode(errors="surrogatepass")[start : start + 1] == b"'"


def _constant(folder: Folder, name: str, task: TaskSpec) -> Iterator[Diagnostic]:
    """Choices may be all that differs between cases; without any the prompt has to."""
    choices = [task.choices] if isinstance(task.choices, str) else task.choices or []
    if any(CODE.search(text) for text in (task.prompt, *choices)):
        return
    loc: Loc = ("tasks", name, "prompt")
    message = f"`{dotted(loc)}` has no placeholder, so that every case asks the same"
    hint = "name a column of the dataset in it, as in `{{ question }}`"
    yield _warning(folder, "constant-prompt", loc, message, hint)


def _joined(folder: Folder, name: str, task: TaskSpec) -> Iterator[Diagnostic]:
    shots = task.fewshot
    if shots is None or shots.k == 0 or shots.separator:
        return
    text = shots.template
    parts = CODE.findall(text)
    # what an expression writes may end a line too
    breaks = any("\\n" in part for part in parts) or text != text.strip()
    if breaks or not text:
        return
    loc: Loc = ("tasks", name, "fewshot", "template")
    message = f"`{dotted(loc)}` ends in no white space, so that one example runs into the next"
    hint = (
        'end it with `\\n` in double quotes, or set `separator = "\\n\\n"` and begin the prompt so'
    )
    yield _warning(folder, "joined-shots", loc, message, hint)


def _patterns(folder: Folder, name: str, task: TaskSpec) -> Iterator[Diagnostic]:
    """Regular expressions that Python warns of: a later one may read them otherwise."""
    named = not isinstance(task.extract, ExtractSpec)
    for way, extract in task.extractions.items():
        at: Loc = ("tasks", name, "extract", *([way] if named and way else []))
        ignored = [((*at, "ignore", n), text) for n, text in enumerate(extract.ignore)]
        for loc, text in [((*at, "regex"), extract.regex), ((*at, "otherwise"), extract.otherwise),
                          *ignored]:  # fmt: skip
            if text is not None and (said := compiled(text)[1]) is not None:
                yield _doubtful(folder, loc, text, said)


def _doubtful(folder: Folder, loc: Loc, text: str, said: str) -> Diagnostic:
    words, _, number = said.rpartition(" at position ")
    at = int(number) if words and number.isdecimal() else None
    what = (words if at is not None else said).lower()
    message = f"`{dotted(loc)}`: a later Python may read this regular expression otherwise: {what}"
    hint, span = None, None
    if at is not None and at < len(text):
        hint = f"write `\\{text[at]}` where the character itself is meant"
        span = (len(text[:at].encode()), len(text[: at + 1].encode()))
    place = folder.place(loc, span)
    return Diagnostic("doubtful-pattern", message, place, hint=hint, severity="warning")


def _warning(folder: Folder, code: str, loc: Loc, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code, message, folder.place(loc), hint=hint, severity="warning")
