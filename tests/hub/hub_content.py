"""What the tests put on the Hub, and the spec that names it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli

from workspaces import QUIZ, Workspace

MODEL = "acme/tiny"
DATASET = "acme/quiz"
CONVERSION = "refs/convert/parquet"


def parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows as a Parquet file."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), stream)
    return stream.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as a commit holds them."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def remote_spec(workspace: Workspace, data: str = "hf:acme/quiz/default/test") -> None:
    """A spec whose model `m` and dataset `quiz` are on the Hub."""
    text = QUIZ.replace('path = "quiz.jsonl"', f'path = "{data}"')
    workspace.write(f'[models.m]\npath = "hf:{MODEL}"\n', text, header=False)


def lock(workspace: Workspace) -> dict[str, Any]:
    """The lock of a workspace, parsed."""
    return tomli.loads((workspace.specs / "evalc.lock").read_text(encoding="utf-8"))


def forget(workspace: Workspace) -> None:
    """Remove what other machines do not have: the Hugging Face cache, the store, snapshots."""
    for folder in (workspace.root / "hf", workspace.cache / "store", workspace.cache / "snapshots"):
        shutil.rmtree(folder, ignore_errors=True)
