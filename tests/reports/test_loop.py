import pytest

from harness.records import ModelRef, RunRecord, Stage, StageResult
from reports.loop import loop


def tables(*rounds):
    """The tables of rounds with these metrics: title -> label -> cells."""
    stages = tuple(
        StageResult(
            stage=Stage(iteration=k, kind="train"),
            model=ModelRef(name=f"M{k}", location="x"),
            metrics=metrics,
        )
        for k, metrics in enumerate(rounds, start=1)
    )
    made = loop(RunRecord(request={}, environment={}, stages=stages))
    return {table.title: {row.label: row.cells for row in table.rows} for table in made}


def test_the_paper_s_steps_stand_in_their_order_and_unknown_ones_after():
    shown = tables({"own": {"x": 1}, "training": {"x": 1}, "sft": {"x": 1}, "pairs": {"x": 1}})
    assert list(shown) == ["sft", "pairs", "training", "own"]


def test_rounds_stand_side_by_side_and_only_where_they_have_the_section():
    shown = tables({"sft": {"rows": 3}}, {"pairs": {"pairs": 268}}, {"pairs": {"pairs": 222}})
    assert shown == {"sft": {"rows": ("3",)}, "pairs": {"pairs": ("268", "222")}}


def test_a_cause_that_did_not_occur_in_a_round_is_0():
    shown = tables(
        {"judgements": {"failed": {}}},
        {"judgements": {"failed": {"no_score": 2}}},
        {"judgements": {"failed": {"truncated": 1}}},
    )
    assert shown["judgements"] == {
        "failed: no score": ("0", "2", "0"),
        "failed: truncated": ("0", "0", "1"),
    }


def test_a_histogram_is_a_table_of_its_own_in_numeric_order_with_shares():
    shown = tables({"judgements": {"scores": {"10": 1, "2": 2, "3.5": 1}}})
    assert shown == {
        "judgements: scores": {"2": ("2 (50%)",), "3.5": ("1 (25%)",), "10": ("1 (25%)",)}
    }


def test_of_score_cells_only_the_commonest_ten_are_shown():
    cells = {f"5>{k}": k + 1 for k in range(12)}
    shown = tables({"pairs": {"score_cells": cells}})["pairs: score cells"]
    assert list(shown)[:2] == ["5 over 11", "5 over 10"]
    assert len(shown) == 10


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234, "1,234"),
        (0.123456, "0.1235"),
        (6e-5, "6e-05"),
        (float("inf"), "not finite"),
        (True, "yes"),
        (None, "\N{EN DASH}"),
        ({}, "none"),
        ([], "none"),
        ([1, "a"], "1, a"),
        (list(range(50)), "50 entries"),
        ([[1, 0.7], [40, 0.25]], "0.7 → 0.25 (steps 1\N{EN DASH}40)"),
        ("a\x1b[2J", "a␛[2J"),
    ],
)
def test_a_leaf_is_shown_in_a_few_words(value, shown):
    assert tables({"s": {"leaf": value}}) == {"s": {"leaf": (shown,)}}


def test_numbers_outside_any_section_are_shown_too():
    assert tables({"pairs": {"n": 1}, "speed": 2.5})["other numbers"] == {"speed": ("2.5",)}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("peak_memory", 758_226_944, "758.2 MB"),
        ("checkpoint_bytes", 16.1e9, "16.1 GB"),
        ("startup_seconds", 0.09286, "0.093 s"),
        ("seconds", 182.4, "3 min 02 s"),
        ("seconds", 0, "0 s"),
        ("step_seconds", [[1, 0.25], [40, 90]], "0.25 s → 1 min 30 s (steps 1\N{EN DASH}40)"),
        ("step_seconds", [1.5, None], "1.5 s, \N{EN DASH}"),
        ("step_seconds", float("inf"), "not finite"),
        ("peak_memory", float("nan"), "not finite"),
        ("seconds_per_row", 182.4, "182.4"),
        ("gpu_memory", 0.9, "0.9"),
    ],
)
def test_bytes_and_seconds_have_units_where_the_name_says_so(name, value, shown):
    assert tables({"training": {name: value}}) == {"training": {name.replace("_", " "): (shown,)}}
    assert tables({name: value, "n": 1})["other numbers"][name.replace("_", " ")] == (shown,)


def test_warnings_are_not_numbers():
    assert tables({"warnings": ["odd"]}) == {}
