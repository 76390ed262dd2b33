"""What the floor bench counts is what the requests need, and nothing twice."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from evalc.contract.packs import Ask, built_pack
from evalc.exec.model.load import base

BENCHES = Path(__file__).resolve().parents[2] / "benches"


@pytest.fixture(scope="module")
def bench() -> Any:
    """The bench as a module."""
    sys.path.insert(0, str(BENCHES))
    try:
        spec = importlib.util.spec_from_file_location("engine_floor", BENCHES / "engine_floor.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # dataclasses look their own module up
        sys.modules["engine_floor"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHES))


def test_distinct_tokens_their_keys_and_scored_positions_are_counted_once(bench: Any) -> None:
    asks = [Ask([5, 6, 7, 8], 1), Ask([5, 6, 7, 9], 1), Ask([5, 6, 20, 21, 22], 2)]
    found = bench.Needed.of(built_pack("loglikelihood", asks))
    # 5 6 7 and 20 21 are read, the last token of each never; 7, 6 and 20 are scored after
    assert found == bench.Needed(tokens=5, keys=1 + 2 + 3 + 3 + 4, scored=3)
    assert found + found == bench.Needed(tokens=10, keys=26, scored=6)


def test_operations_are_those_that_torch_counts_in_the_model_s_own_call(
    bench: Any, source: Callable[..., Any]
) -> None:
    model = base(source("llama")).eval()
    ids = torch.arange(3, 43)[None]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(input_ids=ids, use_cache=False)
    # the plain call scores every position, and attends every key from each
    need = bench.Needed(tokens=40, keys=40 * 40, scored=40)
    config = model.config
    attended = config.num_hidden_layers * config.hidden_size
    shapes = bench.layer_shapes(model)
    assert len(shapes) == 7 * config.num_hidden_layers
    head = config.vocab_size * config.hidden_size
    assert bench.operations(need, shapes, head, attended) == counter.get_total_flops()
