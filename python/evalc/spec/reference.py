"""The reference of the spec language, written from the models."""

from __future__ import annotations

import inspect
import json
from typing import Any

from evalc import _core
from evalc.spec.metrics import described
from evalc.spec.models import (
    CodeSpec,
    CostSpec,
    DatasetSpec,
    ExtractSpec,
    FewshotSpec,
    GateSpec,
    GenerateSpec,
    HooksSpec,
    ModelSpec,
    SuiteSpec,
    Table,
    TaskSpec,
    TierSpec,
    TriggerSpec,
)
from evalc.spec.schema import schema

TABLES: tuple[tuple[str, type[Table]], ...] = (
    ("[models.NAME]", ModelSpec),
    ("[datasets.NAME]", DatasetSpec),
    ("[tasks.NAME]", TaskSpec),
    ("fewshot = { ... }", FewshotSpec),
    ("generate = { ... }", GenerateSpec),
    ("extract = { ... }", ExtractSpec),
    ("code = { ... }", CodeSpec),
    ("[suites.NAME]", SuiteSpec),
    ("[tiers.NAME]", TierSpec),
    ("[[triggers]]", TriggerSpec),
    ("[gates.NAME]", GateSpec),
    ("[cost]", CostSpec),
    ("[hooks]", HooksSpec),
)
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "table of such tables",
}
HOOKS = """\
```python
def close(case):  # a metric, "scorers:close": a number
    return float(case["target"] in case["extracted"][0])


def last_line(text, case):  # an extraction, `python = "scorers:last_line"`: a text, or None
    return text.strip().splitlines()[-1] if text.strip() else None


def short(rows):  # `prepare = "scorers:short"`: the rows that a dataset then has
    return [row for row in rows if len(row["question"]) < 500]
```

A `case` is a dict: `id`, `row`, `prompt`, `choices` and `target`, and what the model said. That is
`logliks` (a number a choice), or `texts` and `extracted` (one a repeat). The file, `scorers.py`
here, lies beside the spec. It may import others of that folder in `import` statements, and packages
that are installed; files that it finds in another way are refused, since no key would tell their
edits. `evalc check` looks at what the function takes and runs nothing."""
HEAD = """\
# The spec language, version 1

Written from the code by `evalc.spec.reference`; a test keeps it fresh.

A spec is TOML 1.1, in one file or several files of a folder, each of at most 4 MiB, 50,000 values
and 64 levels. Each begins with `evalc = 1`. Tables merge across files; a name defined twice is an
error. Relative paths start from the folder of the file they stand in. `--set tasks.NAME.key=value`
changes a value from the command line, with the same checks; relative paths in it start from the
working directory.

Names of tables are letters, digits, `_`, `-`, `.` and `+`. Where several models or tasks may be
named, a glob (`mmlu_*`) stands for all it matches, and `tag:WORD` for the tasks with that tag.

## `[paths]`

Variables for the `path` and `adapter` keys: `[paths] data = "../data"` makes `${data}` usable, and
`--set paths.data=/elsewhere` moves all of them.
"""


def spec_reference() -> str:
    """`docs/spec-reference.md`."""
    definitions = schema()["$defs"]
    parts = [HEAD]
    for title, table in TABLES:
        parts.append(_section(title, table, definitions))
        if table is DatasetSpec:
            parts.append(_data_bounds())
        if table is TaskSpec:
            parts.append(_metrics())
    return "\n".join(parts)


def _section(title: str, table: type[Table], definitions: dict[str, Any]) -> str:
    definition = definitions[table.__name__]
    lines = [f"## `{title}`", "", inspect.getdoc(table) or "", ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    required = definition.get("required", [])
    for key, node in definition["properties"].items():
        default = "needed" if key in required else _default(node)
        meaning = node.get("description", "").replace("|", "\\|")
        kind = "list of metrics" if key == "metrics" else _kind(node)
        lines.append(f"| `{key}` | {kind} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(node: dict[str, Any]) -> str:
    return f"`{json.dumps(node['default'])}`" if "default" in node else ""


def _kind(node: dict[str, Any]) -> str:
    """The values that a schema node allows, in words."""
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_kind(member) for member in node["anyOf"]))
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if "$ref" in node:
        return f"table `{node['$ref'].rpartition('/')[2].removesuffix('Spec').lower()}`"
    if node["type"] == "array":
        return f"list of {_kind(node['items'])}"
    return KINDS[node["type"]] + _bounds(node)


def _bounds(node: dict[str, Any]) -> str:
    signs = (
        ("exclusiveMinimum", ">"),
        ("minimum", "≥"),
        ("exclusiveMaximum", "<"),
        ("maximum", "≤"),
    )
    found = [f"{sign} {node[key]}" for key, sign in signs if key in node]
    return f" {', '.join(found)}" if found else ""


def _data_bounds() -> str:
    bounds = _core.data_bounds()
    unpacked = f"{_bytes(bounds['parquet'])}, or {bounds['parquet_ratio']} times the file's size"
    rows = (
        ("a row", _bytes(bounds["row"])),
        ("the header of a table", _bytes(bounds["header"])),
        ("columns of a row", f"{bounds['columns']:,}"),
        ("rows of a file", f"{bounds['rows']:,}"),
        ("a packed file (.gz, .zst), unpacked", _bytes(bounds["unpacked"])),
        ("a Parquet file, unpacked", f"{unpacked}, whichever is more"),
        (
            "values of a Parquet file",
            f"{bounds['parquet_values']:,}, or as many as the file has bytes, whichever is more",
        ),
        ("the description of a Parquet file's columns", _bytes(bounds["parquet_footer"])),
    )
    lines = ["### Bounds of data", "", "| what | at most |", "|---|---|"]
    lines += [f"| {what} | {most} |" for what, most in rows]
    lines += ["", "More is an error (`data-too-large`), found before memory is taken for it."]
    requests = f"{bounds['requests']:,}, and {bounds['requests_of_row']} more for each row"
    work = (
        f"{bounds['work']:,}, and {bounds['work_of_row']:,} more for each row, "
        f"{bounds['work_of_byte']} for each byte, and {bounds['work_of_case']} for each of the "
        f"first {bounds['cases_of_work']:,} cases"
    )
    lines += ["", "A plan is bounded by the rows of all its files together:", ""]
    lines += ["| what | at most |", "|---|---|", f"| requests of a plan | {requests} |"]
    lines += [f"| work on templates, rows and examples | {work} |"]
    draws = f"{bounds['draws']:,} (cases times the rows that each draws from)"
    lines += [f"| draws with `per_case` | {draws} |", ""]
    lines += [
        "More is an error (`too-many-requests`, `too-much-work`). Work is counted in instructions"
    ]
    lines += ["of templates, or 64 bytes of text; a usual template takes 10 to 2,000 for a row."]
    return "\n".join(lines) + "\n"


def _bytes(count: int) -> str:
    return f"{count >> 20} MiB"


def _metrics() -> str:
    lines = ["### Metrics", "", "| name | type of task | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{type_}` | {meaning} |" for name, type_, meaning in described()]
    lines += ["", "A metric may also be a Python function, `package.module:function`.", "", HOOKS]
    return "\n".join(lines) + "\n"
