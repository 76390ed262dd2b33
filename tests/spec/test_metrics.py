from __future__ import annotations

import pytest

from evalc.spec.metrics import METRICS, metric, slice_index, slice_name, split_metric


def test_every_known_metric_has_a_type_of_task() -> None:
    for name, (type_, _) in METRICS.items():
        found = metric(name.replace("@k", "@3").replace("^k", "^3"))
        assert found is not None and (found.type, found.family) == (type_, name)
        assert found.k == (3 if name.endswith(("@k", "^k")) else None)


def test_a_hook_is_a_metric_of_any_type() -> None:
    found = metric("my_pkg.scorers:cites")
    assert found is not None and found.is_hook


@pytest.mark.parametrize(
    "name", ["pass@0", "pass@k", "pass^0", "pass^k", "maj^2", "pass@", "accuracy", "pkg.mod", ""]
)
def test_what_is_neither_known_nor_a_hook_is_no_metric(name: str) -> None:
    assert metric(name) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gsm8k.exact_match", ("gsm8k", "exact_match", "")),
        ("gsm8k.exact_match@strict", ("gsm8k", "exact_match", "strict")),
        ("gsm8k.pass@5", ("gsm8k", "pass@5", "")),
        ("gsm8k.pass^5", ("gsm8k", "pass^5", "")),
        ("gsm8k.code_pass^2@strict", ("gsm8k", "code_pass^2", "strict")),
        ("gsm8k.pass@5@strict", ("gsm8k", "pass@5", "strict")),
        ("mmlu.v2.acc", ("mmlu.v2", "acc", "")),
        ("gsm8k.pkg.mod:cites", ("gsm8k", "pkg.mod:cites", "")),
        ("unknown.acc", None),
        ("gsm8k", None),
    ],
)
def test_a_gate_names_task_metric_and_extraction(
    text: str, parts: tuple[str, str, str] | None
) -> None:
    assert split_metric(text, ["gsm8k", "mmlu", "mmlu.v2"]) == parts


def test_a_slice_is_called_by_its_expression() -> None:
    assert slice_name("{{ subject }}") == "subject"
    assert slice_name("{{- a.b -}}") == "a.b"
    assert slice_name("{{ a }}/{{ b }}") == "{{ a }}/{{ b }}"


def test_an_average_finds_its_slice_by_name_or_template() -> None:
    slices = ["{{ lang }}", "{{ subject }}"]
    assert slice_index("micro", slices) is None
    assert slice_index("macro:subject", slices) == 1
    assert slice_index("macro:{{ lang }}", slices) == 0
    with pytest.raises(LookupError):
        slice_index("macro:topic", slices)
