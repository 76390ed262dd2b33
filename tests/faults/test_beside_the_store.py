"""Files beside the store, torn with the power or flipped by a disk: none of them is believed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workspaces import QUIZ, SUMS, Workspace, quiz_rows, sum_rows

SHAPER = (
    "def shape(rows):\n    return [{**row, 'question': row['question'] + '!'} for row in rows]\n"
)


def emptied(content: bytes, _: random.Random) -> bytes:
    return content[:0]


def halved(content: bytes, _: random.Random) -> bytes:
    return content[: len(content) // 2]


def zeroed_end(content: bytes, _: random.Random) -> bytes:
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


def flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: list[Damage] = [emptied, halved, zeroed_end, *[flipped] * 5]


@pytest.fixture
def asked(workspace: Workspace) -> Workspace:
    """A quiz over prepared rows and sums, all answered."""
    workspace.write(QUIZ.replace('path = "quiz.jsonl"', PREPARED), SUMS)
    (workspace.specs / "beside_shaper.py").write_text(SHAPER)
    workspace.rows("quiz.jsonl", quiz_rows(12))
    workspace.rows("sums.jsonl", sum_rows(12))
    assert workspace.call("exec", "specs", "--no-report").code == 0
    return workspace


PREPARED = 'path = "quiz.jsonl"\nprepare = "beside_shaper:shape"'


def told(workspace: Workspace, command: str = "report") -> dict[str, Any]:
    done = workspace.call(command, "specs", "--json")
    assert done.code == 0, done.text
    found: dict[str, Any] = done.json
    return found


@pytest.mark.parametrize("folder", ["memo", "snapshots"])
def test_a_torn_or_flipped_file_is_made_again(asked: Workspace, folder: str) -> None:
    draw = random.Random(2)
    expected = told(asked)
    files = sorted((asked.cache / folder).iterdir())
    assert files
    for damage in DAMAGES:
        for file in files:
            file.write_bytes(damage(file.read_bytes(), draw))
        assert told(asked, "plan")["nothing_to_run"], damage.__name__
        assert told(asked) == expected, damage.__name__


def test_a_part_of_a_file_that_was_never_finished_is_not_read(asked: Workspace) -> None:
    expected = told(asked)
    for file in sorted((asked.cache / "memo").iterdir()):
        file.with_name(f"{file.stem}.1.part").write_bytes(file.read_bytes()[:40])
        file.unlink()
    assert told(asked, "plan")["nothing_to_run"]
    assert told(asked) == expected


@pytest.mark.parametrize("damage", [emptied, halved, zeroed_end, flipped])
def test_a_torn_or_flipped_bundle_is_made_again(asked: Workspace, damage: Damage) -> None:
    (bundle,) = (asked.cache / "tokenizers").iterdir()
    sound, expected = bundle.read_bytes(), told(asked)
    bundle.write_bytes(damage(sound, random.Random(8)))
    assert told(asked, "plan")["nothing_to_run"]
    assert told(asked) == expected
    assert Path(bundle).read_bytes() == sound
