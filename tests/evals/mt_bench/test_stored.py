import gzip
import json
import math

import pytest
from typer.testing import CliRunner

from evals.mt_bench.evaluation import MTBench
from harness.cli import app
from harness.errors import DataError
from harness.records import Score
from tests.shared_data import shared


def rated(question, turn, score=None, model="m", judge=("gpt-4", "single-v1"), **more):
    row = {"question_id": question, "model": model, "judge": judge, "turn": turn, **more}
    return row if score is None else {**row, "score": score}


def compared(question, turn, g1, g2, one="M2", two="M1"):
    return {
        "question_id": question, "model_1": one, "model_2": two, "g1_winner": g1,
        "g2_winner": g2, "judge": ["gpt-4", "pair-v2"], "turn": turn,
    }  # fmt: skip


WHOLE = [rated(id, turn, id % 10) for id in range(81, 161) for turn in (1, 2)]


@pytest.fixture
def scored(tmp_path):
    """Score rows as files of the given names."""

    def score(*files, **named):
        written = []
        for number, rows in enumerate(files):
            named[f"file{number}"] = rows
        for name, rows in named.items():
            path = tmp_path / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            written.append(path)
        return MTBench.score(written)

    return score


def values(result, against=None):
    return {m.name: m.value for m in result.metrics if m.against == against}


def test_rows_with_and_without_text_are_averaged(scored):
    [result] = scored(WHOLE)
    assert values(result)["score"] == pytest.approx(4.5)
    assert values(result)["score_math"] == pytest.approx(4.5)
    assert result.metric("score").n == 160
    assert (result.evaluation, result.model) == ("mt_bench", "m")
    assert result.description == "m, stored judgements by gpt-4: 160 of 160 turns rated"
    assert {metric.note for metric in result.metrics} == {"judged by gpt-4"}
    assert [item.id for item in result.items[:3]] == ["81/1", "81/2", "82/1"]
    assert (result.items[0].category, result.items[-1].category) == ("writing", "humanities")


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (-1, "not_scored"),
        (-1.0, "not_scored"),
        (float("nan"), "not_scored"),
        ("", "not_scored"),
        ("good", "not_scored"),
        ([8], "not_scored"),
        (True, "not_scored"),
        (11, "out_of_range"),
        (-2, "out_of_range"),
        (math.inf, "not_scored"),
    ],
)
def test_what_is_no_score_is_counted_and_never_averaged(scored, score, reason):
    [result] = scored([rated(81, 1, 4), rated(81, 2, score)])
    assert result.failures == {reason: 1}
    metric = result.metric("score")
    assert (metric.value, metric.n, metric.failed) == (4, 1, 1)
    turn_2 = result.metric("score_turn_2")
    assert (turn_2.value, turn_2.n, turn_2.failed) == (None, 0, 1)
    assert f"1 failed ({reason} 1)" in result.description


def test_null_is_no_score_even_where_the_text_has_one(scored):
    null = {**rated(81, 2), "score": None, "judgment": "Rating: [[9]]"}
    [result] = scored([rated(81, 1, 4), null])
    assert result.metric("score").value == 4
    assert result.failures == {"not_scored": 1}


def test_without_a_score_the_text_is_read(scored):
    rows = [rated(81, 1, judgment="[[1]] no: [[9]]"), rated(81, 2, judgment="$ERROR$")]
    [result] = scored(rows)
    assert result.metric("score").value == 9
    assert result.failures == {"no_rating": 1}
    assert "1 scores read from the judge's text" in result.description


def test_a_stored_score_counts_even_where_its_text_says_something_else(scored):
    [result] = scored(
        [rated(81, 1, 4, judgment="Rating: [[9]]"), rated(81, 2, 5, judgment="[[5]]")]
    )
    assert result.metric("score").value == 4.5
    assert "1 scores are not the last rating in the judge's text" in result.description


@pytest.mark.parametrize("score", [8, 8.0, "8", " 8.0 "])
def test_numbers_may_be_written_as_text(scored, score):
    [result] = scored([rated("81", "1", score), rated(81.0, 2.0, score)])
    assert result.metric("score").value == 8
    assert [item.id for item in result.items] == ["81/1", "81/2"]
    assert result.items[0].category == "writing"


def test_missing_rows_make_n_smaller_and_are_told(scored):
    [result] = scored(WHOLE[3:])
    assert result.metric("score").n == 157
    assert result.metric("score").failed == 0
    assert result.metric("score_writing").n == 17
    assert "157 of 160 turns rated; 3 of 160 turns missing" in result.description
    assert "3 of 160 turns missing" in result.metric("score").note


