"""Digests of files: by content, remembered, and read again when it is asked for."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from evalc import _core
from evalc.plan.digests import RACY_NS, Digests, _stamp
from evalc.store import Store
from workspaces import Workspace


@pytest.fixture
def settled(tmp_path: Path) -> Path:
    """A file that has not changed for longer than the file system's clock ticks."""
    path = tmp_path / "weights"
    path.write_bytes(b"content")
    time.sleep(2 * RACY_NS / 1e9)
    return path


def test_a_file_is_read_once(tmp_path: Path, settled: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        [digest] = Digests(store).of([settled])
        assert digest == _core.hash_files([str(settled)])[0]
        store.remember(_stamp(settled), b"f" * 64)
        assert Digests(store).of([settled]) == ["f" * 64]


def test_rehash_reads_every_file_and_corrects_what_is_remembered(
    tmp_path: Path, settled: Path
) -> None:
    right = _core.hash_files([str(settled)])
    with Store.open(tmp_path / "store") as store:
        store.remember(_stamp(settled), b"f" * 64)
        assert Digests(store, rehash=True).of([settled]) == right
        assert Digests(store).of([settled]) == right


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "fresh"
    with Store.open(tmp_path / "store") as store:
        for content in (b"one", b"two"):
            path.write_bytes(content)
            assert Digests(store).of([path]) == _core.hash_files([str(path)])
            assert store.note(_stamp(path)) is None


def test_a_change_that_keeps_size_and_modification_time_is_noticed(
    tmp_path: Path, settled: Path
) -> None:
    with Store.open(tmp_path / "store") as store:
        [before] = Digests(store).of([settled])
        state = settled.stat()
        settled.write_bytes(b"CONTENT")
        os.utime(settled, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert Digests(store).of([settled]) != [before]


def test_a_link_and_its_target_have_one_digest(tmp_path: Path, settled: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(settled)
    first, second = Digests(None).of([settled, link])
    assert first == second


def test_the_rehash_option_reads_the_weights_again(workspace: Workspace) -> None:
    workspace.quiz()
    right = workspace.call("plan", "--json").json["models"][0]["model_id"]
    with workspace.store() as store:
        store.remember(_stamp(workspace.model / "model.safetensors"), b"f" * 64)
    # a plan that is told again looks at no note
    shutil.rmtree(workspace.cache / "memo")
    assert workspace.call("plan", "--json").json["models"][0]["model_id"] != right
    assert workspace.call("plan", "--rehash", "--json").json["models"][0]["model_id"] == right
    assert workspace.call("plan", "--json").json["models"][0]["model_id"] == right
