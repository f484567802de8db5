import gzip
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from evals.alpaca_eval import length_control
from evals.alpaca_eval.evaluation import AlpacaEval
from harness import cli
from harness.data import catalogue, folder
from harness.errors import DataError
from tests.evals.alpaca_eval.judgements import TOTAL, judged_rows, row

score = AlpacaEval.score


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(length_control, "RESAMPLES", 5)


def values(result):
    return {metric.name: metric.value for metric in result.metrics}


def test_the_definitions_by_hand(annotations):
    rows = [row(0, 1.0), row(1, 1.5), row(2, 2.0), row(3, 1.75), row(4, 0), row(5, None)]
    [result] = score([annotations(rows)])
    found = values(result)
    wins = [0, 50, 100, 75, 50]
    assert found["win_rate"] == pytest.approx(np.mean(wins))
    assert found["standard_error"] == pytest.approx(np.std(wins, ddof=1) / np.sqrt(5))
    assert found["discrete_win_rate"] == pytest.approx(np.mean([0, 50, 100, 100, 50]))
    assert found["average_length"] == 8
    assert [found[name] for name in ("n_wins", "n_wins_base", "n_draws")] == [2, 1, 2]
    rate = result.metric("win_rate")
    assert (rate.n, rate.failed) == (5, 1)
    assert rate.low < rate.value < rate.high
    assert result.failures == {"no_preference": 1}
    assert [item.outcome.value for item in result.items[:5]] == wins


def test_a_stored_verdict_is_shown_as_far_as_it_is_there(annotations):
    likely = [{"token": "M", "logprob": 0}, {"token": "m", "logprob": -2.0}, {"token": "x"}, 7]
    told = {"message": {"content": "M"}, "logprobs": {"content": [{"top_logprobs": likely}]}}
    odd = {"logprobs": {"content": [{"top_logprobs": None}]}, "text": 7}
    raw = [told, "m is better", odd, None]
    [result] = score([annotations([row(k, 1.25, raw_completion=one) for k, one in enumerate(raw)])])
    assert [item.details["verdicts"] for item in result.items] == [
        [{"text": "M", "value": 0.25, "probabilities": {"M": 1.0, "m": 0.135}}],
        [{"text": "m is better", "value": 0.25}],
        [],
        [],
    ]
    assert result.judge == "weighted_alpaca_eval_gpt4_turbo"


def test_lengths_are_characters_cut_to_a_whole_number(annotations):
    rows = [row(0, output_2="ab😀"), row(1, output_2="abcd"), row(2, output_2="abcd")]
    [result] = score([annotations(rows)])
    length = result.metric("average_length")
    assert (length.value, length.n) == (3, 3)


def test_the_reference_against_itself(annotations):
    same = {"generator_2": "gpt4_1106_preview"}
    rows = [row(k, 1.5, output_2=f"reference {k}", **same) for k in range(6)]
    [result] = score([annotations(rows)])
    found = values(result)
    assert (found["win_rate"], found["standard_error"]) == (50, 0)
    assert (found["discrete_win_rate"], found["length_controlled_win_rate"]) == (50, 50)
    assert found["lc_weight/model"] == 0


def test_nothing_readable_is_no_number(annotations):
    [result] = score([annotations([row(0, -1), row(1, None)])])
    for name in ("win_rate", "standard_error", "discrete_win_rate", "length_controlled_win_rate"):
        metric = result.metric(name)
        assert (metric.value, metric.n, metric.failed) == (None, 0, 2)


def test_gamed_rows_alone_make_no_rate(official, annotations, gamed_csv):
    rows = judged_rows()
    for one in rows[4:]:
        one["preference"] = None
    [result] = score([annotations(rows), gamed_csv()])
    rate = result.metric("length_controlled_win_rate")
    assert (rate.value, rate.n, rate.failed) == (None, 0, TOTAL - 4)
    assert "wants 5 judgements" in rate.note


def test_rows_without_an_output_are_in_no_length(official, annotations, gamed_csv):
    rows = judged_rows()
    for one in rows[:3]:
        one["output_2"] = None
    [result] = score([annotations(rows), gamed_csv()])
    counted = {
        name: (result.metric(name).n, result.metric(name).failed)
        for name in ("win_rate", "average_length", "length_controlled_win_rate")
    }
    assert counted["win_rate"] == (TOTAL, 0)
    assert counted["average_length"] == counted["length_controlled_win_rate"] == (TOTAL - 3, 3)


def test_every_answer_to_which_files_there_are_is_labelled(
    official, annotations, gamed_csv, difficulty_csv
):
    file = annotations(judged_rows(300))

    def note(*files):
        [result] = score([file, *files])
        metric = result.metric("length_controlled_win_rate")
        assert metric.value is not None
        assert result.description.rpartition("; ")[2] in metric.note
        return metric.note

    assert "not official LC: no df_gamed.csv and no instruction_difficulty.csv" in note()
    assert "without gamed baselines; surrogate files difficulty.csv" in note(
        difficulty_csv(name="difficulty.csv")
    )
    assert "not official LC: surrogate files gamed.csv" in note(gamed_csv(name="gamed.csv"))


