import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from evals.mt_bench.evaluation import MTBench
from harness.audience import Silent
from harness.metering import Meter, MeteredModel
from harness.microworld.engine import ExaminerEngine
from harness.protocols import Evaluation, Scorer
from harness.records import EvalResult, Failure, ModelRef, Score

M0 = ModelRef(name="M0", location="M0")
M1 = ModelRef(name="M1", location="M1", parent="M0")
RATINGS = {"Write": 9, "Rewrite": 7, "Add": 2, "Double": 1, "Explain": 8.5, "Simplify": 6}


def rate(text):
    """Rate the last answer by what it was asked for."""
    last = re.findall(r"says: (\w+)", text)[-1]
    return f"Quite so. Rating: [[{RATINGS[last]}]]"


class Unmetered(Meter):
    """Counts nothing."""

    def __init__(self):
        super().__init__(Silent())

    def asked(self, rows):
        pass

    def finished(self, prompt_tokens, new_tokens):
        pass


@pytest.fixture
def marked(bench, log, talker, echo):
    """Have a model answer and a judge mark it."""

    def mark(reply=rate, *, model=M1, said=None, judge=None, earlier=(), rows="rows", **options):
        evaluation = MTBench(MTBench.Config(data=bench, **options))
        kept = log(rows)
        evaluation.answer(said or talker(echo(model.name), name=model.name), kept)
        judge = judge or talker(reply, name="judge")
        result = evaluation.mark(model, kept, judge, list(earlier))
        return result, judge

    return mark


def found(result, against=None):
    return {
        metric.name: None if metric.value is None else round(metric.value, 6)
        for metric in result.metrics
        if metric.against == against
    }


def test_every_turn_is_rated_and_averaged(marked):
    result, judge = marked()
    assert found(result) == {
        "score": round(33.5 / 6, 6),
        "score_turn_1": 6.5,
        "score_turn_2": round(14 / 3, 6),
        "score_writing": 8,
        "score_math": 1.5,
        "score_stem": 7.25,
        "score_math_coding_reasoning": 1.5,
        "score_other_categories": 7.625,
    }
    assert {(metric.n, metric.failed) for metric in result.metrics[:3]} == {(6, 0), (3, 0)}
    assert result.metric("score").low < 33.5 / 6 < result.metric("score").high
    assert len(judge.requests) == 6
    assert EvalResult.model_validate_json(result.model_dump_json()) == result


def test_items_are_turns_with_all_that_was_said(marked):
    result, _ = marked()
    assert [item.id for item in result.items] == [
        "81/1", "81/2", "111/1", "111/2", "141/1", "141/2"
    ]  # fmt: skip
    one = result.items[3]
    assert (one.category, one.outcome, one.answer) == (
        "math", Score(value=1), "M1 says: Double 111."
    )  # fmt: skip
    assert one.details["prompt"] == "Double 111."
    assert one.details["turns"] == ["Add 111.", "Double 111."]
    assert one.details["answers"] == ["M1 says: Add 111.", "M1 says: Double 111."]
    assert one.details["judge_prompt"] == "single-math-v1-multi-turn"
    assert one.details["verdicts"] == [{"text": "Quite so. Rating: [[1]]", "value": 1.0}]
    assert one.details["judge"] == "judge"
    assert result.judge.startswith("judge (")
    assert "), mt_bench@" in result.judge
    assert result.answers["81/2"] == "M1 says: Rewrite 81."


def test_only_three_categories_are_judged_with_a_reference(marked):
    _, judge = marked()
    assert ["Official 111" in text for text in judge.texts] == [False] * 2 + [True] * 2 + [
        False
    ] * 2
    assert ["Doubled 111" in text for text in judge.texts].count(True) == 1


def test_the_judge_is_asked_greedily_with_room(marked):
    _, judge = marked()
    assert {(r.sampling.temperature, r.sampling.max_tokens) for r in judge.requests} == {(0, 2048)}


