"""The kinds of text a spec holds, each checked where it stands.

A check raises `PydanticCustomError` whose type is a diagnostic code and whose context may hold
`span` (a byte range inside the decoded text) and `hint`. `evalc.spec.wording` turns it into a
diagnostic with a place.
"""

from __future__ import annotations

import datetime
import functools
import re
import warnings
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from evalc import _core

HOOK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
NAME = re.compile(r"\w[\w.+-]*")
ROWS = re.compile(r"([0-9]*):([0-9]*)")
MOST_ROWS = 2**32 - 1
MEMORY = re.compile(r"[1-9][0-9]{0,5}[KMGT]")
LEAST_MEMORY = 32 << 20
HUB = re.compile(r"hf:[^/@\s]+/[^/@\s]+(/[^@\s]+)?(@[^@\s]+)?")


def fault(code: str, message: str, **context: Any) -> PydanticCustomError:
    """An error that pydantic collects, with `message` kept apart from its own templates."""
    return PydanticCustomError(code, "{message}", {"message": message, **context})


def as_template(text: str) -> str:
    """Check that `text` parses as a minijinja template."""
    found = _core.template_fault(text)
    if found is None:
        return text
    message = f"the template does not parse: {found['message'].removeprefix('template syntax: ')}"
    raise fault("template-syntax", message, span=found["span"])


@functools.lru_cache(maxsize=4096)
def compiled(text: str) -> tuple[re.Pattern[str], str | None]:
    """A compiled pattern, and what Python warns of in it, which it would print to stderr.

    Raises what `re.compile` does.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pattern = re.compile(text)
    return pattern, str(told[0].message) if told else None


def as_regex(text: str) -> str:
    """Check that `text` compiles as a Python regular expression."""
    try:
        compiled(text)
    except re.error as error:
        at = error.pos if error.pos is not None else 0
        start = len(text[:at].encode())
        end = len(text[: at + 1].encode())
        message = f"the regular expression does not compile: {error.msg}"
        raise fault("bad-regex", message, span=(start, end)) from None
    except (RecursionError, OverflowError):
        message = "the regular expression is nested too deeply, or repeats too often"
        raise fault("bad-regex", message) from None
    return text


def as_hook(text: str) -> str:
    """Check that `text` names a Python function as `package.module:function`."""
    if HOOK.fullmatch(text):
        return text
    hint = f"write it as `{as_function(text) or 'package.module:function'}`"
    raise fault("bad-hook", f"`{text}` does not name a Python function", hint=hint)


def as_function(text: str) -> str | None:
    """How a function is written that `text` names with dots alone, or by its file; else None."""
    named = re.sub(r"\.py(?=:|::|$)", "", text).replace("::", ":").replace("/", ".").lstrip(".")
    if ":" not in named:
        module, _, function = named.rpartition(".")
        named = f"{module}:{function}" if text == named else ""
    return named if HOOK.fullmatch(named) else None


def row_range(text: str) -> tuple[int, int | None]:
    """`start:stop` as numbers; an absent start is 0, an absent stop is None (to the end)."""
    match = ROWS.fullmatch(text)
    if match is None:
        hint = "write `start:stop`, such as `0:200`, `100:` or `:50`"
        raise fault("bad-rows", f"`{text}` is not a range of rows", hint=hint)
    if any(len(number) > 10 or int(number or 0) > MOST_ROWS for number in match.groups()):
        hint = f"a file has at most {MOST_ROWS} rows"
        raise fault("bad-rows", f"the range of rows `{text[:40]}` is too large", hint=hint)
    start = int(match[1] or 0)
    stop = int(match[2]) if match[2] else None
    if stop is not None and stop <= start:
        hint = "let the stop be larger than the start; it is not included"
        raise fault("bad-rows", f"the range of rows `{text}` is empty", hint=hint)
    return start, stop


def as_rows(text: str) -> str:
    """Check a `rows` slice; see `row_range`."""
    row_range(text)
    return text


def bytes_of(text: str) -> int:
    """An amount of memory, `512M` or `4G`, in bytes."""
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30, "T": 40}[text[-1]]


def as_memory(text: str) -> str:
    """Check an amount of memory; see `bytes_of`."""
    if not MEMORY.fullmatch(text):
        hint = "write a whole number and a unit, such as `512M` or `4G`"
        raise fault("wrong-value", f"`{text}` is no amount of memory", hint=hint)
    if bytes_of(text) < LEAST_MEMORY:
        hint = f"give at least `{LEAST_MEMORY >> 20}M`"
        raise fault("wrong-value", f"`{text}` is too little for a Python process", hint=hint)
    return text


def as_quote(text: str) -> str:
    """Raise unless it is nothing, or a character that can enclose fields."""
    if len(text) > 1 or not text.isascii() or text.isalnum() or (text in "\t\r\n, \\" and text):
        raise fault("wrong-value", "encloses no fields", hint='write `"\\""`, `"\'"` or `""`')
    return text


def as_location(text: str) -> str:
    """Check a path: any local path, or a Hub name after `hf:`."""
    if not text:
        raise fault("wrong-value", "the path is empty", hint="name a file, folder or `hf:org/name`")
    if len(text.encode()) > 4000 or any(len(part.encode()) > 255 for part in text.split("/")):
        hint = "no file system holds a name of more than 255 bytes"
        raise fault("wrong-value", f"the path `{text[:40]}...` is too long", hint=hint)
    if text.startswith("hf:") and not HUB.fullmatch(text):
        hint = "write `hf:org/name@revision`, for a dataset `hf:org/name/config/split@revision`"
        raise fault("bad-hub-path", f"`{text}` does not name anything on the Hub", hint=hint)
    return text


def as_date(value: Any) -> Any:
    """A TOML date or the text of one becomes `YYYY-MM-DD`."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value).isoformat()
        except ValueError:
            raise fault(
                "wrong-value", f"`{value}` is not a date", hint="write it as `2026-01-31`"
            ) from None
    return value


