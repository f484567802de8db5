from itertools import count

import pytest

from evals.judge_agreement import JudgeAgreement
from harness.errors import ConfigError, DataError
from harness.records import EvalResult, Failure, ModelRef

M1 = ModelRef(name="M1", location="somewhere", parent="M0")

GROUPS = [
    ("Name a colour.", ["red", "reddish", "cow"]),
    ("Name an animal.", ["cow", "moo"]),
]
ROWS = [
    {"prompt": prompt, "response": text, "rank": rank}
    for prompt, texts in GROUPS
    for rank, text in enumerate(texts)
]


@pytest.fixture
def agreement(jsonl):
    def build(rows=ROWS, **options):
        config = JudgeAgreement.Config(data=jsonl("ranked.jsonl", rows), **options)
        return JudgeAgreement(config)

    return build


def judging(points):
    """A judge that gives (instruction start, response) the listed points, one a sample."""

    def reply(prompt, index):
        instruction, _, response = prompt.partition(" Answer: ")
        said = points[instruction.partition("Question: ")[2], response][index]
        return f"Well. Score: {said}" if isinstance(said, int) else said

    return reply


POINTS = {
    ("Name a colour.", "red"): [5, 4, 5],
    ("Name a colour.", "reddish"): ["no idea", 3, 3],
    ("Name a colour.", "cow"): ["hm", None, Failure(reason="prompt_too_long")],
    ("Name an animal.", "cow"): [2, 2, 2],
    ("Name an animal.", "moo"): [2, 2, 2],
}


def test_a_worked_example(agreement, fake, log):
    rows = log()
    evaluation = agreement()
    evaluation.answer(fake(judging(POINTS)), rows)
    result = evaluation.mark(M1, rows, None, [])

    accuracy = result.metric("pairwise_accuracy")
    assert (accuracy.value, accuracy.n, accuracy.failed) == (1.0, 1, 2)
    assert result.metric("pairwise_accuracy_half").value == 0.75
    assert result.metric("tie_rate").value == 0.5
    assert result.metric("five_best").value is None
    failure_rate = result.metric("failure_rate")
    assert (failure_rate.value, failure_rate.n) == (pytest.approx(4 / 15), 15)

    colour, animal = result.items
    assert [one["score"] for one in colour.details["responses"]] == [pytest.approx(14 / 3), 3, None]
    texts = colour.details["responses"][1]["verdicts"]
    assert texts == ["no idea", "Well. Score: 3", "Well. Score: 3"]
    assert [one["rank"] for one in colour.details["responses"]] == [0, 1, 2]
    assert colour.details["failures"] == {"no_score": 2, "truncated": 1, "prompt_too_long": 1}
    assert (colour.answer, colour.outcome.value) == ("1 > 2", 1.0)
    assert (animal.answer, animal.outcome.value) == ("1 = 2", 0.5)
    assert animal.details["all_tied"] is True
    assert colour.id != animal.id


def test_the_metrics_have_the_names_that_others_read(agreement, fake, log):
    rows = log()
    evaluation = agreement()
    evaluation.answer(fake(judging(POINTS)), rows)
    names = {metric.name for metric in evaluation.mark(M1, rows, None, []).metrics}
    assert names >= {
        "pairwise_accuracy",
        "pairwise_accuracy_half",
        "pairwise_accuracy_ties_wrong",
        "pairwise_accuracy_ties_correct",
        "five_best",
        "exact_match",
        "spearman",
        "kendall_tau",
        "tie_rate",
        "failure_rate",
    }


@pytest.mark.parametrize("said", ["I cannot say", None, Failure(reason="prompt_too_long")])
def test_what_cannot_be_read_is_no_number(agreement, fake, log, said):
    rows = log()
    evaluation = agreement()
    evaluation.answer(fake(lambda prompt, index: said), rows)
    result = evaluation.mark(M1, rows, None, [])
    by_name = {metric.name: metric for metric in result.metrics}
    assert by_name.pop("failure_rate").value == 1.0
    assert {metric.value for metric in by_name.values()} == {None}
    assert by_name["pairwise_accuracy"].failed == 4
    assert sum(result.failures.values()) == len(GROUPS)


@pytest.mark.parametrize("killed_after", range(15))
def test_only_what_is_missing_is_asked_again(agreement, fake, log, killed, killed_after):
    evaluation = agreement()
    whole, torn = log("whole"), log("torn")
    evaluation.answer(fake(judging(POINTS)), whole)
    with pytest.raises(killed):
        evaluation.answer(fake(judging(POINTS), killed_after=killed_after), torn)
    kept = {key: row for key, row in torn.items() if key.startswith("verdict/")}
    assert len(kept) == killed_after // 3
    again = fake(judging(POINTS))
    evaluation.answer(again, torn)
    assert {id for id, _ in again.asked}.isdisjoint(kept)
    assert kept.items() <= dict(torn).items()
    assert dict(torn) == dict(whole)
    assert evaluation.mark(M1, torn, None, []) == evaluation.mark(M1, whole, None, [])


def test_a_verdict_is_asked_with_the_rubric_and_the_sampling(agreement, fake, log):
    model = fake(judging(POINTS))
    agreement(temperature=0.3, top_p=0.8, max_tokens=20, seed=7).answer(model, log())
    [sampling] = model.samplings
    assert sampling.n == 3
    assert (sampling.temperature, sampling.top_p) == (0.3, 0.8)
    assert (sampling.max_tokens, sampling.seed) == (20, 7)
    assert "Question: Name a colour. Answer: reddish" in dict(model.asked)[model.asked[-2][0]]


def test_the_protocol_changes_with_what_changes_the_numbers(agreement, fake, log):
    number = count()

    def protocol(name="M1", **options):
        rows = log(f"log {next(number)}")
        evaluation = agreement(**options)
        evaluation.answer(fake(lambda prompt, index: "Score: 3", name=name), rows)
        return evaluation.mark(M1.model_copy(update={"name": name}), rows, None, []).protocol

    first = protocol()
    assert protocol(name="M2") == first
    assert protocol(seed=1) == first
    changed = [
        protocol(samples=1),
        protocol(temperature=0.0),
        protocol(rubric="five_points"),
        protocol(rows=ROWS[:3]),
        protocol(rows=[*ROWS[:4], ROWS[4] | {"response": "meow"}]),
    ]
    assert len({first, *changed}) == 6


def test_the_limit_draws_instructions(agreement):
    assert len(agreement(limit=1).groups.rows) == 1


def test_missing_data_and_rubrics_are_said_before_anything_runs(tmp_path, agreement):
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        JudgeAgreement(JudgeAgreement.Config(data=str(tmp_path / "nowhere.jsonl")))
    with pytest.raises(ConfigError, match="no such rubric"):
        agreement(rubric="no such rubric")


def test_a_result_survives_the_disk(agreement, fake, log):
    rows = log()
    evaluation = agreement()
    evaluation.answer(fake(judging(POINTS)), rows)
    result = evaluation.mark(M1, rows, None, [])
    assert EvalResult.model_validate_json(result.model_dump_json()) == result


def test_a_context_too_short_for_any_judgement_is_an_error_at_once(agreement, fake, log):
    model = fake(lambda prompt, index: "Score: 3")
    model.context = 50
    with pytest.raises(DataError, match=r"context too short for the judge prompt.*M1 is 50"):
        agreement().answer(model, log())
    assert model.asked == []
