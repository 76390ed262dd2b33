"""The JSON Schema (draft 2020-12) of a spec file, for editors."""

from __future__ import annotations

import inspect
import json
from typing import Any

from evalc.spec.fields import HOOK, NAME
from evalc.spec.metrics import COUNTED, METRICS, is_counted
from evalc.spec.models import Spec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMED = ("paths", "models", "datasets", "tasks", "suites", "tiers", "gates")


def schema() -> dict[str, Any]:
    """The schema of one file; what files say about each other is for `evalc check`."""
    generated = Spec.model_json_schema()
    document = {"$schema": DIALECT, "title": "evalc spec, version 1", **_plain(generated)}
    document["description"] = "A spec file of evalc."
    for name in NAMED:
        document["properties"][name]["propertyNames"] = {"pattern": f"^{NAME.pattern}$"}
    document["$defs"]["TaskSpec"]["properties"]["metrics"]["items"] = _metric()
    return document


def schema_text() -> str:
    """The schema as the text of `evalc.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _metric() -> dict[str, Any]:
    known = [name for name in METRICS if not is_counted(name)]
    return {
        "anyOf": [
            {"enum": [*known, "pass@1", "pass^1", "maj@1", "code_pass@1", "code_pass^1"]},
            {"type": "string", "pattern": f"^{COUNTED.pattern}$"},
            {"type": "string", "pattern": f"^{HOOK.pattern}$"},
        ]
    }


def _plain(node: Any, names: bool = False) -> Any:
    """Without generated titles, with descriptions on one line; `names` tells a map of keys."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _plain(value) for key, value in node.items()}
    kept = {key: value for key, value in node.items() if key != "title"}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(inspect.cleandoc(kept["description"]).split())
    nested = ("properties", "$defs")
    return {key: _plain(value, key in nested) for key, value in _optional(kept).items()}


def _optional(node: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: an optional key or table is one that may be left out."""
    if node.get("default", ...) is None or isinstance(node.get("default"), dict):
        node = {key: value for key, value in node.items() if key != "default"}
    members = node.get("anyOf", node.get("oneOf"))
    if members is None:
        return node
    rest = {key: value for key, value in node.items() if key not in ("anyOf", "oneOf")}
    members = [member for member in members if member != {"type": "null"}]
    if len(members) == 1:
        return _optional({**members[0], **rest})
    return {**rest, "anyOf": members}
