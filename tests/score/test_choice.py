from __future__ import annotations

import math

import numpy as np
import pytest
from cell_builders import choice_cell

from evalc.diagnostics import Faults
from evalc.score import Scoring, score_cell

NAN = math.nan


def values(cell, *metrics: str) -> list[list[float]]:
    scores = score_cell(cell, Scoring(metrics))
    return [scores.columns[metric].values.tolist() for metric in metrics]


def test_acc_is_1_where_the_likeliest_choice_is_the_target() -> None:
    cell = choice_cell([[-1, -2], [-1, -2], [-3, -2, -1]], [0, 1, 2])
    assert values(cell, "acc") == [[1, 0, 1]]


def test_a_tie_goes_to_the_first_choice() -> None:
    assert values(choice_cell([[-1, -1], [-1, -1]], [0, 1]), "acc") == [[1, 0]]


def test_acc_norm_counts_characters_and_acc_bytes_counts_bytes() -> None:
    cell = choice_cell([[-4.0, -3.0]], [0], choices=[["ééé", "ab"]])
    assert values(cell, "acc", "acc_norm", "acc_bytes") == [[0], [1], [1]]
    wide = choice_cell([[-5.0, -3.0]], [0], choices=[["éé", "ab"]])
    assert values(wide, "acc_norm", "acc_bytes") == [[0], [1]]


def test_an_empty_choice_counts_as_one_character() -> None:
    assert values(choice_cell([[-1.0, -8.0]], [0], choices=[["", "abcd"]]), "acc_norm") == [[1]]


def test_a_text_target_is_the_choice_of_that_text_before_it_is_an_index() -> None:
    choices = [["1", "0"], ["yes", "no"], ["yes", "no"]]
    cell = choice_cell([[-1, -2], [-1, -2], [-1, -2]], ["1", "yes", "1"], choices=choices)
    assert values(cell, "acc") == [[1, 1, 0]]


def test_labels_make_several_choices_right() -> None:
    assert values(choice_cell([[-3, -1, -2]], [[0, 1, 1]]), "acc") == [[1]]


def test_mc2_is_the_mass_on_the_right_choices() -> None:
    logs = [-30.0, -31.0, -29.5]
    mass = np.exp(logs)
    (found,) = values(choice_cell([logs], [[1, 0, 1]]), "mc2")
    assert found[0] == pytest.approx((mass[0] + mass[2]) / mass.sum(), abs=1e-15)


def test_mc2_holds_where_the_probabilities_underflow() -> None:
    (found,) = values(choice_cell([[-2000.0, -2001.0]], [[1, 0]]), "mc2")
    assert found[0] == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.mark.parametrize("target", [4, -1, "unknown", [1, 0, 0], [0, 0], None, True, {"a": 1}, []])
def test_a_target_that_names_no_choice_is_a_fault_that_names_the_case(target: object) -> None:
    with pytest.raises(Faults) as caught:
        score_cell(choice_cell([[-1, -2], [-1, -2]], [0, target]), Scoring(("acc",)))
    assert caught.value.diagnostics[0].code == "bad-target"
    assert "`case-1`" in str(caught.value)


def test_many_bad_targets_are_summed_up() -> None:
    with pytest.raises(Faults) as caught:
        score_cell(choice_cell([[-1, -2]] * 9, [7] * 9), Scoring(("acc",)))
    assert len(caught.value.diagnostics) == 5
    assert caught.value.diagnostics[-1].notes == ("and 4 more like it",)


def test_a_case_with_a_missing_record_is_left_out_of_every_metric() -> None:
    cell = choice_cell([[-1, NAN], [-1, -2]], [0, 0])
    scores = score_cell(cell, Scoring(("acc", "acc_norm", "mc2", "likelihood_diff")))
    for column in scores.columns.values():
        assert column.present.tolist() == [False, True]
        assert math.isnan(column.values[0]) and not math.isnan(column.values[1])
    assert scores.picked is not None and scores.picked.tolist() == [-1, 0]


def test_likelihood_diff_refuses_three_choices() -> None:
    with pytest.raises(Faults) as caught:
        score_cell(choice_cell([[-1, -2, -3]], [0]), Scoring(("likelihood_diff",)))
    assert caught.value.diagnostics[0].code == "unfit-metric"


def test_vectorised_accuracy_equals_a_loop_over_ragged_cases() -> None:
    rng = np.random.default_rng(7)
    logs = [rng.normal(-20, 5, size=rng.integers(1, 6)).tolist() for _ in range(500)]
    targets = [int(rng.integers(0, len(own))) for own in logs]
    texts = [["x" * int(rng.integers(1, 40)) for _ in own] for own in logs]
    acc, norm = values(choice_cell(logs, targets, choices=texts), "acc", "acc_norm")
    for i, own in enumerate(logs):
        assert acc[i] == float(max(range(len(own)), key=own.__getitem__) == targets[i])
        scaled = [x / len(text) for x, text in zip(own, texts[i], strict=True)]
        assert norm[i] == float(max(range(len(own)), key=scaled.__getitem__) == targets[i])


def test_no_cases_score_to_empty_columns() -> None:
    cell = choice_cell([], [])
    assert values(cell, "acc", "acc_norm", "acc_bytes", "mc2", "likelihood_diff") == [[]] * 5
