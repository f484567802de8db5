import pytest

from harness.engines.scripted import Scripted
from harness.errors import JudgeUnavailable, PluginError
from harness.external_judge import ExternalJudge, NoJudge
from harness.judge import Judge, pointwise
from harness.protocols import Continuation, LoadedModel, Request, Sampling, user
from harness.records import Failure, ModelRef, Score

REF = ModelRef(name="judge", location="script")
ROWS = [(f"row-{k}", {"instruction": "Why?", "response": f"Because {k}."}) for k in range(9)]


def marked(script, most=None):
    """Have a scripted judge mark nine rows; say what came, and why it was given up, if it was."""
    with Scripted(Scripted.Config(**script)).open(REF) as model:
        judge = ExternalJudge(model, most, "examiner of M0") if most else model
        outcomes = []
        try:
            for verdict in Judge(pointwise("five_points"), judge, Sampling(temperature=0)).mark(
                ROWS
            ):
                outcomes.append(verdict.outcome)
        except JudgeUnavailable as error:
            return outcomes, str(error)
        return outcomes, None


def test_a_judge_that_is_never_readable_is_given_up():
    outcomes, why = marked({"default": "Hm,\nwell."}, most=4)
    assert len(outcomes) == 4, "the last one as well has been handed out"
    assert why.startswith("examiner of M0: of 4 verdicts of judge (")
    assert "not one could be read (4 no_score; the last: 'Hm, well.')" in why
    assert "\n" not in why


def test_failed_calls_are_unreadable_too():
    script = {"default": "Hm.", "failures": {r"Because [01]\.": "server_error"}}
    outcomes, why = marked(script, most=4)
    assert {one.reason for one in outcomes} == {"server_error", "no_score"}
    assert "2 server_error" in why


def test_one_readable_verdict_is_enough():
    outcomes, why = marked({"default": "Hm.", "replies": {"Because 2": "Score: 3"}}, most=4)
    assert why is None
    assert sum(isinstance(one, Score) for one in outcomes) == 1
    assert sum(isinstance(one, Failure) for one in outcomes) == 8


def test_a_measured_model_that_judges_is_asked_to_the_end():
    outcomes, why = marked({"default": "Hm."})
    assert (len(outcomes), why) == (9, None)


def test_a_guarded_judge_is_the_judge():
    with Scripted(Scripted.Config(default="Yes.")).open(REF) as model:
        judge: LoadedModel = ExternalJudge(model, 1, "x of M0")
        assert (judge.ref, judge.chat_template, judge.context) == (
            model.ref,
            model.chat_template,
            model.context,
        )
        assert judge.count_tokens(user("Why?")) == model.count_tokens(user("Why?"))
        [said] = judge.generate([Request("r", user("Why?"), Sampling())])
        [likely] = judge.loglikelihood([Continuation("c", "Why?", "Yes.")])
    assert (said.text, likely.greedy) == ("Yes.", True)


def test_where_there_is_no_judge_asking_it_is_refused():
    judge: LoadedModel = NoJudge("my_eval of M0")
    for ask in (judge.generate, judge.loglikelihood, judge.count_tokens):
        with pytest.raises(PluginError, match=r"my_eval of M0 asks a judge, .* `needs_judge`"):
            ask([])
