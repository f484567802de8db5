from math import log

from harness.records import EvalResult, Failure, ItemResult, RunRecord, Score, Stage, StageResult
from reports.html.samples import Choices, Fact, Text, Verdict, parts, sampled
from tests.reports.conftest import ref


def item(**details) -> ItemResult:
    return ItemResult(id="a", answer="yes", outcome=Score(value=1), details=details)


def run(**results: tuple[ItemResult, ...]) -> RunRecord:
    """One evaluation of several models."""
    stages = tuple(
        StageResult(
            stage=Stage(iteration=number, kind="evaluate"),
            model=ref(model),
            evaluations=(
                EvalResult(evaluation="e", model=model, protocol="p", metrics=(), items=items),
            ),
        )
        for number, (model, items) in enumerate(results.items())
    )
    return RunRecord(request={}, environment={}, stages=stages)


def test_what_all_models_share_is_said_once():
    details = {"prompt": "Why?", "reference_output": "So.", "reference": "gpt4", "tokens": 3}
    record = run(M0=(item(**details),), M1=(item(**{**details, "tokens": 4}),))
    [[sample]] = [one.samples for one in sampled(record, 100)]
    assert sample.prompt == "Why?"
    assert sample.shared == (Text("reference output (gpt4)", "So."),)
    assert [entry.parts for entry in sample.entries] == [
        (Fact("tokens", "3"),),
        (Fact("tokens", "4"),),
    ]


def test_a_failure_names_its_cause_and_has_no_value():
    failed = item().model_copy(update={"outcome": Failure(reason="no_score", detail="Well...")})
    [[sample]] = [one.samples for one in sampled(run(M0=(failed,)), 100)]
    [entry] = sample.entries
    assert (entry.value, entry.failure) == (None, "no_score")
    assert entry.parts == (Text("why it failed", "Well..."),)


def test_games_are_entries_of_one_sample_each_with_both_verdicts():
    said = [{"text": "A", "value": 1.0, "order": "own answer first"}, {"text": "?"}]
    games = tuple(
        item(prompt="Why?", opponent_answer="no", verdicts=said).model_copy(
            update={"against": other}
        )
        for other in ("M0", "SFT")
    )
    [[sample]] = [one.samples for one in sampled(run(M1=games), 100)]
    assert [entry.against for entry in sample.entries] == ["M0", "SFT"]
    assert Text("opponent answer (M0)", "no") in sample.entries[0].parts
    verdicts = [
        part for part in (*sample.shared, *sample.entries[0].parts) if type(part) is Verdict
    ]
    assert verdicts == [
        Verdict("verdict 1, own answer first", "A", "wins"),
        Verdict("verdict 2", "?"),
    ]


def test_of_a_conversation_the_turns_before_are_shown():
    told = item(prompt="And?", turns=["Why?", "And?"], answers=["So.", "So too."])
    [[sample]] = [one.samples for one in sampled(run(M0=(told,)), 100)]
    assert sample.prompt == "Turn 1: Why?\n\nTurn 2: And?"
    assert Text("answer to turn 1", "So.") in sample.entries[0].parts


def test_verdicts_carry_how_they_were_read_and_what_else_might_have_been_said():
    judged = [{"text": "Good. [[9]]", "value": 9.0}, {"text": "?", "failure": "no_score"}]
    told = [*parts(item(verdicts=judged))]
    assert told == [
        Verdict("verdict 1", "Good. [[9]]", "9"),
        Verdict("verdict 2", "?", "no_score"),
    ]
    said = {"text": "m", "value": 0.9, "probabilities": {"m": 0.9, "M": 0.1}}
    told = [*parts(item(verdicts=[said]))]
    assert told == [Verdict("verdict", "m", "0.9", (("m", 0.9), ("M", 0.1)))]


def test_a_run_of_an_earlier_version_shows_its_verdicts_too():
    assert [*parts(item(verdict="Score: 4"))] == [Verdict("verdict", "Score: 4")]
    assert [*parts(item(judgements=[{"text": "[[9]]", "value": 9.0}]))] == [
        Verdict("judgement", "[[9]]", "9")
    ]


def test_given_answers_stand_with_how_likely_they_were():
    choices = [{"text": "three", "logprob": -1.0, "per_character": -0.75}, {"text": "two"}]
    assert [*parts(item(choices=choices))] == [
        Choices((("three", "logprob -1, per character -0.75", None), ("two", "", None)))
    ]
    choices = [{"text": "three", "logprob": -1.0}, {"text": "two", "logprob": -1.0 - log(3)}]
    [told] = parts(item(choices=choices))
    assert [share for _, _, share in told.options] == [0.75, 0.25]


def test_the_same_verdict_several_times_over_is_shown_once():
    told = [*parts(item(verdicts=["Score: 4", "Score: 5", "Score: 4"]))]
    assert told == [Verdict("verdicts 1, 3", "Score: 4"), Verdict("verdict 2", "Score: 5")]


def test_ranked_responses_stand_with_their_scores_and_verdicts():
    response = {"text": "So.", "rank": 0, "score": 4.5, "verdicts": ["Score: 4"]}
    told = [*parts(item(responses=[response]))]
    assert told == [
        Text("response 1, ranked 0 by people (0 is best)", "So."),
        Fact("response 1: score", "4.5"),
        Verdict("response 1, verdict", "Score: 4"),
    ]


def test_what_a_stranger_keeps_is_shown_under_its_own_name():
    told = [*parts(item(mood="calm", table={"a": 1}, essay="long " * 40, nothing=None, sure=True))]
    assert told == [
        Fact("mood", "calm"),
        Fact("table", "a 1"),
        Text("essay", "long " * 40),
        Fact("sure", "yes"),
    ]


def test_of_very_many_items_some_are_drawn_the_failed_ones_first():
    items = tuple(
        item().model_copy(
            update={"id": f"i{k}"} | ({"outcome": Failure(reason="cut")} if k in (7, 90) else {})
        )
        for k in range(100)
    )
    [one] = sampled(run(M0=items, M1=items), 10)
    ids = [sample.id for sample in one.samples]
    assert len(ids) == 10 and {"i7", "i90"} <= set(ids)
    assert ids == sorted(ids, key=lambda id: int(id[1:])), "in the order in which they were asked"
    assert one.there_are == 100
    assert sampled(run(M0=items, M1=items), 10) == (one,)