def test_what_cannot_be_read_is_counted_and_never_averaged(marked):
    def judge(text):
        if "says: Rewrite" in text:
            return "no rating"
        return (
            "Rating: [[42]]"
            if "says: Explain 141.\n" in text and "Simplify" not in text
            else rate(text)
        )

    result, _ = marked(judge)
    assert result.failures == {"no_rating": 1, "out_of_range": 1}
    score = result.metric("score")
    assert (round(score.value, 6), score.n, score.failed) == ((9 + 2 + 1 + 6) / 4, 4, 2)
    turn_2 = result.metric("score_turn_2")
    assert (turn_2.value, turn_2.n, turn_2.failed) == (3.5, 2, 1)
    assert result.metric("score_writing").failed == 1


def test_a_judge_that_never_gives_a_rating_gives_no_score(marked):
    result, _ = marked(lambda text: "well, well")
    assert {metric.value for metric in result.metrics} == {None}
    assert {metric.n for metric in result.metrics} == {0}
    assert result.metric("score").failed == 6


def test_a_verdict_that_was_cut_off_counts_only_by_the_official_rule(marked):
    def judge(text):
        return "Rating: [[3]], because " + "well " * 50

    cut, _ = marked(judge, judge_max_tokens=20)
    assert cut.failures == {"truncated": 6}
    official, _ = marked(judge, judge_max_tokens=20, reader="official", rows="other")
    assert official.metric("score").value == 3
    assert "FastChat's first verdict is read" in official.description


def test_the_official_rule_takes_the_first_rating_of_any_size(marked):
    result, _ = marked(lambda text: "[[12]] or rather [[5]]", reader="official")
    assert result.metric("score").value == 12
    result, _ = marked(lambda text: "[[12]] or rather [[5]]", rows="other")
    assert result.metric("score").value == 5


def test_a_failed_answer_is_not_judged(marked, talker, echo):
    said = talker(echo("M1"), failures={"^user: Add 111": "refused"})
    result, judge = marked(said=said)
    assert result.failures == {"refused": 1, "turn_1_failed": 1}
    assert len(judge.requests) == 4
    assert not any("111" in text for text in judge.texts)
    math = result.metric("score_math")
    assert (math.value, math.n, math.failed) == (None, 0, 2)
    assert result.items[2].details["answers"] == [None, None]
    assert "111/1" not in result.answers


def test_repeats_are_really_asked_and_their_spread_is_told(marked, talker):
    told = iter(range(100))

    def moody(text):
        return f"Rating: [[{5 + next(told) % 3}]]"  # 5, 6 and 7 for every item

    behind = talker(moody, name="judge")
    result, _ = marked(judge=MeteredModel(behind, Unmetered()), judgements=3)
    assert len(behind.requests) == len(set(behind.requests)) == 18
    assert {request.sampling.seed for request in behind.requests} == {0, 1, 2}
    assert {item.outcome for item in result.items} == {Score(value=6)}
    noise, within = result.metric("judge_noise"), result.metric("judge_noise_item")
    assert (noise.value, noise.n, within.value) == (pytest.approx(1), 6, pytest.approx(1))
    assert 0.4 < noise.low < 1 < noise.high < 8
    assert "judged" not in noise.note and "3 repeats" in noise.note
    assert len(result.items[0].details["verdicts"]) == 3
    assert "3 times each" in result.description


def test_a_repeat_that_cannot_be_read_leaves_the_others(marked):
    told = iter(range(100))

    def moody(text):
        number = next(told)
        return "nothing" if number == 0 else f"Rating: [[{[4, 8][number % 2]}]]"

    result, _ = marked(moody, judgements=2)
    assert [item.outcome.value for item in result.items] == [8, 6, 6, 6, 6, 6]
    assert (result.metric("score").n, result.metric("score").failed) == (6, 0)
    noise = result.metric("judge_noise")
    assert (noise.n, noise.failed, noise.value) == (5, 1, pytest.approx(8**0.5))


