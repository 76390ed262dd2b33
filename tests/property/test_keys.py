"""Keys say what is asked: no less, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from test_tokens import family, plan_of, scratch, texts

from evalc import _core
from planned_requests import cell_requests, dataset, ir, keys_of, task
from tiny_models import write_rows

choice_lists = st.lists(texts.filter(bool), min_size=1, max_size=3)
row_lists = st.lists(st.tuples(texts, choice_lists), min_size=1, max_size=9)
EDITS = (
    "{# a comment #}{{ p }}",
    "{{- p -}}",
    "{{ p ~ '' }}",
    "{% if true %}{{ p }}{% endif %}",
    "{% set q = p %}{{ q }}",
    "{{ p | string }}",
    "{% for part in [p] %}{{ part }}{% endfor %}",
)


def rows_of(pairs: list[tuple[str, list[str]]]) -> list[dict[str, object]]:
    return [{"p": "Q: " + p, "c": c} for p, c in pairs]


@settings(max_examples=100, deadline=None)
@given(pairs=row_lists, edit=st.sampled_from(EDITS))
def test_an_edit_that_leaves_the_ids_alone_changes_no_key(
    pairs: list[tuple[str, list[str]]], edit: str
) -> None:
    chosen = family("split", False)
    plain = plan_of(chosen, rows_of(pairs))
    edited = plan_of(chosen, rows_of(pairs), prompt=edit)
    assert edited.keys() == plain.keys()
    moved = plan_of(
        chosen, [{**row, "p": str(row["p"])[3:]} for row in rows_of(pairs)], description="Q: "
    )
    assert moved.keys() == plain.keys()


@settings(max_examples=100, deadline=None)
@given(first=row_lists, second=row_lists)
def test_plans_with_and_without_a_memo_are_the_same(
    first: list[tuple[str, list[str]]], second: list[tuple[str, list[str]]]
) -> None:
    chosen = family("digits", True)
    memo = mkdtemp(dir=scratch())
    for pairs in (first, first + second, second):
        plain, remembered = plan_of(chosen, rows_of(pairs)), plan_of(chosen, rows_of(pairs), memo)
        assert remembered.keys() == plain.keys()
        assert remembered.cell(0) == plain.cell(0)
        assert cell_requests(remembered, 0) == cell_requests(plain, 0)


generations = st.fixed_dictionaries(
    {
        "max_new_tokens": st.integers(1, 3),
        "stop": st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=3),
        "temperature": st.sampled_from([0.0, 0.5, 1.0]),
        "top_p": st.sampled_from([0.5, 1.0]),
        "top_k": st.integers(0, 1),
        "repeats": st.integers(1, 2),
        "seed": st.integers(0, 1),
    }
)


def meant(generate: dict[str, Any]) -> set[tuple[Any, ...]]:
    """What settings ask for, one entry a sample."""
    greedy = generate["temperature"] == 0.0
    own = () if greedy else (generate["top_p"], generate["top_k"], generate["seed"])
    common = (
        generate["max_new_tokens"],
        frozenset(generate["stop"]),
        generate["temperature"],
        *own,
    )
    return {(*common, slot) for slot in range(1 if greedy else generate["repeats"])}


@settings(max_examples=150, deadline=None)
@given(one=generations, two=generations)
def test_generations_share_a_key_exactly_when_they_mean_the_same(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    path = write_rows(scratch() / "g.jsonl", [{"p": "Q"}])
    tasks = [
        task(name=f"t{n}", kind="generate", choices=None, generate=generate)
        for n, generate in enumerate((one, two))
    ]
    plan = _core.Plan.build(ir(family("split", False).bundle, [dataset(path)], tasks))
    assert len(keys_of(plan)) == len(meant(one) | meant(two))


def test_the_same_ids_asked_in_two_ways_have_two_keys(tmp_path: Path) -> None:
    """A generation, a text, and both ways to split two ids, over the same tokens."""
    path = write_rows(tmp_path / "r.jsonl", [{"p": "+", "q": "+)", "c": [")(", "("]}])
    generate = {"max_new_tokens": 1, "stop": [], "temperature": 0.0, "top_p": 1.0, "top_k": 0}
    generate |= {"repeats": 1, "seed": 0}
    tasks = [
        task(name="early", delimiter="", choices={"template": "{{ [c[0]] }}"}),
        task(name="late", prompt="{{ q }}", delimiter="", choices={"template": "{{ [c[1]] }}"}),
        task(name="g", prompt="+)(", kind="generate", choices=None, generate=generate),
    ]
    bundle = next(iter([family("byte_level", False).bundle]))
    plan = _core.Plan.build(ir(bundle, [dataset(path)], tasks))
    found = [cell_requests(plan, n)[0][0] for n in range(3)]
    assert len({one.context + one.scored for one in found}) == 1
    assert len(keys_of(plan)) == 3


@settings(max_examples=100, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(texts, choice_lists), min_size=2, max_size=9, unique_by=lambda pair: pair[0]
    ),
    data=st.data(),
)
def test_the_order_of_rows_only_orders_the_cases(
    pairs: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    chosen = family("split", False)
    mixed = data.draw(st.permutations(pairs))
    one, two = plan_of(chosen, rows_of(pairs)), plan_of(chosen, rows_of(mixed))
    assert one.keys() == two.keys()
    by_id = [
        dict(zip(plan.cell(0)["case_ids"], cell_requests(plan, 0), strict=True))
        for plan in (one, two)
    ]
    assert by_id[0] == by_id[1]
    totals = [json.loads(plan.summary())["total"] for plan in (one, two)]
    assert totals[0] == totals[1]
