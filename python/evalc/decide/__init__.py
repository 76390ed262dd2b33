"""Decisions: estimates with standard errors and intervals, and paired comparisons."""

from evalc.decide.estimates import LEVEL, Estimate, cluster_codes, estimate, macro, mean, wilson
from evalc.decide.paired import UNCHANGED, Paired, paired

__all__ = [
    "LEVEL",
    "UNCHANGED",
    "Estimate",
    "Paired",
    "cluster_codes",
    "estimate",
    "macro",
    "mean",
    "paired",
    "wilson",
]