def test_one_judgement_tells_nothing_of_the_judges_spread(marked):
    result, _ = marked()
    assert result.metric("judge_noise") is None


def test_corrected_references_give_a_second_score_of_the_questions_they_are_about(
    marked, jsonl, answers
):
    def judge(text):
        return "Rating: [[10]]" if "Better 111" in text else rate(text)

    better = Path(jsonl("better.jsonl", answers("gpt-4-1106", ["Better", "Best"])))
    result, asked = marked(judge, corrected_references=better)
    assert len(asked.requests) == 8
    assert result.metric("score").value == pytest.approx(33.5 / 6)
    again = result.metric("score_corrected_references")
    assert (again.value, again.n) == (pytest.approx((33.5 - 3 + 20) / 6), 6)
    assert result.items[2].outcome == Score(value=2)
    assert [said["value"] for said in result.items[2].details["corrected_verdicts"]] == [10]
    assert "corrected_verdicts" not in result.items[0].details
    assert "better.jsonl" in result.description
    plain, _ = marked(judge, rows="plain")
    assert plain.metric("score_corrected_references") is None


def test_a_corrected_verdict_that_cannot_be_read_is_counted(marked, jsonl, answers):
    def judge(text):
        return "hm" if "Better 111" in text else rate(text)

    better = Path(jsonl("better.jsonl", answers("gpt-4-1106", ["Better", "Best"])))
    result, _ = marked(judge, corrected_references=better)
    again = result.metric("score_corrected_references")
    assert (again.n, again.failed, result.metric("score").failed) == (4, 2, 0)


def test_the_same_reference_is_not_judged_twice(marked, bench):
    same = Path(bench).parent / "reference_answer" / "gpt-4.jsonl"
    result, judge = marked(corrected_references=same)
    assert len(judge.requests) == 6
    assert result.metric("score_corrected_references").value == result.metric("score").value


@pytest.mark.parametrize("after", [0, 3, 11])
def test_only_missing_verdicts_are_asked_again(marked, talker, killed, log, after):
    expected, _ = marked(judgements=2, rows="whole")
    torn = talker(rate, name="judge", killed_after=after)
    with pytest.raises(killed):
        marked(judge=torn, judgements=2, rows="torn")
    result, judge = marked(judgements=2, rows="torn")
    assert len(judge.requests) == 12 - after
    assert result == expected
    assert dict(log("torn")) == dict(log("whole"))


def test_another_prompt_is_another_verdict_and_the_answers_stay(marked, jsonl, talker, echo, bench):
    marked()
    prompts = MTBench(MTBench.Config(data=bench)).prompts.by_name.values()
    mine = jsonl(
        "mine.jsonl",
        [
            {"name": p.name, "system_prompt": "Be brief.", "prompt_template": p.template}
            for p in prompts
        ],
    )
    said = talker(echo("M1"))
    _, judge = marked(said=said, prompts=Path(mine))
    assert (len(said.requests), len(judge.requests)) == (0, 6)


# ---------------------------------------------------------------- pair mode


def prefer(winners):
    """Prefer by what was asked: a model's name, a letter, or a tie."""

    def judge(text):
        names = re.findall(r"(M\d|rival) says: (\w+)", text)
        [wanted] = [w for asked, w in winners.items() if asked == names[-1][1]]
        if wanted in ("A", "B", "C", "nothing"):
            return f"[[{wanted}]]"
        return f"[[{'A' if names[0][0] == wanted else 'B'}]]"

    return judge


@pytest.fixture
def duel(marked):
    def play(winners, **options):
        before, _ = marked(model=M0, mode="pair", rows="M0", **options)
        return (*marked(prefer(winners), mode="pair", earlier=[before], **options), before)

    return play


WINNERS = {
    "Write": "M1",
    "Rewrite": "M1",
    "Add": "M0",
    "Double": "A",
    "Explain": "C",
    "Simplify": "nothing",
}


