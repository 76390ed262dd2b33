"""Small sealed JSON files beside the store, of what can be worked out again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from evalc import _core


def read_memo(path: Path, schema: str) -> dict[str, Any] | None:
    """The fields of a file; None where there is none, it is damaged or of another schema."""
    try:
        content = _core.unseal_values([path.read_bytes()])[0]
    except OSError:
        return None
    if content is None:
        return None
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return None
    sound = isinstance(fields, dict) and fields.pop("schema", None) == schema
    return fields if sound else None


def write_memo(path: Path, schema: str, fields: dict[str, Any]) -> None:
    """Write a file whole or not at all; a folder that cannot be written is no error."""
    sealed = _core.seal_values([json.dumps({"schema": schema, **fields}).encode()])[0]
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(sealed)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
