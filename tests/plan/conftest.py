"""What planning tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def bundle(bundles: Path) -> Path:
    """The tokenizer bundle of the tiny model."""
    return next(bundles.glob("*.json"))