def test_pair_mode_counts_what_survives_the_swap(duel):
    result, judge, before = duel(WINNERS)
    assert [getattr(item.outcome, "value", "failed") for item in result.items] == [
        1, 1, 0, 0.5, 0.5, "failed"
    ]  # fmt: skip
    assert found(result, "M0") == {
        "win_rate": 0.4,
        "loss_rate": 0.2,
        "tie_rate": 0.4,
        "win_rate_adjusted": 0.6,
    }
    assert {(m.n, m.failed) for m in result.metrics} == {(5, 1)}
    assert result.failures == {"no_choice": 1}
    assert len(judge.requests) == 12
    assert before.metrics == before.items == ()
    assert before.answers["111/2"] == "M0 says: Double 111."


def test_both_orders_are_shown_with_the_reference_for_math(duel):
    result, judge, _ = duel(WINNERS)
    orders = [re.findall(r"(M\d) says: Add", text) for text in judge.texts if "Add 111" in text]
    assert orders[:2] == [["M1", "M0"], ["M0", "M1"]]
    assert all("Official 111" in text for text in judge.texts if "111" in text)
    one = result.items[3]
    assert one.against == "M0"
    assert one.details["judge_prompt"] == "pair-math-v1-multi-turn"
    assert one.details["opponent_answers"] == ["M0 says: Add 111.", "M0 says: Double 111."]
    assert [(said["order"], said["value"]) for said in one.details["verdicts"]] == [
        ("own answer first", 1),
        ("own answer second", 0),
    ]


@pytest.mark.parametrize(("verdict", "outcome"), [("[[A]]", 0.5), ("[[C]]", 0.5), ("hm", None)])
def test_two_equal_answers_are_one_question_to_the_judge(marked, talker, verdict, outcome):
    def same(text):
        return "the same"

    before, _ = marked(model=M0, mode="pair", rows="M0", said=talker(same))
    result, judge = marked(
        lambda text: verdict, mode="pair", earlier=[before], said=talker(same), rows="M1"
    )
    assert len(judge.requests) == 6
    assert {getattr(item.outcome, "value", None) for item in result.items} == {outcome}


def test_pair_mode_repeats_whole_games(duel):
    result, judge, _ = duel(WINNERS, judgements=2)
    assert len(judge.requests) == 24
    assert found(result, "M0")["win_rate_adjusted"] == 0.6
    assert found(result, "M0")["judge_noise"] == 0


def test_a_stored_baseline_is_an_opponent(marked, jsonl, answers):
    rows = answers("rival", ["rival says: Write", "rival says: Rewrite"], ids=[81, 111])
    baseline = Path(jsonl("rival.jsonl", rows))
    winners = {"Write": "M1", "Rewrite": "rival", "Add": "M1", "Double": "rival"}
    result, _ = marked(prefer(winners), mode="pair", baseline=baseline)
    assert {item.against for item in result.items} == {"rival"}
    assert result.failures == {"opponent_failed": 2}
    assert found(result, "rival")["win_rate"] == 0.5


def test_who_is_met(marked):
    ref = ModelRef(name="M2", location="M2", parent="M1")
    earlier = []
    for model in (M0, M1):
        result, _ = marked(lambda text: "[[C]]", model=model, mode="pair", rows=model.name)
        earlier.append(result)
    options = {"model": ref, "mode": "pair", "earlier": earlier}
    result, _ = marked(lambda text: "[[C]]", **options, against=["previous", "M0", "SFT"])
    assert list(dict.fromkeys(item.against for item in result.items)) == ["M1", "M0"]
    assert result.metric("tie_rate", "M1").value == 1


def test_a_failed_answer_loses_no_game(duel, marked, talker, echo):
    _, _, before = duel(WINNERS)
    said = talker(echo("M1"), failures={"Rewrite 81": "refused"})
    result, _ = marked(prefer(WINNERS), mode="pair", earlier=[before], said=said, rows="failing")
    assert result.failures == {"refused": 1, "no_choice": 1}
    assert result.metric("loss_rate", "M0").n == 4


