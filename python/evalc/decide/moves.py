"""What moved: which tasks, or groups of a task's cases, the full run would print otherwise.

A description beside the verdicts, never a gate. A hypothesis is that the benchmark's value, or a
group's share of it, is exactly what the baseline has. Evidence against each is taken at the moment
at which the run ended; of those that the e-BH procedure rejects, a share of at most the level is
expected to be wrong (the false discovery rate), however the hypotheses depend on each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalc.decide.betting import Evidence
from evalc.decide.estimates import cluster_codes
from evalc.decide.trials import Trial
from evalc.decide.units import EQUAL, Units
from evalc.decide.verdicts import AtLeast, paired_values
from evalc.score.cells import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Unmoved:
    """The hypothesis that a value is what the baseline has.

    `log_evidence` is the natural log of an e-value against it, `difference` an estimate of how far
    the value is above the baseline's; `complete` tells that it is no estimate.
    """

    log_evidence: float
    difference: float
    complete: bool


def moved(log_evidence: FloatArray, level: float) -> BoolArray:
    """Which of K hypotheses the e-BH procedure rejects (Wang and Ramdas 2022), bool[K].

    Takes logs of e-values at one stopping time, which `Evidence.up` and `down` are not: the highest
    there ever were is no e-value.
    """
    count = len(log_evidence)
    order = np.argsort(-log_evidence, kind="stable")
    needed = np.log(count / (level * np.arange(1, count + 1)))
    enough = np.flatnonzero(log_evidence[order] >= needed)
    found = np.zeros(count, dtype=np.bool_)
    if len(enough):
        found[order[: enough[-1] + 1]] = True
    return found


def unmoved(trial: Trial) -> Unmoved | None:
    """The hypothesis about a whole trial of a drop; None where no bet can be made."""
    condition = trial.condition
    if not (trial.bounded and isinstance(condition, AtLeast)):
        return None
    return _hypothesis(trial, trial.evidence, condition.bound + condition.margin)


def unmoved_groups(
    trial: Trial, scores: FloatArray, baseline: FloatArray, labels: Sequence[str]
) -> Mapping[str, Unmoved]:
    """The hypotheses about the groups of a trial of a drop, by their labels, sorted.

    Scores, the baseline's scores and labels are of all n cases of the cell; only those of cases
    that the trial has seen enter. Empty where a group's value is no mean over units of its own: a
    cluster is in several groups, or cases of one group weigh differently.
    """
    units, seen = trial.units, trial.evidence.seen
    owner = _owners(units, [labels[case] for case in trial.cases])
    if owner is None or not trial.bounded:
        return {}
    own, before = scores[trial.cases], baseline[trial.cases]
    if differs := trial.scope == "difference":
        own, before = paired_values(own, before), np.full(len(before), 0.5)
    values, known = units.values(own, 0, seen), units.values(before)
    found = {}
    for code, label in enumerate(dict.fromkeys(labels[case] for case in trial.cases)):
        members = np.flatnonzero(owner == code)
        evidence = Evidence(units.weights[members] / units.weights[members].sum())
        for end in trial.looks:
            first, last = evidence.seen, int(np.searchsorted(members, end))
            predicted = None if differs else known[members[first:]]
            evidence.add(values[members[first:last]], predicted)
        # one of which nothing was seen counts too: how many are compared is settled before
        found[label] = _hypothesis(trial, evidence, float(evidence.weights @ known[members]))
    return dict(sorted(found.items()))


def _owners(units: Units, labels: Sequence[str]) -> IntArray | None:
    """int64[u]: the group of each unit; None where a unit or its weight is not a group's own."""
    codes = cluster_codes(labels)
    assert codes is not None
    members, sizes = codes[units.members], np.diff(units.starts)
    owner: IntArray = members[units.starts[:-1]]
    if (np.repeat(owner, sizes) != members).any():
        return None
    weight = units.weights / sizes
    groups = [weight[owner == code] for code in np.unique(owner)]
    if any(group.max() - group.min() > EQUAL * group.max() for group in groups):
        return None
    return owner


def _hypothesis(trial: Trial, evidence: Evidence, before: float) -> Unmoved:
    scale = 2.0 if trial.scope == "difference" else 1.0
    difference = scale * (evidence.estimate() - before)
    return Unmoved(evidence.apart(before), difference, evidence.complete)
