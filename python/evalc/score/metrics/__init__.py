"""Metrics by name: what computes each name that `evalc.spec.metrics` knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from evalc.diagnostics.near import nearest
from evalc.score.cells import Kind
from evalc.score.columns import Direction, Measured
from evalc.score.faults import fault
from evalc.score.metrics.choice import acc, acc_bytes, acc_norm, likelihood_diff, mc2
from evalc.score.metrics.code import code_pass_every_k, code_pass_k
from evalc.score.metrics.hook import hook_metric
from evalc.score.metrics.inputs import Inputs
from evalc.score.metrics.overlap import bleu, chrf
from evalc.score.metrics.perplexity import (
    bits_per_byte,
    byte_perplexity,
    token_perplexity,
    word_perplexity,
)
from evalc.score.metrics.repeats import majority_k, pass_every_k, pass_k
from evalc.score.metrics.text import exact_match, f1, quasi_exact_match
from evalc.spec.metrics import METRICS as KNOWN
from evalc.spec.metrics import metric as parsed
from evalc.spec.metrics import metrics_of


@dataclass(frozen=True)
class Metric:
    """What computes a metric, with its k (0 for those without), and which way is better."""

    compute: Callable[[Inputs, int], Measured]
    direction: Direction = "higher"
    k: int = 0


METRICS: dict[str, Metric] = {
    "acc": Metric(acc),
    "acc_norm": Metric(acc_norm),
    "acc_bytes": Metric(acc_bytes),
    "mc2": Metric(mc2),
    "likelihood_diff": Metric(likelihood_diff, "neither"),
    "exact_match": Metric(exact_match),
    "quasi_exact_match": Metric(quasi_exact_match),
    "f1": Metric(f1),
    "bleu": Metric(bleu),
    "chrf": Metric(chrf),
    "pass@k": Metric(pass_k),
    "pass^k": Metric(pass_every_k),
    "maj@k": Metric(majority_k),
    "code_pass@k": Metric(code_pass_k),
    "code_pass^k": Metric(code_pass_every_k),
    "word_perplexity": Metric(word_perplexity, "lower"),
    "byte_perplexity": Metric(byte_perplexity, "lower"),
    "bits_per_byte": Metric(bits_per_byte, "lower"),
    "token_perplexity": Metric(token_perplexity, "lower"),
}
"""Every family of `evalc.spec.metrics.METRICS`."""


def parse_metric(name: str, kind: Kind) -> Metric:
    """The metric a task names. Raises `Faults` (`unknown-metric`, `misplaced-metric`)."""
    named = parsed(name)
    if named is None:
        near = nearest(name, KNOWN)
        fits = ", ".join(f"`{fit}`" for fit in metrics_of(kind))
        hint = f"did you mean `{near}`?" if near else f"use one of {fits}"
        raise fault("unknown-metric", f"there is no metric `{name}`", hint=hint)
    if named.is_hook:
        return Metric(lambda inputs, _: hook_metric(inputs, name))
    if named.type != kind:
        raise fault(
            "misplaced-metric",
            f"metric `{name}` does not fit a task of type `{kind}`",
            hint="use one of " + ", ".join(f"`{fit}`" for fit in metrics_of(kind)),
        )
    return replace(METRICS[named.family], k=named.k or 0)


def is_hook(name: str) -> bool:
    """Whether a metric's name is that of a Python hook."""
    named = parsed(name)
    return named is not None and named.is_hook


__all__ = ["METRICS", "Inputs", "Metric", "is_hook", "parse_metric"]
