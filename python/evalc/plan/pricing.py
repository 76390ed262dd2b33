"""What a plan costs: its counts with an estimate per cell and in total."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalc import env
from evalc.plan import cost
from evalc.plan.hooks import used_hooks
from evalc.plan.ir import Ir
from evalc.spec import Folder, Selection
from evalc.store import Store

SCHEMA = "evalc.plan/1"
COUNTS = (
    *("cases", "requests", "deduped", "cached", "to_run", "prefill_tokens_unshared"),
    *("prefill_tokens", "attention_pairs", "scored_tokens", "decode_tokens_bound"),
    *("decode_pairs_bound", "split_words", "truncated", "forged"),
    *("unsure_targets", "unsure_indices"),
)
"""What is counted of a cell, and in total."""


def nothing_priced(tier: str) -> dict[str, Any]:
    """The plan of a tier that asks nothing, in the same shape."""
    none = cost.Estimate(flops=0.0, seconds=0.0, usd=0.0, basis="measured")
    total = {**dict.fromkeys(COUNTS, 0), "setup_seconds": 0.0, "estimate": none.as_json()}
    empty: dict[str, Any] = {"models": [], "hooks": [], "cells": []}
    return {"schema": SCHEMA, "tier": tier, "nothing_to_run": True, **empty, "total": total}


def priced(
    folder: Folder, selection: Selection, ir: Ir, summary: Mapping[str, Any], store: Store
) -> dict[str, Any]:
    """A plan's summary with estimates, as `plan --json` prints it.

    `setup_seconds`, what loading and checking the models took before, is in the total only.
    """
    usd = folder.spec.cost.usd_per_hour
    by_name = {model.source.name: model for model in ir.models}
    speeds = {
        name: cost.recall(store, model.identity, env.hardware(model.source.device))
        for name, model in by_name.items()
    }
    cells, estimates = [], []
    for counts in summary["cells"]:
        model = by_name[counts["model"]]
        found = cost.estimate(
            model.shape, counts, speeds[counts["model"]], model.source.device, usd
        )
        estimates.append(found)
        cells.append({**counts, "estimate": found.as_json()})
    asked = {counts["model"] for counts in summary["cells"] if counts["to_run"]}
    setup = sum(speed.setup for name, speed in speeds.items() if speed and name in asked)
    guessed = any(e.basis == "guess" and e.seconds for e in estimates)
    total = cost.Estimate(
        flops=sum(e.flops for e in estimates),
        seconds=setup + sum(e.seconds for e in estimates),
        usd=None if usd is None else setup / 3600 * usd + sum(e.usd or 0.0 for e in estimates),
        basis="guess" if guessed else "measured",
    )
    return {
        "schema": SCHEMA,
        "tier": selection.tier or "full",
        "nothing_to_run": summary["total"]["to_run"] == 0,
        "models": [
            {
                "name": model.source.name,
                "path": str(model.source.path),
                "adapter": None if model.source.adapter is None else str(model.source.adapter),
                "adapted": model.source.adapted,
                "device": model.source.device,
                "dtype": model.source.dtype,
                "model_id": model.identity.model_id,
                "engine_id": model.identity.engine_id,
            }
            for model in ir.models
        ],
        "hooks": sorted({hook.name for hook in used_hooks(folder, selection)}),
        "cells": cells,
        "total": {**summary["total"], "setup_seconds": setup, "estimate": total.as_json()},
    }
