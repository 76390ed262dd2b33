"""What a remembered plan rests on is in its name: each thing, edited alone, makes another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalc import env
from evalc.run import plan_memo
from evalc.run.plan_memo import ToldFile
from evalc.run.request import Request

Edit = Callable[[Request, Path, pytest.MonkeyPatch], Request]


def asked(cache: Path) -> Request:
    return Request((Path("specs"),), ("a.b=1",), ("s",), ("m",), ("t",), "full", cache)


def with_field(**changed: Any) -> Edit:
    return lambda request, _, __: replace(request, **changed)


def with_other_hardware(request: Request, _: Path, patch: pytest.MonkeyPatch) -> Request:
    patch.setattr(env, "hardware", lambda device: f"another {device}")
    return request


def with_a_gpu(request: Request, _: Path, patch: pytest.MonkeyPatch) -> Request:
    patch.setattr(env, "cuda_present", lambda: True)
    return request


def from_another_folder(request: Request, root: Path, patch: pytest.MonkeyPatch) -> Request:
    (root / "other").mkdir()
    patch.chdir(root / "other")
    return request


def with_another_home(request: Request, root: Path, patch: pytest.MonkeyPatch) -> Request:
    patch.setenv("HOME", str(root))
    patch.setenv("USERPROFILE", str(root))
    return request


def by_another_build(request: Request, root: Path, patch: pytest.MonkeyPatch) -> Request:
    (root / "evalc").mkdir()
    (root / "evalc" / "new.py").write_text("")
    patch.setattr(plan_memo, "PACKAGE", root / "evalc")
    return request


EDITS: dict[str, Edit] = {
    "paths": with_field(paths=(Path("other"),)),
    "overrides": with_field(overrides=("a.b=2",)),
    "where overrides' paths start": with_field(base=Path("/elsewhere")),
    "suites": with_field(suites=("other",)),
    "models": with_field(models=("other",)),
    "tasks": with_field(tasks=("other",)),
    "a task as a model": with_field(models=("m", "t"), tasks=()),
    "tier": with_field(tier="smoke"),
    "no code": with_field(no_hooks=True),
    "hardware": with_other_hardware,
    "a GPU": with_a_gpu,
    "working directory": from_another_folder,
    "home": with_another_home,
    "evalc itself": by_another_build,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_what_a_told_plan_rests_on_is_in_its_name(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "cuda_present", lambda: False)
    request = asked(tmp_path / "cache")
    name = ToldFile.of(request).path.name
    assert ToldFile.of(request).path.name == name
    with monkeypatch.context() as patch:
        assert ToldFile.of(edit(request, tmp_path, patch)).path.name != name
    assert ToldFile.of(request).path.name == name
