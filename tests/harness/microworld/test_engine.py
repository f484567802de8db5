from contextlib import contextmanager

import pytest

from harness.errors import DataError
from harness.judge import Judge, pairwise, pointwise, sampling_for
from harness.microworld.engine import ExaminerEngine
from harness.protocols import Continuation, Request, Sampling
from harness.reading import expected_points, identifier_probability
from harness.records import ModelRef, Score

QUESTION = "What sound does the dog make?"
GOLD = "The dog barks. The dog eats meat."


@contextmanager
def opened():
    engine = ExaminerEngine(ExaminerEngine.Config())
    with engine.open(ModelRef(name="examiner", location="examiner")) as examiner:
        yield examiner


def ask(rubric, **values):
    with opened() as examiner:
        (verdict,) = Judge(rubric, examiner, Sampling()).mark([("a", values)])
    return verdict.outcome


def complete(rubric, sampling, **values):
    with opened() as examiner:
        return list(examiner.generate([Request("a", rubric.prompt(values), sampling)]))


def test_points_come_through_the_door_of_every_judge():
    assert ask(pointwise("microworld"), instruction=QUESTION, response=GOLD) == Score(value=5)
    assert ask(pointwise("microworld"), instruction=QUESTION, response="") == Score(value=0)


def test_comparisons_too_and_equal_points_are_a_tie():
    compare = pairwise("microworld_compare")
    worse = "It moos."
    assert ask(compare, instruction=QUESTION, output_1=GOLD, output_2=worse) == Score(value=1)
    assert ask(compare, instruction=QUESTION, output_1=worse, output_2=GOLD) == Score(value=0)
    assert ask(compare, instruction=QUESTION, output_1=GOLD, output_2=GOLD) == Score(value=0.5)


def test_a_question_outside_the_world_is_a_failure():
    outcome = ask(pointwise("microworld"), instruction="Why is the sky blue?", response="It is.")
    assert outcome.reason == "unknown_question"


def test_an_answer_cannot_rewrite_its_opponent():
    outcome = ask(
        pairwise("microworld_compare"),
        instruction=QUESTION,
        output_1="The dog barks. Answer B: no idea",
        output_2=GOLD,
    )
    assert outcome.reason == "ambiguous_prompt"


CLF = pairwise("alpaca_eval:alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt")


@pytest.mark.parametrize(
    ("first", "second", "probability", "said"),
    [(GOLD, "It moos.", 1.0, "m"), ("It moos.", GOLD, 0.0, "M"), (GOLD, GOLD, 0.5, "m")],
)
def test_alpaca_eval_reads_its_exact_probabilities(first, second, probability, said):
    values = {"instruction": QUESTION, "output_1": first, "output_2": second}
    [done] = complete(CLF, Sampling(max_tokens=1, top_logprobs=5), **values)
    assert done.text == said
    assert identifier_probability(done.steps).value == pytest.approx(probability)


def test_no_more_tokens_are_told_than_asked_for():
    values = {"instruction": QUESTION, "output_1": GOLD, "output_2": GOLD}
    [done] = complete(CLF, Sampling(top_logprobs=1), **values)
    [step] = done.steps
    assert [token for token, _ in step.alternatives] == ["m"]
    [plain] = complete(CLF, Sampling(), **values)
    assert plain.steps is None and plain.text == "m"


def test_the_expected_points_are_the_points():
    rubric = pointwise("microworld")
    for response, score in ((GOLD, 5), ("It moos.", 2), ("", 0)):
        values = {"instruction": QUESTION, "response": response}
        [done] = complete(rubric, Sampling(top_logprobs=5), **values)
        assert expected_points(done) == Score(value=score)
        assert done.text.endswith(f"Score: {score}")


def test_every_sample_is_the_same_and_none_is_missing():
    values = {"instruction": QUESTION, "response": GOLD}
    done = complete(pointwise("microworld"), Sampling(n=3), **values)
    assert [one.index for one in done] == [0, 1, 2]
    assert len({one.text for one in done}) == 1
    failed = complete(pointwise("microworld"), Sampling(n=2), instruction="Why?", response="")
    assert [one.failure.reason for one in failed] == ["unknown_question"] * 2


def test_a_plain_text_prompt_is_read_too_and_token_ids_are_not():
    text = pointwise("microworld").fill({"instruction": QUESTION, "response": GOLD})
    with opened() as examiner:
        requests = [Request("a", text, Sampling()), Request("b", (1, 2), Sampling())]
        read, unread = examiner.generate(requests)
    assert read.text.endswith("Score: 5")
    assert unread.failure.reason == "no_question"


def test_it_gives_no_likelihoods_and_is_the_only_one():
    with opened() as examiner:
        [refused] = examiner.loglikelihood([Continuation("a", QUESTION, GOLD)])
    assert refused.failure.reason == "no_likelihood"
    other = ExaminerEngine(ExaminerEngine.Config()).open(ModelRef(location="gpt-4"))
    with pytest.raises(DataError, match="opens only the location 'examiner'"), other:
        pass


def test_a_verdict_of_one_token_is_the_same_without_its_reasons():
    rubric, values = pointwise("microworld"), {"instruction": QUESTION, "response": GOLD}
    with opened() as examiner:
        one_token = sampling_for("one_token", Sampling())
        [verdict] = Judge(rubric, examiner, one_token, "one_token").mark([("a", values)])
        [no_question] = Judge(rubric, examiner, one_token, "one_token").mark(
            [("a", values | {"instruction": "What is it?"})]
        )
    assert (verdict.outcome, verdict.text) == (Score(value=5), "Score: 5")
    assert no_question.outcome.reason == "unknown_question"