def test_exact_copies_count_once(scored):
    rows = [{**row, "tstamp": 1.5} for row in WHOLE]
    [result] = scored(rows, rows[:5])
    assert values(result) == values(scored(rows)[0])
    assert result.metric("score").n == 160
    assert "5 exact copies of rows left out" in result.description


def test_equal_rows_without_a_time_are_judgements_that_agree(scored):
    [result] = scored([rated(81, 1, score) for score in (8, 8, 5)])
    assert (result.metric("score").value, result.metric("score").n) == (7, 1)
    assert result.metric("score_over_judgements") is None


def test_several_judgements_of_a_turn_are_one_item(scored):
    again = [rated(81, 1, 7, tstamp=2), rated(82, 2, -1, tstamp=2)]
    [result] = scored(WHOLE, again)
    assert result.metric("score").n == 160
    assert result.items[0].outcome == Score(value=4)  # of 1 and 7
    assert result.items[3].outcome == Score(value=2)  # of 2 and a failure
    assert "2 judged more than once, whose mean counts" in result.description
    assert "1 judgements failed whose turn another one scored" in result.metric("score").note
    assert result.metric("judge_noise") is None
    assert values(scored(again, WHOLE)[0]) == values(result)


def test_fastchats_mean_over_rows_stands_beside_where_it_is_another(scored):
    rows = [rated(81, 1, 2), rated(81, 1, 4), rated(82, 1, 9), rated(82, 1, -1), rated(83, 1, -1)]
    [result] = scored(rows)
    score, over = result.metric("score"), result.metric("score_over_judgements")
    assert (score.value, score.n, score.failed) == (6, 2, 1)
    assert (over.value, over.n, over.failed) == (5, 3, 2)
    assert "FastChat's own average" in over.note


def test_a_whole_second_run_tells_the_judges_spread(scored):
    [result] = scored(WHOLE, [{**row, "score": 5, "tstamp": 2} for row in WHOLE])
    assert result.metric("score").value == pytest.approx(4.75)  # as FastChat's, over 320 rows
    assert result.metric("judge_noise").value == pytest.approx(0.5 / 2**0.5)


def test_one_result_for_every_model_and_judge(scored):
    rows = [
        rated(81, 1, 1, model="a"),
        rated(81, 1, 2, model="b"),
        rated(81, 1, 3, model="a", judge="gpt-4"),
        rated(81, 2, 5, model="a", judge=["claude", "single-v1"]),
        {"question_id": 81, "model": "b", "turn": 1, "score": 9},
    ]
    found = [
        (r.model, values(r)["score"], r.metrics[0].note.partition(";")[0])
        for r in scored(rows[:2], rows[2:])
    ]
    assert found == [
        ("a", 2, "judged by gpt-4"),
        ("b", 2, "judged by gpt-4"),
        ("a", 5, "judged by claude"),
        ("b", 9, "judged by unknown judge"),
    ]
    assert len({result.protocol for result in scored(rows)}) == 3


QUESTIONS = [
    {"question_id": 201, "category": "cooking", "turns": ["a", "b"]},
    {"question_id": 202, "category": "math", "turns": ["a", "b"]},
]
OTHERS = [rated(201, 1, 4), rated(201, 2, 6), rated(202, 1, 1)]


def test_other_questions_have_no_category(scored):
    [result] = scored(OTHERS)
    assert set(values(result)) == {"score", "score_turn_1", "score_turn_2"}
    assert "3 turns rated; questions that are not all known" in result.description
    assert "3 of unknown category" in result.description
    assert "missing" not in result.description


def test_questions_among_the_files_tell_the_categories(scored):
    for order in ({"a": OTHERS, "b": QUESTIONS}, {"a": QUESTIONS, "b": OTHERS}):
        [result] = scored(**order)
        assert (values(result)["score_cooking"], values(result)["score_math"]) == (5, 1)
        assert "3 of 4 turns rated; 1 of 4 turns missing" in result.description


@pytest.mark.parametrize("place", [".", ".."])
def test_questions_beside_the_files_tell_the_categories(tmp_path, scored, place):
    folder = tmp_path / "model_judgment"
    folder.mkdir()
    judgements = folder / "gpt-4_single.jsonl"
    judgements.write_text("".join(json.dumps(row) + "\n" for row in OTHERS))
    (folder / place / "question.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in QUESTIONS)
    )
    [result] = MTBench.score([judgements])
    assert values(result)["score_cooking"] == 5


