import pytest

from evals.mt_bench import answering
from evals.mt_bench.evaluation import MTBench
from harness.errors import ConfigError
from harness.protocols import Message


@pytest.fixture
def asked(bench, log, talker, echo):
    """Have a model answer, and read back what it said."""

    def answer(name="rows", model=None, **options):
        evaluation = MTBench(MTBench.Config(data=bench, **options))
        model, rows = model or talker(echo("M1")), log(name)
        evaluation.answer(model, rows)
        return model, answering.read(evaluation.questions.rows, rows), rows

    return answer


def test_the_second_turn_sees_the_models_own_first_answer(asked):
    model, said, _ = asked()
    assert said[0].texts == ("M1 says: Write 81.", "M1 says: Rewrite 81.")
    [second] = [r for r in model.requests if r.id == "81/2"]
    assert second.prompt == (
        Message("user", "Write 81."),
        Message("assistant", "M1 says: Write 81."),
        Message("user", "Rewrite 81."),
    )


def test_space_around_an_answer_is_not_passed_on(asked, talker):
    model, said, _ = asked(model=talker(lambda text: "  yes\n"))
    [second] = [r for r in model.requests if r.id == "81/2"]
    assert second.prompt[1].content == "yes"
    assert said[0].texts == ("yes", "yes")


def test_answers_are_as_warm_as_their_category(asked):
    model, _, _ = asked()
    temperatures = {r.id: r.sampling.temperature for r in model.requests}
    assert temperatures == {
        "81/1": 0.7, "81/2": 0.7, "111/1": 0, "111/2": 0, "141/1": 0.1, "141/2": 0.1
    }  # fmt: skip
    assert {(r.sampling.max_tokens, r.sampling.top_p) for r in model.requests} == {(1024, 1.0)}


def test_how_answers_are_drawn_may_be_chosen(asked):
    model, said, _ = asked(temperatures={"stem": 1.5}, max_tokens=4, top_p=0.9, seed=7)
    by_id = {request.id: request.sampling for request in model.requests}
    assert [by_id[id].temperature for id in ("81/1", "141/2")] == [0.7, 1.5]
    assert {(s.top_p, s.seed) for s in by_id.values()} == {(0.9, 7)}
    assert said[0].texts == ("M1 s", "M1 s")
    assert said[0].turns[0].truncated


@pytest.mark.parametrize(
    ("temperatures", "message"), [({"stemm": 1.0}, "stemm.*writing, math, stem")]
)
def test_a_temperature_of_no_category_is_an_error(asked, temperatures, message):
    with pytest.raises(ConfigError, match=message):
        asked(temperatures=temperatures)


def test_a_category_that_fastchat_does_not_know_is_warm(jsonl):
    rows = [{"question_id": 1, "category": "cooking", "turns": ["a", "b"]}]
    evaluation = MTBench(MTBench.Config(data=jsonl("question.jsonl", rows)))
    assert evaluation.sampling["cooking"].temperature == 0.7


def test_a_failed_first_turn_fails_the_second_and_is_not_put_into_words(asked, talker, echo):
    model, said, rows = asked(model=talker(echo("M1"), failures={"Add 111": "refused"}))
    assert [one.reason for one in (said[1].failure(1), said[1].failure(2))] == [
        "refused",
        "turn_1_failed",
    ]
    assert said[1].failure(2).detail == "refused"
    assert "111/2" not in {request.id for request in model.requests}
    assert "ERROR" not in rows.path.read_text()
    assert said[0].failure(2) is None


def test_a_second_turn_that_does_not_fit_fails_alone(asked, talker, echo):
    _, said, _ = asked(model=talker(lambda text: "long " * 20, context=120))
    assert [one.failure(1) for one in said] == [None] * 3
    assert {one.failure(2).reason for one in said} == {"prompt_too_long"}


@pytest.mark.parametrize("after", range(6))
def test_only_missing_turns_are_asked_again(asked, talker, echo, killed, after):
    _, expected, whole = asked("whole")
    with pytest.raises(killed):
        asked("torn", model=talker(echo("M1"), killed_after=after))
    resumed, said, torn = asked("torn")
    assert len(resumed.requests) == 6 - after
    assert said == expected
    assert dict(torn) == dict(whole)
    again, _, _ = asked("torn")
    assert again.requests == []
