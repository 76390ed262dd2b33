"""Planning without torch: Ir, model identity, tokenizer bundles, the Rust plan and its cost."""

from evalc.plan.planned import Planned, check_data, plan
from evalc.plan.sources import ModelSource

__all__ = ["ModelSource", "Planned", "check_data", "plan"]