# ---------------------------------------------------------------- pairs


PAIRS = [
    compared(81, 1, "model_1", "model_1"),
    compared(81, 2, "model_2", "model_2"),
    compared(82, 1, "model_1", "model_2"),
    compared(82, 2, "tie", "model_1"),
    compared(83, 1, "model_1", "tie"),
    compared(83, 2, "model_1", "error"),
    compared(84, 1, "error", "model_2"),
    compared(84, 2, "model_1", None),
]


def test_pairs_count_for_both_models(scored):
    one, two = scored(PAIRS)
    assert (one.model, two.model) == ("M2", "M1")
    assert values(one, "M1") == {
        "win_rate": 0.2, "loss_rate": 0.2, "tie_rate": 0.6, "win_rate_adjusted": 0.5
    }  # fmt: skip
    assert values(two, "M2") == values(one, "M1")
    assert [getattr(item.outcome, "value", None) for item in one.items] == [
        1, 0, 0.5, 0.5, 0.5, None, None, None
    ]  # fmt: skip
    assert [getattr(item.outcome, "value", None) for item in two.items[:2]] == [0, 1]
    assert {(metric.n, metric.failed) for metric in one.metrics} == {(5, 3)}
    assert "8 of 160 turns compared with M1; 152 of 160 turns missing; 3 failed" in one.description


def test_every_opponent_has_rates_of_its_own(scored):
    more = [compared(81, 1, "model_2", "model_2", two="M0")]
    results = {result.model: result for result in scored(PAIRS, more)}
    assert values(results["M2"], "M0")["win_rate"] == 0
    assert values(results["M0"], "M2")["win_rate"] == 1
    assert values(results["M2"], "M1")["win_rate"] == 0.2


def test_votes_are_pairs(scored):
    def vote(turn, winner):
        return {
            "question_id": 81, "model_a": "a", "model_b": "b", "judge": "gpt4_pair",
            "turn": turn, "winner": winner,
        }  # fmt: skip

    one, _ = scored([vote(1, "model_b"), vote(2, "tie (inconsistent)")])
    assert values(one, "b")["loss_rate"] == values(one, "b")["tie_rate"] == 0.5


def test_ratings_and_pairs_of_a_model_are_one_result(scored):
    both = scored([rated(81, 1, 4, model="M2")], PAIRS)
    assert [result.model for result in both] == ["M2", "M1"]
    assert both[0].metric("score").value == 4
    assert both[0].metric("win_rate", "M1").value == 0.2


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"question_id": 81, "choices": []},
            "line 1, is no judgement but has question_id,",
        ),
        ({}, "line 1, is no judgement but has no fields"),
        ({"question_id": 81, "turn": 1, "score": 4}, "line 1, has no model"),
        ({"model": "m", "turn": 1, "score": 4}, "line 1, has no question_id"),
        (rated(None, 1, 4), "line 1, has no question_id"),
        ({"question_id": 81, "model": "m", "score": 4}, "line 1, has the turn None"),
        (rated(81, 3, 4), "line 1, has the turn 3"),
        ({**PAIRS[0], "model_2": None}, "line 1, has no model_2"),
    ],
)
def test_what_is_no_judgement_is_an_error_that_says_where(scored, row, message):
    with pytest.raises(DataError, match=message):
        scored([row])


def test_files_without_judgements_are_an_error(scored):
    with pytest.raises(DataError, match=r"no judgements in .*file0\.jsonl; wanted FastChat's"):
        scored(QUESTIONS)
    with pytest.raises(DataError, match=r"file0\.jsonl is empty"):
        scored([])


def test_a_torn_line_is_told_in_the_result(tmp_path):
    path = tmp_path / "single.jsonl"
    path.write_text(json.dumps(rated(81, 1, 4)) + "\n" + json.dumps(rated(81, 2, 4))[:-9])
    [result] = MTBench.score([path])
    assert result.metric("score").n == 1
    assert "torn last line of single.jsonl left out" in result.description
    assert "torn last line of single.jsonl left out" in result.metric("score").note


def test_other_questions_beside_the_files_do_no_harm(tmp_path):
    path = tmp_path / "single.jsonl"
    path.write_text(json.dumps(rated(81, 1, 4)))
    (tmp_path / "question.jsonl").write_text('{"question_id": 1, "prompt": "Why?"}')
    [result] = MTBench.score([path])
    assert values(result)["score_writing"] == 4