@pytest.mark.parametrize("after", [0, 5])
def test_pair_mode_resumes(marked, duel, talker, killed, after):
    expected, _, before = duel(WINNERS, judgements=1)
    torn = talker(prefer(WINNERS), name="judge", killed_after=after)
    with pytest.raises(killed):
        marked(judge=torn, mode="pair", earlier=[before], rows="torn")
    result, judge = marked(prefer(WINNERS), mode="pair", earlier=[before], rows="torn")
    assert (result, len(judge.requests)) == (expected, 12 - after)


# ---------------------------------------------------------------- what a result says of itself


def test_the_description_says_whose_prompts_and_references(marked):
    result, _ = marked()
    for part in (
        "3 two-turn questions of ", "writing 0.7, math 0, stem 0.1", "rated by judge",
        "judge prompts in our own words", "T=0", "the last verdict is read",
        "1 with reference answers of ", "chat template a template",
    ):  # fmt: skip
        assert part in result.description
    assert {m.note for m in result.metrics} == {"questions or references are not MT-Bench's own"}


def test_the_protocol_names_what_changes_the_figure_but_not_the_model(
    marked, talker, jsonl, answers
):
    def protocol(rows, model=M1, judge="judge", **options):
        result, _ = marked(model=model, judge=talker(str, name=judge), rows=rows, **options)
        return result.protocol

    references = Path(jsonl("other.jsonl", answers("j", ["Other", "Others"])))
    base = protocol("a")
    assert protocol("b", model=M0) == base
    different = {
        base,
        protocol("c", judge="another"),
        protocol("d", references=references),
        protocol("e", max_tokens=5),
        protocol("f", judgements=2),
        protocol("g", reader="official"),
        protocol("h", mode="pair"),
        protocol("i", judge_max_tokens=1000),
        protocol("j", temperatures={"math": 1}),
    }
    assert len(different) == 9


def test_what_does_not_go_together_is_refused(bench, tmp_path):
    with pytest.raises(ValidationError, match="belong to single mode"):
        MTBench.Config(data=bench, mode="pair", corrected_references=tmp_path)
    with pytest.raises(ValidationError, match="belongs to pair mode"):
        MTBench.Config(data=bench, baseline=tmp_path)


def test_it_is_a_plug_in(bench):
    evaluation = MTBench(MTBench.Config(data=bench))
    assert evaluation.needs_judge
    assert isinstance(MTBench, Scorer)
    checked: Evaluation = evaluation
    assert checked is evaluation


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_the_micro_world_is_judged_by_its_exact_examiner(log, talker, answers, jsonl, mode):
    evaluation = MTBench(MTBench.Config(mode=mode))
    references = evaluation.questions.references
    right = {
        q.turns[k]: references[q.id][k]
        for q in evaluation.questions.rows
        for k in (0, 1)
        if q.id in references
    }

    def knowing(text):
        return right.get(text.rpartition("user: ")[2], "I do not know.")

    results = []
    with ExaminerEngine(ExaminerEngine.Config()).open(
        ModelRef(name="judge", location="examiner")
    ) as examiner:
        for model, reply in ((M0, lambda text: "I do not know."), (M1, knowing)):
            rows = log(model.name)
            evaluation.answer(talker(reply, name=model.name), rows)
            results.append(evaluation.mark(model, rows, examiner, results[:]))
    if mode == "single":
        assert results[1].metric("score_math").value == 10
        assert results[0].metric("score").value < 3
        assert results[1].metric("score").failed == 0
        assert "micro-world" in results[1].metric("score").note
    else:
        assert results[1].metric("loss_rate", "M0").value == 0
        assert results[1].metric("win_rate", "M0").value == pytest.approx(
            len(right) / (2 * len(evaluation.questions.rows))
        )
        assert not [i for i in results[1].items if isinstance(i.outcome, Failure)]
