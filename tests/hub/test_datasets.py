"""Rows of a configuration's split: from the Parquet conversion, or the repository's own files."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hub_content import CONVERSION, lock, parquet, remote_spec
from hub_server import Repository

from evalc.diagnostics import Faults
from evalc.plan.addresses import dataset_address
from evalc.plan.splits import converted_files, file_format, named_files
from workspaces import Workspace, quiz_rows


def ingested(workspace: Workspace, address: str) -> list[dict[str, Any]]:
    """The rows of a dataset on the Hub, as `evalc lock` ingests them."""
    remote_spec(workspace, address)
    done = workspace.run("lock")
    assert done.code == 0, done.text
    [file] = (workspace.cache / "snapshots").glob("hub.*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_shards_follow_each_other_in_the_order_of_their_names(remote: Workspace) -> None:
    rows = ingested(remote, "hf:acme/quiz/default/test")
    assert rows == json.loads(json.dumps(quiz_rows(5)))


def test_a_split_without_conversion_is_read_from_the_repositorys_own_file(
    remote: Workspace, dataset: Repository
) -> None:
    rows = ingested(remote, "hf:acme/quiz/default/dev")
    assert rows == [{"question": "Q?", "choices": ["a", "b"], "answer": 1}] * 2
    [entry] = lock(remote)["datasets"]
    assert (entry["revision"], entry["commit"]) == ("main", dataset.references["main"])


def test_a_configuration_is_a_folder_of_the_repository(remote: Workspace) -> None:
    rows = ingested(remote, "hf:acme/quiz/hard/test")
    assert [row["question"] for row in rows] == ["Q?"]


def test_a_named_revision_is_read_from_its_own_files_not_from_the_conversion(
    remote: Workspace, dataset: Repository
) -> None:
    dataset.push({"test-00000-of-00001.parquet": parquet(quiz_rows(2))}, "v1")
    assert len(ingested(remote, "hf:acme/quiz/default/test@v1")) == 2
    assert lock(remote)["datasets"][0]["revision"] == "v1"


def test_the_conversion_itself_can_be_named(remote: Workspace) -> None:
    assert len(ingested(remote, f"hf:acme/quiz/default/test@{CONVERSION}")) == 5


def test_numbers_that_json_does_not_have_are_kept_as_no_value(
    remote: Workspace, dataset: Repository
) -> None:
    rows = [{**row, "score": math.nan, "more": {"top": [math.inf, 1.5]}} for row in quiz_rows(1)]
    dataset.push({"default/test/0000.parquet": parquet(rows)}, CONVERSION)
    [row] = ingested(remote, "hf:acme/quiz/default/test")
    assert math.isnan(row["score"])
    assert math.isnan(row["more"])


def test_a_locked_dataset_is_read_again_without_the_hugging_face_cache(
    remote: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested(remote, "hf:acme/quiz/default/test")
    remote.write(
        (remote.specs / "spec.toml")
        .read_text()
        .replace("evalc = 1\n", "")
        .replace('"hf:acme/tiny"', json.dumps(str(remote.model))),
        header=False,
    )
    monkeypatch.setenv("HF_HOME", str(remote.root / "elsewhere"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = remote.run("plan", "--json")
    assert done.code == 0, done.text
    assert done.json["total"]["cases"] == 5


def address(text: str) -> Any:
    return dataset_address(text, None)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("hf:a/b/default/train", ["data/train-00000-of-00002.parquet", "data/train-00001.parquet"]),
        ("hf:a/b/default/validation", ["validation.jsonl.gz"]),
        ("hf:a/b/main/test", ["main/test-00000-of-00001.parquet"]),
        ("hf:a/b/easy/test", ["easy_test.csv"]),
        ("hf:a/b/deep/test", ["deep/test/part.jsonl"]),
    ],
)
def test_a_split_is_a_word_of_the_files_name_or_one_of_its_folders(
    asked: str, wanted: list[str]
) -> None:
    paths = [
        "README.md",
        "data/train-00000-of-00002.parquet",
        "data/train-00001.parquet",
        "data/retrain.parquet",
        "deep/test/part.jsonl",
        "easy_test.csv",
        "main/test-00000-of-00001.parquet",
        "validation.jsonl.gz",
        "validation.png",
    ]
    assert named_files(address(asked), paths, None) == wanted


def test_files_of_several_formats_are_refused() -> None:
    with pytest.raises(Faults, match="several formats"):
        named_files(address("hf:a/b/default/test"), ["test.csv", "test.jsonl"], None)


def test_a_partial_conversion_of_another_split_does_not_matter() -> None:
    paths = ["c/partial-train/0000.parquet", "c/test/0001.parquet", "c/test/0000.parquet"]
    found = converted_files(address("hf:a/b/c/test"), paths, None)
    assert found == ["c/test/0000.parquet", "c/test/0001.parquet"]
    with pytest.raises(Faults, match="only part of its rows"):
        converted_files(address("hf:a/b/c/train"), paths, None)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.parquet", ("parquet", "none")),
        ("a.jsonl.zst", ("jsonl", "zstd")),
        ("a.b.TSV", ("tsv", "none")),
        ("a.parquet.gz", None),
        ("a.json", None),
        ("README", None),
    ],
)
def test_the_format_is_told_by_the_suffixes(name: str, wanted: tuple[str, str] | None) -> None:
    assert file_format(name) == wanted
