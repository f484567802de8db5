"""Published figures from published judgements, where the shared data is."""

import pytest

from evals.alpaca_eval import annotations, controlled, instructions, leaderboard, length_control
from evals.alpaca_eval.controlled import control_by_position
from evals.alpaca_eval.covariates import find, read_weights
from evals.alpaca_eval.evaluation import AlpacaEval
from evals.alpaca_eval.judging import Pair, Verdict, from_package, preference
from evals.stored_files import read, read_csv
from harness.protocols import Step
from harness.records import Score
from tests.shared_data import shared

MODELS = {
    "claude-2": {
        "win_rate": 17.188240356708075,
        "standard_error": 1.17482825615589,
        "discrete_win_rate": 16.335403726708076,
        "average_length": 1069,
        "n_wins": 131,
        "n_wins_base": 673,
        "n_draws": 1,
    },
    "humpback-llama2-70b": {
        "win_rate": 10.121771502645965,
        "standard_error": 0.9401806122130112,
        "discrete_win_rate": 9.627329192546584,
        "average_length": 1107,
        "n_wins": 77,
        "n_wins_base": 727,
        "n_draws": 1,
    },
    "alpaca-7b": {
        "win_rate": 2.591450540223603,
        "standard_error": 0.4870855382635108,
        "discrete_win_rate": 2.298136645962733,
        "average_length": 396,
        "n_wins": 17,
        "n_wins_base": 785,
        "n_draws": 3,
    },
}
LENGTH_CONTROLLED = {
    "claude-2": 28.155196141629148,
    "humpback-llama2-70b": 16.249164231428974,
    "alpaca-7b": 5.875487163278986,
}
RANKS = {"claude-2": 77, "humpback-llama2-70b": 130, "alpaca-7b": 204}
FOLDER = "alpaca_eval/annotations"


@pytest.fixture(scope="module")
def results():
    files = [shared(f"{FOLDER}/{model}.json.gz") for model in MODELS]
    weights = shared("alpaca_eval/lc_glm_weights.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(length_control, "RESAMPLES", 20)
        return {result.model: result for result in AlpacaEval.score([*files, weights])}


@pytest.mark.parametrize("model", MODELS)
def test_the_leaderboard_rows(results, model):
    for name, published in MODELS[model].items():
        assert results[model].metric(name).value == pytest.approx(published, abs=1e-9)
    assert results[model].metric("win_rate").n == 805


@pytest.mark.parametrize("model", LENGTH_CONTROLLED)
def test_length_controlled_by_published_weights_and_fitted_again(results, model):
    name, published = "length_controlled_win_rate", LENGTH_CONTROLLED[model]
    by_weights = results[model].metric(f"{name}_published_weights")
    assert by_weights.value == pytest.approx(published, abs=1e-6)
    fitted = results[model].metric(name)
    assert fitted.value == pytest.approx(published, abs=1e-3)
    assert fitted.low < published < fitted.high
    assert "not official LC: surrogate files df_gamed_reconstructed.csv" in fitted.note


@pytest.mark.parametrize("model", RANKS)
def test_the_places_are_those_of_the_leaderboard(results, model):
    rank = results[model].metric("leaderboard_rank/length_controlled_win_rate")
    table = read_csv(shared("alpaca_eval/leaderboard_weighted_alpaca_eval_gpt4_turbo.csv"))
    better = [
        row
        for row in table
        if float(row["length_controlled_winrate"]) > LENGTH_CONTROLLED[model] and row[""] != model
    ]
    assert (rank.value, rank.n) == (RANKS[model], len(table))
    assert rank.value == len(better) + 1


def test_all_published_weights_give_the_published_rates():
    table = read_csv(shared("alpaca_eval/leaderboard_weighted_alpaca_eval_gpt4_turbo.csv"))
    weights = read_weights(shared("alpaca_eval/lc_glm_weights.csv"))
    difficulty = find({}, [shared("alpaca_eval")]).difficulty
    rates = {row[""]: float(row["length_controlled_winrate"]) for row in table}
    deviations = [
        abs(length_control.win_rate(weights[model], difficulty) - rates[model])
        for model in weights.keys() & rates.keys()
    ]
    assert len(deviations) == 199
    assert sum(deviation < 1e-4 for deviation in deviations) == 189
    assert max(deviations) < 0.2


def test_the_instructions_are_known_by_place():
    rows = read(shared("alpaca_eval/model_outputs/gpt4_1106_preview.json")).rows
    assert [instructions.position(row["instruction"]) for row in rows] == list(range(805))
    assert len(rows) == instructions.TOTAL


@pytest.mark.parametrize(("model", "undecided"), [("claude-2", 1), ("alpaca-7b", 3)])
def test_stored_preferences_are_those_of_the_log_probs_and_the_swap(model, undecided):
    [judged] = annotations.read([shared(f"{FOLDER}/{model}.json.gz")])
    annotator = from_package("weighted_alpaca_eval_gpt4_turbo")
    compared = 0
    for one in judged.annotations:
        if not one.has_logprobs:
            assert one.preference == Score(value=1.5)
            continue
        [content] = one.raw_completion["logprobs"]["content"]
        likeliest = tuple((top["token"], top["logprob"]) for top in content["top_logprobs"])
        pair = Pair(one.id, one.instruction, one.reference, one.output)
        verdict = Verdict(
            swapped=pair.swapped,
            text=content["token"],
            finish_reason="length",
            steps=(Step(content["token"], likeliest),),
            failure=None,
        )
        read_again = preference(annotator, verdict)
        assert read_again.value == pytest.approx(one.preference.value, abs=1e-6)
        compared += 1
    assert compared == 805 - undecided


def test_missing_rows_shift_no_difficulty(monkeypatch):
    monkeypatch.setattr(length_control, "RESAMPLES", 1)
    [judged] = annotations.read([shared(f"{FOLDER}/claude-2.json.gz")])
    fewer = type(judged)(judged.model, judged.reference, judged.annotator, judged.annotations[3:])
    there = find({}, [shared("alpaca_eval")])
    by_id = controlled.control(fewer, there).found.value
    assert by_id == pytest.approx(LENGTH_CONTROLLED["claude-2"], abs=0.5)
    assert abs(control_by_position(fewer, there).value - by_id) > 1


def test_the_package_has_the_shared_leaderboard():
    table = read_csv(shared("alpaca_eval/leaderboard_weighted_alpaca_eval_gpt4_turbo.csv"))
    assert leaderboard._table() == table
