import json
import math
from dataclasses import replace
from itertools import count

import pytest

from evals.judge_agreement.evaluation import JudgeAgreement
from harness.errors import ConfigError, DataError
from harness.judge import pointwise
from harness.microworld.engine import ExaminerEngine
from harness.protocols import Completion, Step
from harness.reading import read_points
from harness.records import EvalResult, Failure, ModelRef, Score

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
    assert colour.details["responses"][1]["verdicts"] == [
        {"text": "no idea", "failure": "no_score"},
        {"text": "Well. Score: 3", "value": 3.0},
        {"text": "Well. Score: 3", "value": 3.0},
    ]
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
    names = [metric.name for metric in evaluation.mark(M1, rows, None, []).metrics]
    assert len(names) == len(set(names))
    assert set(names) >= {
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
    assert by_name.pop("expected/failure_rate").value == 1.0
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


@pytest.fixture
def telling(fake):
    """A judge that also tells its probabilities: of the points that stand last in what it says."""

    class Telling(fake):
        def __init__(self, reply, weights, **options):
            super().__init__(reply, **options)
            self.weights = weights

        def _complete(self, id, index, said):
            done = super()._complete(id, index, said)
            if not isinstance(said, str) or not said[-1:].isdigit():
                return done
            likely = tuple((token, math.log(p)) for token, p in self.weights(said[-1]).items())
            steps = (Step(said[:-1], ()), Step(said[-1], likely))
            return replace(done, steps=steps)

    return Telling


def test_the_expected_score_stands_beside_the_mean_of_samples(agreement, telling, log):
    def weights(said):  # of the points alone: 3 has a leaning to 4, 2 to 1
        return {"3": {"3": 0.5, "4": 0.3, " sure": 0.2}, "2": {"2": 0.6, "1": 0.4}}[said]

    points = {("Name a colour.", r): [3] for r in ("red", "reddish")}
    points |= {("Name a colour.", "cow"): [2]}
    points |= {("Name an animal.", "cow"): [3], ("Name an animal.", "moo"): ["no points"]}
    rows, model = log(), telling(judging(points), weights)
    evaluation = agreement(samples=1)
    evaluation.answer(model, rows)
    result = evaluation.mark(M1, rows, None, [])
    assert {sampling.top_logprobs for sampling in model.samplings} == {10}
    [colour, animal] = result.items
    told = [one["expected"] for one in colour.details["responses"]]
    assert told == pytest.approx([(3 * 0.5 + 4 * 0.3) / 0.8] * 2 + [1.6])
    assert animal.details["responses"][1]["expected"] is None
    [verdict] = colour.details["responses"][0]["verdicts"]
    assert verdict["probabilities"] == {"3": 0.5, "4": 0.3}
    for name in ("pairwise_accuracy", "tie_rate"):
        sampled, expected = result.metric(name), result.metric(f"expected/{name}")
        assert (sampled.value, sampled.n, sampled.failed) == (
            expected.value,
            expected.n,
            expected.failed,
        )
        assert "probabilities" in expected.note
    assert result.metric("expected/failure_rate").value == pytest.approx(1 / 5)
    assert result.metric("expected/five_best") is None


def test_expected_scores_part_what_samples_tie(agreement, telling, log):
    """Every sampled score is 3, and the judge's doubts are in the human order."""
    rows = log()
    doubts = iter([0.5, 0.4, 0.3, 0.2, 0.1] * 3)  # asked from the last response to the first

    def weights(said):
        doubt = next(doubts)
        return {"3": 1 - doubt, "4": doubt}

    model = telling(lambda prompt, index: "Score: 3", weights)
    evaluation = agreement(samples=1)
    evaluation.answer(model, rows)
    result = evaluation.mark(M1, rows, None, [])
    assert result.metric("tie_rate").value == 1.0
    assert result.metric("expected/tie_rate").value == 0.0
    assert result.metric("expected/pairwise_accuracy").value == 0.0  # the last was doubted most


def test_a_judge_that_tells_no_probabilities_has_failures_and_no_numbers(agreement, fake, log):
    rows = log()
    evaluation = agreement()
    evaluation.answer(fake(judging(POINTS)), rows)
    result = evaluation.mark(M1, rows, None, [])
    expected = [one for one in result.metrics if one.name.startswith("expected/")]
    assert result.metric("expected/failure_rate").value == 1.0
    assert {one.value for one in expected if one.name != "expected/failure_rate"} == {None}
    assert result.metric("expected/pairwise_accuracy").failed == 4
    assert "expected" not in result.items[0].details["responses"][0]


def test_without_expected_scores_no_probabilities_are_asked(agreement, fake, log):
    rows, model = log(), fake(judging(POINTS))
    evaluation = agreement(expected=False)
    evaluation.answer(model, rows)
    assert {sampling.top_logprobs for sampling in model.samplings} == {0}
    result = evaluation.mark(M1, rows, None, [])
    assert not [one.name for one in result.metrics if "/" in one.name]


def longest_is_best(prompt, index):
    return f"Score: {min(5, len(prompt.partition(' Answer: ')[2]))}"


def test_the_external_judge_is_measured_once_for_all_models(agreement, fake, log):
    evaluation = agreement(judges=["self", "external"], expected=False)
    assert evaluation.needs_judge
    judge, results = fake(longest_is_best, name="strong"), []
    for name in ("M0", "M1"):
        rows = log(name)
        evaluation.answer(fake(judging(POINTS), name=name), rows)
        ref = M1.model_copy(update={"name": name})
        results.append(evaluation.mark(ref, rows, judge, results[:]))
        assert len(judge.asked) == 5, "by M0's turn, and never again"
    first, second = results
    assert first.metric("external/pairwise_accuracy").value == 0.5
    assert first.metric("pairwise_accuracy").value == 1.0
    external = [[m for m in one.metrics if m.name.startswith("external/")] for one in results]
    assert external[0] == external[1]
    assert {m.name.removeprefix("external/") for m in external[0]} == {
        m.name for m in first.metrics if not m.name.startswith("external/")
    }
    assert {m.note for m in external[0]} == {"judged by strong (weights of strong)"}
    assert "external: strong:weights of strong microworld@" in second.description
    assert second.judge.startswith("strong (weights of strong), microworld@")


def test_another_external_judge_is_asked_and_its_results_are_not_comparable(agreement, fake, log):
    evaluation = agreement(judges=["self", "external"])
    rows = log()
    evaluation.answer(fake(judging(POINTS)), rows)
    before = evaluation.mark(M1, rows, fake(longest_is_best, name="strong"), [])
    others, other = log("other"), fake(lambda prompt, index: "Score: 2", name="weak")
    evaluation.answer(fake(judging(POINTS)), others)
    after = evaluation.mark(M1, others, other, [before])
    assert len(other.asked) == 5
    assert after.protocol != before.protocol
    assert after.metric("external/tie_rate").value == 1.0


def test_the_external_judge_is_asked_only_what_is_missing(agreement, fake, log, killed):
    evaluation = agreement(judges=["external"], samples=1)
    rows, judge = log(), fake(longest_is_best, killed_after=2)
    evaluation.answer(fake(judging(POINTS)), rows)
    with pytest.raises(killed):
        evaluation.mark(M1, rows, judge, [])
    again = fake(longest_is_best)
    result = evaluation.mark(M1, rows, again, [])
    assert len(again.asked) == 3
    assert {one.name.split("/")[0] for one in result.metrics} == {"external"}
    assert "judged by the external judge alone" in result.description


def test_the_exact_examiner_can_be_the_external_judge(jsonl, fake, log):
    ranked = [
        {"prompt": "What sound does the dog make?", "response": text, "rank": rank}
        for rank, text in enumerate(["The dog barks.", "It moos."])
    ]
    config = JudgeAgreement.Config(data=jsonl("r.jsonl", ranked), judges=["self", "external"])
    evaluation, rows = JudgeAgreement(config), log()
    evaluation.answer(fake(lambda prompt, index: "Score: 1"), rows)
    with ExaminerEngine(ExaminerEngine.Config()).open(
        ModelRef(name="judge", location="examiner")
    ) as examiner:
        result = evaluation.mark(M1, rows, examiner, [])
    assert result.metric("external/pairwise_accuracy").value == 1.0
    assert result.metric("tie_rate").value == 1.0


def test_only_the_external_judge_is_one_to_ask(agreement):
    assert agreement(judges=["self", "external"]).needs_judge
    assert not agreement().needs_judge


PAIRWISE = {"mode": "pairwise", "rubric": "microworld_compare", "samples": 1}


def preferring(*best):
    """A judge that prefers what comes first in the list, wherever it stands; else a tie."""

    def reply(prompt, index):
        a, _, b = prompt.partition(" Answer A: ")[2].partition(" Answer B: ")
        places = [best.index(text) if text in best else len(best) for text in (a, b)]
        return f"Better: {'tie' if places[0] == places[1] else 'AB'[places[0] > places[1]]}"

    return reply


def test_pairs_are_compared_in_both_orders(agreement, fake, log):
    rows, model = log(), fake(preferring("red", "cow", "moo"))
    evaluation = agreement(**PAIRWISE)
    evaluation.answer(model, rows)
    assert len(model.asked) == 2 * 4
    result = evaluation.mark(M1, rows, None, [])
    # red > reddish and red > cow as people say, cow > reddish not; cow > moo is.
    assert (result.metric("pairwise_accuracy").value, result.metric("accuracy").n) == (0.75, 4)
    assert result.metric("same_verdict").value == 1.0
    assert result.metric("both_right").value == 0.75
    assert result.metric("failure_rate").value == 0.0
    colour, animal = result.items
    assert (colour.answer, colour.outcome) == ("1 > 2, 1 > 3, 2 < 3", Score(value=2 / 3))
    assert (animal.answer, animal.outcome) == ("1 > 2", Score(value=1.0))
    assert not [m.name for m in result.metrics if m.name.startswith("expected/")]


def test_a_judge_that_prefers_a_position_ties_every_pair(agreement, fake, log):
    rows, evaluation = log(), agreement(**PAIRWISE)
    evaluation.answer(fake(lambda prompt, index: "Better: A"), rows)
    result = evaluation.mark(M1, rows, None, [])
    assert result.metric("pairwise_accuracy").value is None
    values = {name: result.metric(name).value for name in ("tie_rate", "accuracy", "same_verdict")}
    assert values == {"tie_rate": 1.0, "accuracy": 0.5, "same_verdict": 0.0}
    assert result.metric("accuracy_better_first").value == 1.0
    assert result.metric("accuracy_better_second").value == 0.0
    *_, animal = result.items
    assert animal.details["pairs"] == [
        {
            "responses": [1, 2],
            "verdicts": [
                {"text": "Better: A", "value": 1.0, "order": "response 1 first"},
                {"text": "Better: A", "value": 0.0, "order": "response 2 first"},
            ],
        }
    ]


@pytest.mark.parametrize("way", [{}, PAIRWISE])
def test_a_group_that_could_not_be_judged_shows_what_was_written(agreement, fake, log, way):
    rows, evaluation = log(), agreement(**way)
    evaluation.answer(fake(lambda prompt, index: "I cannot say."), rows)
    for item in evaluation.mark(M1, rows, None, []).items:
        assert item.outcome.reason in ("no_score", "no_verdict")
        assert item.outcome.detail.startswith("no pair has two ")
        assert item.outcome.detail.endswith(": I cannot say.")


def test_an_order_that_cannot_be_read_fails_its_pair(agreement, fake, log):
    def reply(prompt, index):
        said = "none" if "Answer A: cow Answer B: moo" in prompt else "Better: A"
        return Failure(reason="api_error") if "Answer A: red Answer B: cow" in prompt else said

    rows, evaluation = log(), agreement(**PAIRWISE)
    evaluation.answer(fake(reply), rows)
    result = evaluation.mark(M1, rows, None, [])
    for name in ("pairwise_accuracy_half", "accuracy", "three_class_accuracy"):
        assert (result.metric(name).n, result.metric(name).failed) == (2, 2)
    assert result.metric("failure_rate").value == pytest.approx(2 / 8)
    assert result.items[1].outcome.reason == "no_verdict"


def test_of_several_comparisons_the_mean_decides(agreement, fake, log):
    said = [["A", "A", "B"], ["A", "tie", "B"]]

    def reply(prompt, index):
        return f"Better: {said['Answer A: moo' in prompt][index]}"

    rows = log()
    evaluation = agreement(rows=ROWS[3:], **(PAIRWISE | {"samples": 3}))
    evaluation.answer(fake(reply), rows)
    result = evaluation.mark(M1, rows, None, [])
    assert result.metric("accuracy_better_first").value == 1.0
    assert result.metric("accuracy_better_second").value == 0.0
    assert result.metric("tie_rate").value == 1.0


def test_a_pairwise_rubric_does_not_give_points(agreement):
    with pytest.raises(ConfigError, match=r"\{response\}"):
        agreement(rubric="microworld_compare")
    with pytest.raises(ConfigError, match=r"\{output_1\}"):
        agreement(mode="pairwise")


PANDALM = [
    {"idx": k, "instruction": "Greet.", "input": "", "response1": one, "response2": other}
    | {f"annotator{n + 1}": vote for n, vote in enumerate(votes)}
    for k, (one, other, votes) in enumerate(
        [("Hi.", "Hello.", (2, 2, 1)), ("Hi.", "Go away.", (1, 1, 1)), ("Hi.", "Hey.", (0, 1, 2))]
    )
]


def test_a_response_that_is_in_several_pairs_is_judged_once(agreement, fake, log):
    rows, evaluation = log(), agreement(rows=PANDALM, samples=1)
    model = fake(lambda prompt, index: f"Score: {1 + ('Hello' in prompt)}")
    evaluation.answer(model, rows)
    assert len(model.asked) == 4
    result = evaluation.mark(M1, rows, None, [])
    half = result.metric("pairwise_accuracy_half")
    assert (half.value, half.n, half.low) == (0.75, 2, None), "one instruction has no spread"
    assert result.metric("failure_rate").n == 4
    assert [item.id for item in result.items] == ["0", "1", "2"]
    assert result.items[2].outcome.reason == "no_order"


def test_ties_between_people_count_in_three_classes(agreement, fake, log):
    rows, evaluation = log(), agreement(rows=PANDALM, **PAIRWISE)
    evaluation.answer(fake(preferring("Hello.")), rows)
    result = evaluation.mark(M1, rows, None, [])
    three = result.metric("three_class_accuracy")
    assert (three.value, three.n) == (pytest.approx(2 / 3), 3)
    assert result.metric("pairwise_accuracy").n == 1


def test_the_judge_sees_the_turns_before(agreement, fake, log):
    turns = [("user", "Hi"), ("assistant", "Hello!"), ("user", "Who are you?")]
    group = {
        "prompt": [{"role": role, "content": content} for role, content in turns],
        "responses": [{"text": "A cook.", "rank": 0}, {"text": "No.", "rank": 1}],
    }
    model = fake(lambda prompt, index: "Score: 3")
    agreement(rows=[group]).answer(model, log())
    assert any(
        "Question: User: Hi\n\nAssistant: Hello!\n\nUser: Who are you? Answer: No." in text
        for _, text in model.asked
    )


def test_the_buckets_of_the_ablation_are_a_rubric():
    rubric = pointwise("buckets")
    asked = rubric.fill({"instruction": "Greet.", "response": "Hi."})
    assert "Greet." in asked
    assert all(f"\n{bucket}: " in asked for bucket in range(1, 6))
    assert read_points("It is complete but wordy.\nScore: 4") == Score(value=4)


def test_stored_scores_give_the_figures_of_the_run(agreement, fake, log, tmp_path):
    evaluation, rows = agreement(), log()
    evaluation.answer(fake(judging(POINTS)), rows)
    measured = evaluation.mark(M1, rows, None, [])
    stored = tmp_path / "stored.jsonl"
    scores = {
        (prompt, text): [one if isinstance(one, int) else None for one in said]
        for (prompt, text), said in POINTS.items()
    }
    stored.write_text(
        "".join(
            json.dumps(
                {
                    "judge": "M1",
                    "prompt": prompt,
                    "responses": [
                        {"text": text, "rank": rank, "scores": scores[prompt, text]}
                        for rank, text in enumerate(texts)
                    ],
                }
            )
            + "\n"
            for prompt, texts in GROUPS
        )
    )
    [result] = JudgeAgreement.score([stored])
    assert result.model == "M1"
    expected = tuple(one for one in measured.metrics if "/" not in one.name)
    assert result.metrics == expected


class OneToken:
    """A judge that says the likeliest token for a response, and how likely others are."""

    context, chat_template = 2048, None

    def __init__(self, likely):
        self.ref, self.likely, self.asked = M1, likely, []

    def count_tokens(self, prompt):
        return sum(len(message.content) for message in prompt)

    def generate(self, requests):
        for request in requests:
            self.asked.append(request)
            response = request.prompt[0].content.partition(" Answer: ")[2]
            told = tuple((token, math.log(p)) for token, p in self.likely[response].items())
            steps = (Step(told[0][0], told),)
            yield Completion(request.id, 0, told[0][0], finish_reason="length", steps=steps)


def test_points_can_be_had_for_one_token(agreement, log):
    rows, evaluation = log(), agreement(read="one_token")
    model = OneToken(
        {
            "red": {"5": 0.6, "4": 0.4},
            "reddish": {"4": 0.6, "5": 0.4},
            "cow": {" A": 0.7, "3": 0.3},
            "moo": {"1": 1.0},
        }
    )
    evaluation.answer(model, rows)
    asked = model.asked[0]
    assert (asked.sampling.n, asked.sampling.max_tokens, asked.sampling.temperature) == (1, 1, 0)
    assert asked.prompt[-1] == ("assistant", "Score: ")

    result = evaluation.mark(M1, rows, None, [])
    names = {metric.name for metric in result.metrics}
    assert "five_best" not in names and not any(name.startswith("expected/") for name in names)
    accuracy = result.metric("pairwise_accuracy")
    assert (accuracy.value, accuracy.n, accuracy.failed) == (1.0, 1, 3)
    assert result.metric("tie_rate").value == 0
    assert result.metric("failure_rate").value == pytest.approx(2 / 5)
    [colour, _] = result.items
    scores = [one["score"] for one in colour.details["responses"]]
    assert scores == [pytest.approx(4.6), pytest.approx(4.4), None]
    [verdict] = colour.details["responses"][0]["verdicts"]
    assert verdict["text"] == "Score: 5"
    assert verdict["probabilities"] == {"4": 0.4, "5": 0.6}
    assert colour.details["failures"] == {"no_distribution": 1}
    assert "n=1 one_token" in result.description
    sampled = agreement(samples=1, max_tokens=1, temperature=0, top_p=1, expected=False)
    sampled.answer(model, log("other"))
    assert sampled.mark(M1, log("other"), None, []).protocol != result.protocol


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"samples": 3}, "set samples = 1"),
        ({"expected": True}, "set samples = 1"),
        ({"mode": "pairwise", "rubric": "compare"}, "reads points"),
    ],
)
def test_one_token_is_one_sample_of_points(agreement, options, wrong):
    with pytest.raises(ValueError, match=wrong):
        agreement(read="one_token", **options)


def test_the_exact_examiner_gives_points_for_one_token(jsonl, fake, log):
    rows = [
        {"prompt": "What sound does the dog make?", "response": text, "rank": rank}
        for rank, text in enumerate(["The dog barks. The dog eats meat.", "The dog moos."])
    ]
    evaluation = JudgeAgreement(
        JudgeAgreement.Config(
            data=jsonl("ranked.jsonl", rows), judges=("external",), read="one_token"
        )
    )
    with ExaminerEngine(ExaminerEngine.Config()).open(
        ModelRef(name="examiner", location="examiner")
    ) as examiner:
        evaluation.answer(fake(lambda prompt, index: "nothing is asked of it"), log())
        result = evaluation.mark(M1, log(), examiner, [])
    assert result.metric("external/pairwise_accuracy").value == 1.0
    assert "one_token" in result.judge
