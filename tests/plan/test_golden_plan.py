"""Plans of small specs, their token ids worked out by hand from the tokenizer's table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalc import _core
from evalc.plan import tokenizers
from planned_requests import Asked, cell_requests, dataset, ir, task
from tiny_models import BOS, EOS, ids, merged, write_rows

SHOT = {"k": 2, "select": "first", "seed": 0, "template": "<{{ p }}>", "separator": "|"}
GENERATE = {
    "max_new_tokens": 3,
    "stop": ["b", "a", "b"],
    "temperature": 0.0,
    "top_p": 0.5,
    "top_k": 7,
    "repeats": 3,
    "seed": 5,
}


@pytest.fixture
def asked(bundle: Path, tmp_path: Path) -> Any:
    """Requests by case of one task on some rows."""

    def requests(rows: list[dict[str, Any]], **changes: Any) -> list[list[Asked]]:
        model = changes.pop("model", {})
        path = write_rows(tmp_path / "rows.jsonl", rows)
        content = ir(bundle, [dataset(path)], [task(**changes)], **model)
        return cell_requests(_core.Plan.build(content), 0)

    return requests


def pair(context: list[int], scored: list[int]) -> Asked:
    return Asked(tuple(context), tuple(scored))


def texts(cases: list[list[Asked]]) -> list[str]:
    """Contexts as text, where nothing was merged."""
    return [bytes(i - 3 for i in case[0].context).decode() for case in cases]


def test_a_choice_follows_its_context_behind_one_space(asked: Any) -> None:
    (case,) = asked([{"p": "Q", "c": ["A", "C", "B no"]}])
    assert case == [
        pair(ids("Q"), [merged(" A")]),
        pair(ids("Q"), ids(" C")),
        pair(ids("Q"), [merged(" B"), *ids(" no")]),
    ]


def test_white_space_at_the_end_of_a_context_moves_to_the_continuation(asked: Any) -> None:
    (case,) = asked([{"p": "Q ", "c": ["A"]}], delimiter="")
    assert case == [pair(ids("Q"), [merged(" A")])]
    (case,) = asked([{"p": "Q\n\t ", "c": ["B"]}], delimiter="")
    # the pre-tokenizer keeps the last space for the word: "Q", "\n\t", " B"
    assert case == [pair(ids("Q"), [*ids("\n\t"), merged(" B")])]


def test_a_continuation_is_the_rest_of_the_whole_encoding(asked: Any) -> None:
    """`ab` + `cde` is read as `abcd`, `e`: one context id is taken off, whatever it was."""
    (case,) = asked([{"p": "Q ab", "c": ["cde"]}], delimiter="")
    assert case == [pair([*ids("Q "), merged("ab")], ids("e"))]


def test_an_empty_context_is_the_token_that_starts_a_text(asked: Any) -> None:
    (case,) = asked([{"p": "", "c": ["A", "C"]}])
    assert case == [pair([BOS], [merged(" A")]), pair([BOS], ids(" C"))]


def test_a_delimiter_stands_between_context_and_choice(asked: Any) -> None:
    (case,) = asked([{"p": "Q", "c": ["A"]}], delimiter="\n\n")
    assert case == [pair(ids("Q"), ids("\n\nA"))]


def test_a_description_precedes_everything(asked: Any) -> None:
    (case,) = asked([{"p": "Q", "c": ["C"]}], description="D{{ p }}!")
    assert case == [pair(ids("D{{ p }}!Q"), ids(" C"))]


def test_choices_may_be_a_list_of_templates(asked: Any) -> None:
    (case,) = asked([{"p": "Q", "c": 3}], choices={"list": ["no", "{{ c }}{{ p }}"]})
    assert case == [pair(ids("Q"), ids(" no")), pair(ids("Q"), ids(" 3Q"))]


ROWS = [{"p": letter, "c": ["z"]} for letter in "KLMNOPRSTU"]


def test_first_shots_skip_the_case_itself(asked: Any) -> None:
    cases = asked(ROWS, fewshot={"dataset": 0, **SHOT})
    assert texts(cases)[:4] == ["<L>|<M>K", "<K>|<M>L", "<K>|<L>M", "<K>|<L>N"]


def test_random_shots_are_one_draw_for_all_cases_but_their_own(asked: Any) -> None:
    shots = {"dataset": 0, **SHOT, "select": "random"}
    found = texts(asked(ROWS, fewshot=shots))
    drawn = {text[:-1] for text in found}
    undisturbed = {text[:-1] for text in found if f"<{text[-1]}>" not in _usual(found)}
    assert undisturbed == {_usual(found)}
    assert len(drawn) <= 3
    assert all(f"<{text[-1]}>" not in text for text in found)
    assert texts(asked(ROWS, fewshot=shots)) == found
    assert texts(asked(ROWS, fewshot={**shots, "seed": 1})) != found


def _usual(found: list[str]) -> str:
    heads = [text[:-1] for text in found]
    return max(heads, key=heads.count)


def test_shots_per_case_differ_and_never_hold_the_case(asked: Any) -> None:
    shots = {"dataset": 0, **SHOT, "select": "per_case"}
    found = texts(asked(ROWS, fewshot=shots))
    assert len({text[:-1] for text in found}) > 5
    assert all(f"<{text[-1]}>" not in text for text in found)
    assert all(text.count("<") == 2 for text in found)
    # another row's disappearance changes only the cases that had it as a shot
    fewer = texts(asked(ROWS[:-1], fewshot=shots))
    kept = [text for text in found[:-1] if "<U>" not in text]
    assert set(kept) <= set(fewer)


def test_shots_of_another_dataset_are_taken_as_they_come(bundle: Path, tmp_path: Path) -> None:
    cases = write_rows(tmp_path / "cases.jsonl", ROWS[:1])
    shots = write_rows(tmp_path / "shots.jsonl", ROWS[:3])
    fewshot = {**SHOT, "dataset": 1, "k": 3}
    content = ir(bundle, [dataset(cases), dataset(shots)], [task(fewshot=fewshot)])
    assert texts(cell_requests(_core.Plan.build(content), 0)) == ["<K>|<L>|<M>K"]


def test_a_generation_has_settings_that_say_only_what_matters(asked: Any, bundle: Path) -> None:
    rows = [{"p": "Q", "c": []}]
    (case,) = asked(rows, kind="generate", choices=None, generate=GENERATE)
    assert case == [Asked(tuple(ids("Q")), (), 0)]


def test_settings_are_canonical(bundle: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"p": "Q"}])
    sampled = {**GENERATE, "temperature": 0.5}
    tasks = [
        task(name=name, kind="generate", choices=None, generate=generate)
        for name, generate in (("greedy", GENERATE), ("sampled", sampled))
    ]
    plan = _core.Plan.build(ir(bundle, [dataset(path)], tasks))
    greedy, *drawn = json.loads(plan.settings())
    neutral = {"top_p": 1.0, "top_k": 0, "seed": 0, "slot": 0}
    decoding = "decoding.v1:" + json.loads(bundle.read_bytes())["decoding"]
    common = {
        "max_new_tokens": 3,
        "stop": ["a", "b"],
        "eos_ids": [EOS],
        "corrections": [decoding],
    }
    assert greedy == {**common, **neutral, "temperature": 0.0}
    own = {"top_p": 0.5, "top_k": 7, "seed": 5, "temperature": 0.5}
    assert drawn == [{**common, **own, "slot": slot} for slot in range(3)]
    assert [len(case) for case in cell_requests(plan, 1)] == [3]


def test_perplexity_reads_a_text_in_disjoint_windows(asked: Any) -> None:
    """Three tokens at a time; every token is scored once, the first behind the start token."""
    rows = [{"p": "KLMNOPR"}]
    (case,) = asked(rows, kind="perplexity", choices=None, model={"max_length": 3})
    assert case == [
        pair([BOS], ids("KLM")),
        pair(ids("M"), ids("NOP")),
        pair(ids("NOP"), ids("R")),
    ]


def test_truncation_drops_the_left_of_the_context(asked: Any) -> None:
    rows = [{"p": "KLMNOPR", "c": ["z", "zz"]}]
    (case,) = asked(rows, overflow="truncate", model={"max_length": 5})
    # room for 6 tokens, the last of which is only predicted; the longest choice has 3
    assert case == [pair(ids("OPR"), ids(" z")), pair(ids("OPR"), ids(" zz"))]


def test_native_targets_are_indices_texts_or_labels(bundle: Path, tmp_path: Path) -> None:
    rows = [{"p": "Q", "c": ["x", "y"], "i": 1, "t": "y", "l": [0, 1]}]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    tasks = [task(name=k, target="{{ " + k + " }}") for k in "itl"]
    plan = _core.Plan.build(ir(bundle, [dataset(path)], tasks))
    assert [plan.cell(n)["targets"] for n in range(3)] == [["1"], ["1"], ["[0,1]"]]


def test_chat_writes_prompt_and_system_message_through_the_template(
    chat_model: Path, tmp_path: Path
) -> None:
    bundle = tokenizers.bundle(chat_model, tmp_path, trust_remote_code=False, place=None)
    path = write_rows(tmp_path / "rows.jsonl", [{"p": "Q ", "c": ["z"]}])
    content = ir(bundle, [dataset(path)], [task()], chat=True, system="S")
    (case,) = cell_requests(_core.Plan.build(content), 0)
    user = [*ids("us"), merged("er"), *ids("\nQ ")]
    turn = [BOS, *ids("system\nS"), EOS, *ids("\n"), BOS, *user, EOS, *ids("\n")]
    # the template ends in a line feed, which belongs to the continuation, and there is no space
    assert case == [pair([*turn, BOS, *ids("assistant")], ids("\nz"))]


def test_what_a_case_was_made_of_can_be_asked_for(bundle: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"p": "Q", "c": ["x", "y"], "l": 1}])
    plan = _core.Plan.build(ir(bundle, [dataset(path)], [task(target="{{ l }}")]))
    case = json.loads(plan.case(0, 0))
    (case_id,) = plan.cell(0)["case_ids"]
    assert case == {
        "id": case_id,
        "line": 1,
        "row": {"p": "Q", "c": ["x", "y"], "l": 1},
        "prompt": "Q",
        "choices": ["x", "y"],
        "target": 1,
    }
    with pytest.raises(IndexError):
        plan.case(0, 1)
