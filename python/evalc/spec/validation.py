"""One table at a time: from TOML values to models, with as much kept of a faulty table as can be.

A table with faults is validated once more with stand-ins for what was refused, so that the checks
across tables still see the rest of it. `Findings.hush` keeps stand-ins out of what is reported.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from evalc.diagnostics.near import nearest
from evalc.spec.fields import NAME
from evalc.spec.findings import Findings
from evalc.spec.index import Loc, Step
from evalc.spec.models import Table
from evalc.spec.wording import clean, table_at, worded

T = TypeVar("T", bound=Table)
STAND_IN = "stand-in"


def validated(kind: type[T], loc: Loc, value: Any, findings: Findings) -> T | None:
    """The table at `loc` as a model, faults going to `findings`; None when nothing is left."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        findings.diagnostics.extend(worded(errors, loc, kind, findings.index))
    if not isinstance(value, dict):
        findings.hush(loc)
        return None
    return _mended(kind, loc, copy.deepcopy(value), errors, findings)


def _mended(
    kind: type[T], loc: Loc, value: dict[str, Any], errors: list[ErrorDetails], findings: Findings
) -> T | None:
    for error in errors:
        inner = clean(error["loc"])
        if error["type"] != "extra_forbidden":
            findings.hush(loc + inner)
        elif (meant := _meant(kind, inner)) is not None:
            findings.mean((*loc, *inner[:-1], meant))
        _mend(kind, value, error["type"], inner)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        broken = {clean(e["loc"])[0] for e in error.errors(include_url=False)}
    for key in broken:
        findings.hush((*loc, key))
        _mend(kind, value, "missing", (key,))
    try:
        return kind.model_validate(value)
    except ValidationError:
        findings.hush(loc)
        return None


def _meant(kind: type[Table], inner: Loc) -> str | None:
    """The key of its table that an unknown one was told to be."""
    owner = table_at(kind, inner[:-1])
    return nearest(str(inner[-1]), owner.model_fields) if owner else None


def _mend(kind: type[Table], value: Any, fault: str, inner: Loc) -> None:
    """Take out what was refused at `inner`, or put a stand-in there if the key is needed."""
    for step in inner[:-1]:
        value = _step(value, step)
    key = inner[-1]
    if not isinstance(value, dict):
        return
    owner = table_at(kind, inner[:-1])
    field = owner.model_fields.get(str(key)) if owner else None
    if fault != "extra_forbidden" and field is not None and field.is_required():
        value[str(key)] = _stand_in(field)
    else:
        value.pop(str(key), None)


def _step(value: Any, step: Step) -> Any:
    if isinstance(value, dict):
        return value.get(str(step))
    return value[step] if isinstance(value, list) and isinstance(step, int) else None


def _stand_in(field: FieldInfo) -> Any:
    """A value that a required field takes."""
    origin = get_origin(field.annotation)
    if origin is Literal:
        return get_args(field.annotation)[0]
    if origin is list:
        return [STAND_IN]
    return 1 if field.annotation is int else STAND_IN


def check_names(section: str, names: Iterable[str], findings: Findings) -> None:
    """Names are letters, digits, `_`, `-`, `.` and `+`, so that globs and reports can use them."""
    for name in names:
        if not NAME.fullmatch(name):
            hint = "use letters, digits, `_`, `-`, `.` and `+`"
            message = "has a forbidden character in its name"
            findings.add("bad-name", (section, name), message, hint, key=True)
