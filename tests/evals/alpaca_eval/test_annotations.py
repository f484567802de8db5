import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.alpaca_eval.annotations import read, read_preference
from harness.errors import DataError
from harness.records import Failure, Score
from tests.evals.alpaca_eval.judgements import row


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (1, 1.0), (2.0, 2.0), (1.5, 1.5), (1.234, 1.234), ("1.25", 1.25), (0, 1.5), (0.0, 1.5),
        (None, "no_preference"), (-1, "no_preference"), (-1.0, "no_preference"),
        (math.nan, "not_a_number"), ("", "not_a_number"), ("m", "not_a_number"),
        (True, "not_a_number"), ([1], "not_a_number"), ({}, "not_a_number"),
        (2.1, "out_of_range"), (0.5, "out_of_range"), (-0.5, "out_of_range"),
        (math.inf, "out_of_range"), (10**400, "not_a_number"),
    ],
)  # fmt: skip
def test_a_preference_is_from_1_to_2_or_a_failure(stored, read):
    outcome = read_preference(stored)
    assert (outcome.reason if isinstance(read, str) else outcome.value) == read


@given(stored=st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_no_stored_value_becomes_another_number(stored):
    outcome = read_preference(stored)
    if isinstance(outcome, Score):
        assert 1 <= outcome.value <= 2
        assert outcome.value == (float(stored) or 1.5)


def test_old_and_new_names_of_the_raw_completion(annotations):
    rows = [row(0, raw_completion={"text": "m"}), row(1, preference_raw_completion={"text": "M"})]
    [judged] = read([annotations(rows)])
    assert [one.raw_completion["text"] for one in judged.annotations] == ["m", "M"]
    assert judged.annotations[0].dataset == "made up"


def test_one_result_a_model_judge_and_reference(annotations):
    first = annotations([row(0), row(0, generator_2="yours"), row(0, annotator="chatgpt_fn")])
    second = annotations([row(1), row(1, generator_1="text_davinci_003")], "more.json")
    found = read([first, second])
    assert [(j.model, j.annotator, j.reference, len(j.annotations)) for j in found] == [
        ("mine", "weighted_alpaca_eval_gpt4_turbo", "gpt4_1106_preview", 2),
        ("yours", "weighted_alpaca_eval_gpt4_turbo", "gpt4_1106_preview", 1),
        ("mine", "chatgpt_fn", "gpt4_1106_preview", 1),
        ("mine", "weighted_alpaca_eval_gpt4_turbo", "text_davinci_003", 1),
    ]
    assert found[0].files == (first, second)


def test_a_model_without_a_name(annotations):
    nameless = row(0)
    del nameless["generator_2"], nameless["annotator"]
    [judged] = read([annotations([nameless])])
    assert (judged.model, judged.annotator) == ("Current model", "unknown")


def test_duplicates_count_once_and_a_retry_counts(annotations):
    rows = [row(0, 1.3), row(0, 1.3), row(1, -1), row(1, 1.7), row(2, None), row(2, None)]
    [judged] = read([annotations(rows)])
    assert [one.preference for one in judged.annotations[:2]] == [
        Score(value=1.3),
        Score(value=1.7),
    ]
    assert isinstance(judged.annotations[2].preference, Failure)
    assert judged.duplicates == 3


def test_rounding_is_no_contradiction_but_another_verdict_is(annotations):
    [judged] = read([annotations([row(0, 1.23456789), row(0, 1.2345679), row(1, 1), row(1, 2)])])
    assert judged.annotations[0].preference == Score(value=1.23456789)
    assert judged.annotations[1].preference.reason == "contradictory"
    assert "1, 2" in judged.annotations[1].preference.detail


def test_two_models_under_one_name_are_refused(annotations):
    rows = [row(0), row(0, output_2="something else")]
    with pytest.raises(DataError, match="mine has two different pairs of outputs to"):
        read([annotations(rows)])


def test_rows_without_outputs_still_have_a_preference(annotations):
    bare = {"instruction": "Why?", "preference": 1.5, "generator_2": "mine"}
    [judged] = read([annotations([bare])])
    [one] = judged.annotations
    assert (one.output, one.preference.value) == (None, 1.5)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [{"instruction": "Why?", "output": "So.", "generator": "mine"}],
            "has no judgements|holds no",
        ),
        ([], "is empty"),
        ([row(0), {"preference": 1}], "entry 2, has no instruction"),
    ],
)
def test_other_files_are_refused(annotations, rows, says):
    with pytest.raises(DataError, match=says):
        read([annotations(rows)])


def test_discrete_verdicts_are_told_from_probabilities(annotations):
    def discrete(*rows):
        [judged] = read([annotations(list(rows))])
        return judged.discrete

    odds = {"raw_completion": {"logprobs": {"content": [{}]}}}
    assert discrete(row(0, 1), row(1, 2), row(2, None))
    assert not discrete(row(0, 1), row(1, 1.2))
    assert not discrete(row(0, 1, **odds), row(1, 2, **odds))
    assert not discrete(row(0, 1.5, output_2="reference 0"))


@given(
    preferences=st.lists(
        st.none() | st.sampled_from([-1, 0, "x"]) | st.floats(1, 2), min_size=1, max_size=9
    )
)
def test_every_row_is_scored_or_failed(tmp_path_factory, preferences):
    path = tmp_path_factory.mktemp("rows") / "a.json"
    path.write_text(json.dumps([row(k, value) for k, value in enumerate(preferences)]))
    [judged] = read([path])
    failed = sum(value in (None, -1, "x") for value in preferences)
    kinds = [isinstance(one.preference, Failure) for one in judged.annotations]
    assert (len(kinds), sum(kinds)) == (len(preferences), failed)