def test_the_official_file_is_told_by_its_hash(official, annotations, gamed_csv, monkeypatch):
    gamed = gamed_csv()
    known = catalogue.load()["alpaca_eval/df_gamed.csv"]
    entry = known.model_copy(update={"sha256": folder.sha256(gamed)})
    monkeypatch.setattr(catalogue, "load", lambda: {"alpaca_eval/df_gamed.csv": entry})
    [result] = score([annotations(judged_rows()), gamed])
    assert result.metric("length_controlled_win_rate").note == ""


def test_files_are_found_beside_above_and_in_the_data_folder(
    official, annotations, gamed_csv, tmp_path, monkeypatch
):
    file = annotations(judged_rows(50))

    def used():
        [result] = score([file])
        return result.description.partition("length control with ")[2].partition(";")[0]

    assert used() == ""
    data = tmp_path / "data"
    monkeypatch.setenv("HARNESS_DATA", str(data))
    gamed_csv(data / "alpaca_eval", "df_gamed_pulled.csv")
    assert used() == "df_gamed_pulled.csv"
    gamed_csv(file.parent.parent, "df_gamed_above.csv")
    assert used() == "df_gamed_above.csv"
    gamed_csv(file.parent, "df_gamed_beside.csv")
    assert used() == "df_gamed_beside.csv"
    own = file.parent / "mine" / "judge" / file.name  # as in AlpacaEval's repository
    own.parent.mkdir(parents=True)
    file = file.rename(own)
    (tmp_path / "results" / "df_gamed_beside.csv").unlink()
    assert used() == "df_gamed_above.csv"
    [result] = score([file, gamed_csv(tmp_path / "named", "any.csv")])
    assert result.description.endswith("not official LC: surrogate files any.csv")


def test_the_official_file_goes_before_one_that_lies_nearer(
    official, annotations, gamed_csv, tmp_path, monkeypatch
):
    file = annotations(judged_rows(50))
    gamed_csv(file.parent, "df_gamed_surrogate.csv").write_text("not read")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    pulled = gamed_csv(tmp_path / "data/alpaca_eval")
    known = catalogue.load()["alpaca_eval/df_gamed.csv"]
    entry = known.model_copy(update={"sha256": folder.sha256(pulled)})
    monkeypatch.setattr(catalogue, "load", lambda: {"alpaca_eval/df_gamed.csv": entry})
    [result] = score([file])
    assert "length control with df_gamed.csv" in result.description
    assert "not official" not in result.metric("length_controlled_win_rate").note


def test_files_lie_beside_a_link_as_well_as_beside_what_it_means(
    official, annotations, gamed_csv, tmp_path
):
    link = tmp_path / "elsewhere" / "mine.json"
    link.parent.mkdir()
    link.symlink_to(annotations(judged_rows(50)))
    gamed_csv(tmp_path / "results")
    [meant] = score([link])
    assert "length control with df_gamed.csv" in meant.description
    gamed_csv(link.parent, "df_gamed_named.csv")
    [named] = score([link])
    assert "length control with df_gamed_named.csv" in named.description


def test_a_stray_instruction_is_left_out_of_the_fit(official, annotations, gamed_csv):
    rows, gamed = judged_rows(), gamed_csv()
    [without] = score([annotations(rows[:-1]), gamed])
    rows[-1]["instruction"] = "Mine?"
    [result] = score([annotations(rows), gamed])
    rate = result.metric("length_controlled_win_rate")
    assert rate.value == without.metric("length_controlled_win_rate").value
    assert (rate.n, rate.failed) == (TOTAL - 1, 1)
    assert "not official LC" in rate.note
    assert "without 1 that are not AlpacaEval's instructions" in rate.note
    assert result.metric("win_rate").n == TOTAL


def test_a_torn_line_is_told_with_every_rate(official, annotations):
    file = annotations([], "annotations.jsonl")
    file.write_text("\n".join(json.dumps(one) for one in judged_rows(20))[:-5])
    [result] = score([file])
    rate = result.metric("win_rate")
    assert (rate.n, "torn last line of annotations.jsonl left out" in rate.note) == (19, True)


def test_difficulties_belong_to_instructions_whatever_the_order(official, annotations, gamed_csv):
    rows = judged_rows()
    gamed = gamed_csv()
    [whole] = score([annotations(rows), gamed])
    [turned] = score([annotations(rows[::-1]), gamed])
    name = "length_controlled_win_rate"
    assert turned.metric(name) == whole.metric(name)
    assert whole.metric(f"{name}_positional") is None
    assert whole.metric("lc_weight/difficulty").value > 0.5
    by_position = turned.metric(f"{name}_positional")
    assert abs(by_position.value - turned.metric(name).value) > 0.01


def test_missing_rows_shift_nothing_and_are_said(official, annotations, gamed_csv):
    [result] = score([annotations(judged_rows()[5:]), gamed_csv()])
    rate = result.metric("length_controlled_win_rate")
    assert (rate.n, rate.failed) == (TOTAL - 5, 0)
    assert "5 of AlpacaEval's 805 instructions are missing" in rate.note
    assert "as published" in result.metric("length_controlled_win_rate_positional").note


