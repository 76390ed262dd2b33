"""Files that are written from the code are fresh. `EVALC_UPDATE=1` writes them anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evalc.cli.reference import cli_reference
from evalc.diagnostics.reference import diagnostics_reference
from evalc.spec.models import Spec
from evalc.spec.reference import spec_reference
from evalc.spec.schema import schema, schema_text

ROOT = Path(__file__).resolve().parents[2]
WRITTEN: dict[str, Callable[[], str]] = {
    "docs/spec-reference.md": spec_reference,
    "docs/cli.md": cli_reference,
    "docs/diagnostics.md": diagnostics_reference,
    "specs/evalc.schema.json": schema_text,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_written_from_the_code_is_fresh(name: str) -> None:
    path, text = ROOT / name, WRITTEN[name]()
    if os.environ.get("EVALC_UPDATE") == "1":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, "run the tests once with EVALC_UPDATE=1"


def test_the_reference_explains_every_key() -> None:
    text = spec_reference()
    for definition in schema()["$defs"].values():
        for key, node in definition["properties"].items():
            assert f"| `{key}` |" in text
            assert node.get("description"), key


def test_the_schema_knows_every_table_and_allows_no_other() -> None:
    document = schema()
    assert set(document["properties"]) == set(Spec.model_fields)
    assert document["additionalProperties"] is False
    assert document["required"] == ["evalc"]


def test_the_schema_holds_no_null_and_no_title() -> None:
    text = json.dumps(schema()["$defs"])
    assert "null" not in text
    assert '"title"' not in text