def shape(wanted: str, **tags: type) -> Discriminator:
    """Choose a union's member by the TOML type of the value; `wanted` words the error.

    The tag of a member is `<name>`; the angle brackets keep it apart from keys in a location.
    """

    def chosen(value: Any) -> str | None:
        for tag, kind in tags.items():
            if isinstance(value, kind) and not isinstance(value, bool):
                return f"<{tag}>"
        return None

    return Discriminator(chosen, custom_error_type="wrong-shape", custom_error_message=wanted)


def one_or_named(wanted: str) -> Discriminator:
    """Choose `<named>` for a table of tables, `<single>` for any other table."""

    def chosen(value: Any) -> str | None:
        if isinstance(value, dict):
            tables = bool(value) and all(isinstance(v, dict) for v in value.values())
            return "<named>" if tables else "<single>"
        return "<single>" if isinstance(value, BaseModel) else None

    return Discriminator(chosen, custom_error_type="wrong-shape", custom_error_message=wanted)


Template = Annotated[str, AfterValidator(as_template)]
Regex = Annotated[str, AfterValidator(as_regex), Field(json_schema_extra={"format": "regex"})]
Hook = Annotated[str, AfterValidator(as_hook), Field(json_schema_extra={"pattern": HOOK.pattern})]
Rows = Annotated[str, AfterValidator(as_rows), Field(json_schema_extra={"pattern": ROWS.pattern})]
Memory = Annotated[
    str, AfterValidator(as_memory), Field(json_schema_extra={"pattern": MEMORY.pattern})
]
Quote = Annotated[str, AfterValidator(as_quote), Field(json_schema_extra={"maxLength": 1})]
Location = Annotated[str, AfterValidator(as_location)]
Date = Annotated[str, BeforeValidator(as_date), Field(json_schema_extra={"format": "date"})]
Text = Annotated[str, Field(min_length=1)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]

Choices = Annotated[
    Annotated[Template, Tag("<text>")]
    | Annotated[list[Template], Field(min_length=1), Tag("<list>")],
    shape("a template or a list of templates", text=str, list=list),
]
Index = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), Tag("<number>")]
Label = Annotated[
    Annotated[Template, Tag("<text>")] | Index,
    shape("a text or a whole number", text=str, number=int),
]
Target = Annotated[
    Annotated[Template, Tag("<text>")]
    | Index
    | Annotated[list[Label], Field(min_length=1), Tag("<list>")],
    shape("a template, a whole number or a list of them", text=str, number=int, list=list),
]
