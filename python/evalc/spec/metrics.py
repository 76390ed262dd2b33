"""The names of metrics, and the types of task they apply to."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from evalc.spec.fields import HOOK

METRICS: dict[str, tuple[str, str]] = {
    "acc": ("multiple_choice", "the likeliest choice is the target"),
    "acc_norm": ("multiple_choice", "as `acc`, log-likelihoods divided by the choice's characters"),
    "acc_bytes": ("multiple_choice", "as `acc`, log-likelihoods divided by the choice's bytes"),
    "mc2": ("multiple_choice", "probability mass on the choices labelled 1, of all choices"),
    "likelihood_diff": ("multiple_choice", "distance of the log-likelihoods of two choices"),
    "exact_match": ("generate", "the answer equals the target"),
    "quasi_exact_match": ("generate", "as `exact_match`, without case, articles and punctuation"),
    "f1": ("generate", "overlap of the words of answer and target"),
    "bleu": ("generate", "BLEU over all cases"),
    "chrf": ("generate", "chrF over all cases"),
    "pass@k": ("generate", "chance that one of k answers equals the target"),
    "pass^k": ("generate", "chance that k answers all equal the target"),
    "maj@k": ("generate", "the most frequent of k answers equals the target"),
    "code_pass@k": ("generate", "chance that one of k programs passes; runs code"),
    "code_pass^k": ("generate", "chance that k programs all pass; runs code"),
    "word_perplexity": ("perplexity", "perplexity per word"),
    "byte_perplexity": ("perplexity", "perplexity per byte"),
    "bits_per_byte": ("perplexity", "bits needed per byte"),
    "token_perplexity": ("perplexity", "perplexity per token"),
}
COUNTED = re.compile(r"(pass@|pass\^|maj@|code_pass@|code_pass\^)([1-9][0-9]{0,4})")
CODE = ("code_pass@k", "code_pass^k")
"""Metrics that run what the model wrote."""

OF_THE_CORPUS = (
    "bleu",
    "chrf",
    *(name for name, (type_, _) in METRICS.items() if type_ == "perplexity"),
)
"""Metrics whose value over cases is no mean of the values of cases."""

OF_THE_WHOLE = ("likelihood_diff", *OF_THE_CORPUS)
"""Metrics that are no means of scores from 0 to 1, so that cases say nothing of a difference."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as a task names it: a known one (`k` answers for a counted one) or a hook."""

    name: str
    family: str
    type: str | None
    k: int | None = None

    @property
    def is_hook(self) -> bool:
        """True for `package.module:function`."""
        return self.type is None


def metric(name: str) -> Metric | None:
    """The metric called `name`, or None when there is none."""
    counted = COUNTED.fullmatch(name)
    if counted:
        family = f"{counted[1]}k"
        return Metric(name, family, METRICS[family][0], int(counted[2]))
    if name in METRICS and not is_counted(name):
        return Metric(name, name, METRICS[name][0])
    return Metric(name, name, None) if HOOK.fullmatch(name) else None


def is_counted(family: str) -> bool:
    """Whether `k` stands for a number in the name of a metric."""
    return family.endswith(("@k", "^k"))


def metrics_of(type_: str) -> list[str]:
    """The names of the metrics for a type of task, `k` standing for a number."""
    return [name for name, (type_of, _) in METRICS.items() if type_of == type_]


def split_metric(text: str, tasks: Collection[str]) -> tuple[str, str, str] | None:
    """`task.metric@extraction` as (task, metric, extraction or ""); None when no task fits.

    Task names may hold dots: the longest that fits wins. An `@` before a number belongs to the
    metric (`pass@5`).
    """
    fitting = [task for task in tasks if text.startswith(f"{task}.")]
    if not fitting:
        return None
    task = max(fitting, key=len)
    named = text[len(task) + 1 :]
    counted = COUNTED.match(named)
    start = counted.end() if counted else 0
    name, _, extraction = named[start:].partition("@")
    return task, named[:start] + name, extraction


def slice_name(template: str) -> str:
    """What a slice is called: the expression of `{{ expression }}`, else the template itself."""
    inner = template.strip()
    if not (inner.startswith("{{") and inner.endswith("}}") and len(inner) >= 4):
        return template
    inner = inner[2:-2].removeprefix("-").removesuffix("-").strip()
    return template if "{{" in inner else inner


def slice_index(average: str, slices: list[str]) -> int | None:
    """Which slice `macro:<slice>` weighs equally; None for `micro`.

    Raises:
        LookupError: no slice has that name or template.
    """
    if average == "micro":
        return None
    wanted = average.removeprefix("macro:").strip()
    for position, template in enumerate(slices):
        if average.startswith("macro:") and wanted in (template, slice_name(template)):
            return position
    raise LookupError(average)


def described(named: Mapping[str, tuple[str, str]] = METRICS) -> list[tuple[str, str, str]]:
    """(name, task type, meaning) of every metric, for the reference."""
    return [(name, type_, meaning) for name, (type_, meaning) in named.items()]
