import pytest

from evals.examiner import Examiner
from harness.errors import ConfigError, DataError
from harness.microworld.engine import ExaminerEngine
from harness.records import EvalResult, Failure, ModelRef

M1 = ModelRef(name="M1", location="M1", parent="M0")
PROMPTS = [
    {"id": "dog", "prompt": "What sound does the dog make?", "category": "stem"},
    {"id": "cow", "prompt": "What sound does the cow make?", "category": "stem"},
    {"id": "odd", "prompt": "What is the best sound?", "category": "odd"},
    {"id": "long", "prompt": "Which is too long?", "category": "odd"},
]
POINTS = {"dog": 4, "cow": 2}


@pytest.fixture
def examiner(jsonl):
    return Examiner(Examiner.Config(data=jsonl("prompts.jsonl", PROMPTS)))


def model_reply(prompt, index):
    if "dog" in prompt:
        return "The dog barks."
    if "cow" in prompt:
        return None  # cut off
    if "long" in prompt:
        return Failure(reason="prompt_too_long")
    return "All of them are good."


def judge_reply(prompt, index):
    points = next((points for word, points in POINTS.items() if f"the {word} " in prompt), None)
    return "No comment." if points is None else f"Fair. Score: {points}"


@pytest.fixture
def result(examiner, fake, log):
    rows = log()
    examiner.answer(fake(model_reply), rows)
    return examiner.mark(M1, rows, fake(judge_reply, name="judge"), [])


def test_points_are_averaged_over_what_was_marked(result):
    score = result.metric("score")
    assert (score.value, score.n, score.failed) == (3.0, 2, 2)
    assert score.low <= 3.0 <= score.high
    assert result.metric("score/stem").value == 3.0
    odd = result.metric("score/odd")
    assert (odd.value, odd.n, odd.failed) == (None, 0, 2)
    assert result.failures == {"no_score": 1, "prompt_too_long": 1}


def test_length_counts_the_answers_there_are(result):
    length = result.metric("length_tokens")
    assert (length.value, length.n, length.failed) == (pytest.approx((4 + 2 + 6) / 3), 3, 1)


def test_a_truncated_answer_is_marked_and_counted(result):
    truncated = result.metric("truncated")
    assert (truncated.value, truncated.n, truncated.failed) == (pytest.approx(1 / 3), 3, 1)
    [cow] = [item for item in result.items if item.id == "cow"]
    assert (cow.details["truncated"], cow.outcome.value) == (True, 2.0)


def test_items_hold_what_a_reader_wants_to_see(result):
    by_id = {item.id: item for item in result.items}
    assert list(by_id) == ["dog", "cow", "odd", "long"]
    assert by_id["dog"].answer == "The dog barks."
    assert by_id["dog"].details["verdicts"] == [{"text": "Fair. Score: 4", "value": 4.0}]
    assert by_id["odd"].details["verdicts"][0]["failure"] == "no_score"
    assert by_id["dog"].details["prompt"] == "What sound does the dog make?"
    assert by_id["dog"].category == "stem"
    assert by_id["long"].details["verdicts"] == []
    assert EvalResult.model_validate_json(result.model_dump_json()) == result


def test_an_answer_without_token_ids_has_no_length(examiner, fake, log):
    rows = log()
    examiner.answer(fake(lambda prompt, index: "Text alone, as from an API.", ids=False), rows)
    length = examiner.mark(M1, rows, fake(judge_reply), []).metric("length_tokens")
    assert (length.value, length.n, length.failed) == (None, 0, 4)


def test_the_exact_examiner_marks(fake, log, jsonl):
    evaluation = Examiner(Examiner.Config(data=jsonl("q.jsonl", PROMPTS[:2])))
    rows = log()
    evaluation.answer(fake(lambda prompt, index: "The dog barks."), rows)
    with ExaminerEngine(ExaminerEngine.Config()).open(ModelRef(location="examiner")) as judge:
        result = evaluation.mark(M1, rows, judge, [])
    by_id = {item.id: item.outcome.value for item in result.items}
    assert by_id["dog"] == 4.0
    assert by_id["cow"] < 4.0
    assert "judged by examiner (exact)" in result.description
    assert result.judge.startswith("examiner (exact), microworld@")


def test_rows_are_kept_as_they_come(examiner, fake, log, killed):
    rows = log()
    with pytest.raises(killed):
        examiner.answer(fake(model_reply, killed_after=3), rows)
    assert sum(key.startswith("answer/") for key in rows) == 3
    kept = dict(rows)
    resumed = fake(model_reply)
    examiner.answer(resumed, rows)
    assert [id for id, _ in resumed.asked] == ["dog"]
    with pytest.raises(killed):
        examiner.mark(M1, rows, fake(judge_reply, killed_after=2), [])
    judge = fake(judge_reply)
    examiner.mark(M1, rows, judge, [])
    assert len(judge.asked) == 1
    assert kept.items() <= dict(rows).items()
    assert kept["answer/cow"] == {
        "text": "and then",
        "tokens": 2,
        "finish_reason": "length",
        "failure": None,
    }


def test_without_a_judge_or_data_nothing_runs(examiner, fake, log, tmp_path):
    rows = log()
    examiner.answer(fake(model_reply), rows)
    with pytest.raises(ConfigError, match="needs a judge"):
        examiner.mark(M1, rows, None, [])
    with pytest.raises(DataError, match="nowhere"):
        Examiner(Examiner.Config(data=str(tmp_path / "nowhere.jsonl")))


def test_the_embedded_world_is_asked_unless_told_otherwise():
    config = Examiner.Config(limit=20)
    prompts = Examiner(config).prompts
    assert len(prompts.rows) == 20
    assert prompts.fingerprint == Examiner(config).prompts.fingerprint