def test_the_command_prints_what_was_found(tmp_path):
    path = tmp_path / "single.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in WHOLE).encode("utf-16")))
    rows = json.loads(CliRunner().invoke(app, ["score", "mt_bench", str(path), "--json"]).output)
    assert {row["metric"]: row["value"] for row in rows}["score"] == pytest.approx(4.5)
    assert {(row["model"], row["evaluation"]) for row in rows} == {("m", "mt_bench")}
    shown = CliRunner().invoke(app, ["score", "mt_bench", str(path)]).output
    assert "160 of 160 turns rated" in shown


def test_a_models_name_is_shown_as_it_is(tmp_path):
    path = tmp_path / "single.jsonl"
    path.write_text(json.dumps(rated(81, 1, 4, model="mine[/b] :smile:")))
    shown = CliRunner().invoke(app, ["score", "mt_bench", str(path)])
    assert shown.exit_code == 0
    assert " mine[/b] :smile:  score " in shown.output


# ---------------------------------------------------------------- published figures

CATEGORIES = (
    "writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities",
)  # fmt: skip
OFFICIAL = {
    "gpt-4": (9.65, 8.9, 9.0, 6.8, 8.55, 9.375, 9.7, 9.95),
    "gpt-3.5-turbo": (9.2, 8.4, 5.65, 6.3, 6.9, 8.85, 8.7, 9.55),
    "claude-v1": (9.5, 8.5, 5.95, 4.8, 6.25, 8.8, 9.7, 9.7),
    "vicuna-33b-v1.3": (9.5, 8.45, 6.65, 3.15, 3.35, 7.1, 8.975, 9.8),
    "Llama-2-70b-chat": (9.3, 7.5, 5.8, 3.3, 3.15, 7.25, 8.925, 9.625),
    "vicuna-7b-v1.3": (8.1, 7.45, 4.65, 2.3, 3.55, 5.0, 7.825, 9.1),
    "alpaca-13b": (6.7, 5.45, 3.5, 1.05, 2.35, 4.15, 5.2, 7.85),
    "llama-13b": (3.7, 4.05, 2.55, 1.05, 1.1, 2.5, 2.55, 3.35),
}


def test_the_official_averages_come_out_exactly():
    results = MTBench.score([shared("mt_bench/official_gpt-4_single_scores.jsonl")])
    averages = json.loads(shared("mt_bench/official_expected_averages.json").read_text())
    assert len(averages) == len(results) == 8
    for one in averages:
        [result] = [result for result in results if result.model == one["model"]]
        found = values(result)
        overall = [found[name] for name in ("score", "score_turn_1", "score_turn_2")]
        assert overall == pytest.approx([one["average"], one["turn1"], one["turn2"]], abs=1e-6)
        by_category = [found[f"score_{category}"] for category in CATEGORIES]
        assert by_category == pytest.approx(OFFICIAL[one["model"]], abs=1e-6)
        assert {result.metric(f"score_{category}").n for category in CATEGORIES} == {20}
        assert (result.metric("score").n, result.metric("score").failed) == (one["n"], 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "medusa",
            {
                "vicuna-7b-v1.3": (6.103125, 6.73125, 5.475),
                "vicuna-7b-v1.3-greedy": (5.878125, 6.51875, 5.2375),
                "medusa-vicuna-7b-v1.3-1-temperature-0.0-posterior_threshold-0.09"
                "-posterior_alpha-0.3": (5.9875, 6.79375, 5.18125),
            },
        ),
        (
            "llama2",
            {
                "llama2_chat_7b": (6.190625, 6.70625, 5.675),
                "llama2_7b": (3.96875, 4.7625, 3.175),
                "finetune_llama2_chat_7b": (4.625, 5.3875, 3.8625),
                "finetune_llama2_chat_7b_FFNet": (5.10625, 5.95, 4.2625),
                "finetune_llama2_chat_7b_Attention": (5.146875, 5.89375, 4.4),
            },
        ),
    ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_real_judgements_give_their_averages_and_so_do_their_texts(
    tmp_path, name, expected, stored
):
    file = shared(f"mt_bench/model_judgment/{name}_gpt-4_single.jsonl.gz")
    if not stored:
        rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
        texts = [{key: row[key] for key in row if key != "score"} for row in rows]
        file = tmp_path / "texts.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in texts))
    found = {result.model: values(result) for result in MTBench.score([file])}
    assert found.keys() == expected.keys()
    for model, figures in expected.items():
        named = [found[model][name] for name in ("score", "score_turn_1", "score_turn_2")]
        assert named == pytest.approx(figures, abs=1e-6)