def test_instructions_of_another_set_get_no_difficulties(official, annotations, gamed_csv):
    rows = [row(k, 1 + k % 10 / 10, instruction=f"Mine {k}", output_2="x" * k) for k in range(40)]
    rows += judged_rows(10)
    [result] = score([annotations(rows), gamed_csv()])
    rate = result.metric("length_controlled_win_rate")
    assert "40 of 50 instructions are not AlpacaEval's" in rate.note
    assert rate.value is not None
    assert result.metric("lc_weight/difficulty").value == 0
    assert result.metric("win_rate").n == 50
    assert "other instructions: not comparable" in result.metric("win_rate").note
    assert result.metric("leaderboard_rank/win_rate") is None


def test_published_weights_among_the_files(official, annotations, difficulty_csv, tmp_path):
    weights = tmp_path / "weights.csv"
    weights.write_text(
        ",np.tanh(std_delta_len),instruction_difficulty,not_gamed_baseline.astype(float)\n"
        "mine,-1.5,0.0,0.75\nyours,-1,1,0\n"
    )
    rows = judged_rows(30) + [{**one, "generator_2": "other"} for one in judged_rows(30)]
    mine, other = score([annotations(rows), weights, difficulty_csv()])
    name = "length_controlled_win_rate_published_weights"
    assert mine.metric(name).value == pytest.approx(100 / (1 + np.exp(-0.75)))
    assert other.metric(name) is None


def test_judges_in_one_call_are_kept_apart_and_marked(official, annotations):
    rows = [row(k, 1.2) for k in range(5)] + [row(k, 1.8, annotator="cheap") for k in range(5)]
    first, second = score([annotations(rows)])
    assert first.metric("win_rate").note.startswith("800 of")
    assert "judge substituted (cheap): not comparable" in second.metric("win_rate").note
    assert first.protocol != second.protocol
    assert first.metric("leaderboard_rank/win_rate").value > 1
    assert second.metric("leaderboard_rank/win_rate") is None


def test_a_fit_that_its_penalty_emptied_has_no_interval_and_says_so(annotations):
    # Half of the judgements each way, whatever the lengths: no coefficient is worth its penalty.
    rows = [row(k, 1.0 + k % 2, output_2="a" * (10 + k // 2)) for k in range(40)]
    [result] = score([annotations(rows)])
    rate = result.metric("length_controlled_win_rate")
    assert (rate.value, rate.low, rate.high) == (50, None, None)
    assert "left nothing of it" in rate.note


def test_the_place_in_the_leaderboard_has_its_neighbours(official, annotations):
    [result] = score([annotations([row(k, 1.171) for k in range(5)])])
    rank = result.metric("leaderboard_rank/win_rate")
    assert rank.n == 224
    assert rank.note.startswith("of 5 judgements alone; below claude-2 (17.2), above claude (17.0)")
    # A figure of its own in the table is not counted against a model.
    [again] = score([annotations([row(k, 1.171, generator_2="claude-2") for k in range(5)])])
    own = again.metric("leaderboard_rank/win_rate")
    assert (own.n, own.value) == (223, rank.value - 1)


def test_an_extreme_rate_is_warned_of(official, annotations):
    rows = [row(k, 1.9, output_2="y" * (600 + 7 * (k % 50))) for k in range(400)]
    rows += [row(k, 1.1, output_2="y" * (1 + k % 50)) for k in range(400, TOTAL)]
    for one in rows:
        one["output_1"] = "x" * 600
    [result] = score([annotations(rows)])
    assert "the fit may have failed" in result.metric("length_controlled_win_rate").note


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "instruction_difficulty.csv",
            "index,instruction_difficulty\n0,1.0\n",
            "of 1 instr",
        ),
        ("instruction_difficulty.csv", "index,instruction_difficulty\n0,hard\n", "no number in"),
        ("df_gamed.csv", "a,b\n1,2\n", "no number in"),
    ],
)
def test_a_damaged_file_is_one_line(official, annotations, tmp_path, name, text, says):
    file = annotations(judged_rows(20))
    (file.parent / name).write_text(text)
    with pytest.raises(DataError, match=says) as error:
        score([file])
    assert name in str(error.value)


def test_files_without_judgements_are_refused(difficulty_csv):
    with pytest.raises(DataError, match="no judgements among"):
        score([difficulty_csv()])


def test_the_command_line_prints_rows_as_in_the_summary(annotations):
    packed = annotations([row(k, 1 + k / 9) for k in range(9)]).with_suffix(".json.gz")
    packed.write_bytes(gzip.compress(packed.with_suffix("").read_bytes()))
    done = CliRunner().invoke(cli.app, ["score", "alpaca_eval", str(packed), "--json"])
    assert done.exit_code == 0, done.output
    rows = {one["metric"]: one for one in json.loads(done.stdout)}
    assert rows["win_rate"]["value"] == pytest.approx(400 / 9)
    assert (rows["win_rate"]["model"], rows["win_rate"]["n"]) == ("mine", 9)
