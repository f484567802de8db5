import json
import re

import pytest

from evals.mt_bench import fastchat, questions
from evals.mt_bench.evaluation import MTBench
from harness.records import Failure, ModelRef

M0 = ModelRef(name="M0", location="M0")
M1 = ModelRef(name="M1", location="M1", parent="M0")


@pytest.fixture
def measured(bench, log, talker, echo):
    def measure(reply, model=M1, earlier=(), failures=None, **options):
        evaluation = MTBench(MTBench.Config(data=bench, **options))
        rows = log(f"{model.name} {sorted(options)} {bool(failures)}")
        evaluation.answer(talker(echo(model.name), failures=failures), rows)
        return evaluation.mark(model, rows, talker(reply, name="gpt-9"), list(earlier))

    return measure


def rate(text):
    return "hm" if "says: Rewrite" in text else f"Rating: [[{1 + len(text) % 10}]]"


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_questions_and_references_lie_where_fastchat_looks(measured, bench, tmp_path):
    result = measured(rate)
    asked = questions.load(str(bench))
    files = dict(fastchat.files(result, asked))
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    [shown] = [name for name in files if name.startswith("reference_answer/")]
    [judged] = [name for name in files if name.startswith("model_judgment/")]
    assert (
        shown.removeprefix("reference_answer/")
        == f"{judged[15:].removesuffix('_single.jsonl')}.jsonl"
    )
    again = questions.load(str(tmp_path / "question.jsonl"), tmp_path / shown)
    assert (again.rows, again.references) == (asked.rows, asked.references)


def test_answers_are_written_as_fastchat_reads_them(measured, tmp_path):
    result = measured(rate)
    rows = list(fastchat.model_answers(result, 1700000000.0))
    assert rows[1] == {
        "question_id": 111,
        "answer_id": rows[1]["answer_id"],
        "model_id": "M1",
        "choices": [{"index": 0, "turns": ["M1 says: Add 111.", "M1 says: Double 111."]}],
        "tstamp": 1700000000.0,
    }
    assert len({row["answer_id"] for row in rows}) == 3
    assert rows == list(fastchat.model_answers(result, 1700000000.0))
    again = questions.baseline(write(tmp_path / "M1.jsonl", rows))
    assert (again.model, again.answers) == ("M1", result.answers)


def test_an_answer_that_failed_is_left_out(measured):
    result = measured(rate, failures={"Rewrite 81": "refused"})
    assert [row["question_id"] for row in fastchat.model_answers(result, 0.0)] == [111, 141]


def test_ratings_are_written_with_their_texts_and_failures_as_minus_one(measured):
    rows = list(fastchat.single_judgments(measured(rate), 5.0))
    assert list(rows[1]) == [
        "question_id", "model", "judge", "user_prompt", "judgment", "score", "turn", "tstamp"
    ]  # fmt: skip
    assert (rows[1]["judgment"], rows[1]["score"], rows[1]["turn"]) == ("hm", -1, 2)
    assert rows[2]["judge"] == ["gpt-9", "single-math-v1"]
    assert "M1 says: Add 111." in rows[2]["user_prompt"]
    assert rows[0]["score"] >= 1
    assert {row["tstamp"] for row in rows} == {5.0}


def test_what_has_no_answer_has_no_text(measured):
    rows = list(fastchat.single_judgments(measured(rate, failures={"Add 111": "refused"}), 0.0))
    assert [(row["score"], row["judgment"], row["user_prompt"]) for row in rows[2:4]] == [
        (-1, "", "")
    ] * 2


@pytest.mark.parametrize("judgements", [1, 3])
def test_ratings_read_back_give_the_same_figures(measured, tmp_path, judgements):
    count = iter(range(100))

    def moody(text):
        return rate(text) if judgements == 1 else f"Rating: [[{5 + next(count) // 7}]]"

    result = measured(moody, judgements=judgements)
    rows = list(fastchat.single_judgments(result, 0.0))
    assert len(rows) == 6 * judgements
    [again] = MTBench.score([write(tmp_path / "gpt-9_single.jsonl", rows)])
    assert [(m.name, m.value, m.low, m.high, m.n, m.failed) for m in again.metrics] == [
        (m.name, m.value, m.low, m.high, m.n, m.failed) for m in result.metrics
    ]


@pytest.fixture
def duelled(measured):
    def prefer(text):
        names = re.findall(r"(M\d) says: (\w+)", text)
        own = "A" if names[0][0] == "M1" else "B"
        return {
            "Write": f"[[{own}]]", "Rewrite": f"[[{'AB'[own == 'A']}]]", "Add": "[[A]]",
            "Double": "[[C]]", "Explain": "hm", "Simplify": f"[[{own}]]",
        }[names[-1][1]]  # fmt: skip

    before = measured(prefer, model=M0, mode="pair")
    return measured(prefer, mode="pair", earlier=[before])


def test_games_are_written_with_their_winners_mapped_back(duelled):
    rows = list(fastchat.pair_judgments(duelled, 5.0))
    assert list(rows[0]) == [
        "question_id", "model_1", "model_2", "g1_winner", "g2_winner", "judge", "g1_user_prompt",
        "g1_judgment", "g2_user_prompt", "g2_judgment", "turn", "tstamp",
    ]  # fmt: skip
    assert [(row["g1_winner"], row["g2_winner"]) for row in rows] == [
        ("model_1", "model_1"),
        ("model_2", "model_2"),
        ("model_1", "model_2"),
        ("tie", "tie"),
        ("error", "error"),
        ("model_1", "model_1"),
    ]
    one = rows[0]
    assert (one["model_1"], one["model_2"], one["judge"]) == ("M1", "M0", ["gpt-9", "pair-v2"])
    assert one["g1_user_prompt"].index("M1 says") < one["g1_user_prompt"].index("M0 says")
    assert one["g2_user_prompt"].index("M0 says") < one["g2_user_prompt"].index("M1 says")
    assert (one["g1_judgment"], one["g2_judgment"]) == ("[[A]]", "[[B]]")


def test_repeated_games_are_rows_of_their_own(measured):
    before = measured(rate, model=M0, mode="pair")
    result = measured(lambda text: "[[C]]", mode="pair", earlier=[before], judgements=2)
    rows = list(fastchat.pair_judgments(result, 5.0))
    assert len(rows) == 12
    assert [row["tstamp"] for row in rows[:4]] == [5.0, 6.0, 5.0, 6.0]


def test_games_read_back_give_the_same_figures(duelled, tmp_path):
    rows = list(fastchat.pair_judgments(duelled, 0.0))
    again, _ = MTBench.score([write(tmp_path / "gpt-9_pair.jsonl", rows)])
    assert [(m.name, m.against, m.value, m.n, m.failed) for m in again.metrics] == [
        (m.name, m.against, m.value, m.n, m.failed) for m in duelled.metrics
    ]


def test_a_game_that_was_not_played_is_an_error_for_fastchat(measured):
    before = measured(rate, model=M0, mode="pair")
    result = measured(rate, mode="pair", earlier=[before], failures={"Write 81": "refused"})
    row = next(fastchat.pair_judgments(result, 0.0))
    assert isinstance(result.items[0].outcome, Failure)
    assert (row["g1_winner"], row["g2_winner"], row["g1_judgment"]) == ("error", "error", "")
