import pytest

from harness.records import EvalResult, Failure, ItemResult, Metric, Overlap, RunRecord, Score
from reports.cautions import cautions


def result(evaluation: str = "examiner", model: str = "M0", n: int = 200, **metrics) -> EvalResult:
    return EvalResult(
        evaluation=evaluation,
        model=model,
        protocol="p",
        metrics=tuple(Metric(name=name, value=value, n=n) for name, value in metrics.items()),
    )


def run(whole_run: RunRecord, *found: EvalResult) -> RunRecord:
    """The whole run with these results only, by model."""
    stages = [
        stage.model_copy(
            update={
                "metrics": {},
                "evaluations": tuple(
                    one
                    for one in found
                    if stage.stage.kind == "evaluate"
                    and one.model in [m.name for m in (*stage.comparators, stage.model)]
                ),
            }
        )
        for stage in whole_run.stages
    ]
    return whole_run.model_copy(update={"stages": tuple(stages)})


def items(n: int, truncated: int = 0, failed: int = 0) -> tuple[ItemResult, ...]:
    return tuple(
        ItemResult(
            id=str(k),
            answer="",
            outcome=Failure(reason="no_score") if k < failed else Score(value=1),
            details={"truncated": k < truncated},
        )
        for k in range(n)
    )


def test_a_sound_run_has_none(whole_run):
    sound = [
        result(model="M1", score=3, length_tokens=12),
        result(model="M2", score=4, length_tokens=17),
        result(
            "judge_agreement", model="M2", pairwise_accuracy=0.6, tie_rate=0.5, failure_rate=0.1
        ),
    ]
    assert cautions(run(whole_run, *sound)) == ()


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({"failure_rate": 0.11}, "M0 / examiner: 11% of the verdicts could not be read."),
        ({"tie_rate": 0.51}, "M0 / examiner: 51% ties"),
        ({"pairwise_accuracy": 0.59}, "as a judge it agrees with 59% of the human orders"),
        ({"score": None}, "M0 / examiner: nothing could be scored."),
    ],
)
def test_a_metric_beyond_its_threshold_is_said(metrics, says, whole_run):
    [caution] = cautions(run(whole_run, result(**metrics)))
    assert says in caution


def test_a_model_without_opponents_did_not_fail(whole_run):
    assert cautions(run(whole_run, result("head_to_head"))) == ()


def test_few_items_are_said(whole_run):
    [caution] = cautions(run(whole_run, result(score=3, n=99)))
    assert "rests on 99 items or fewer" in caution


def test_answers_that_grew_are_said_with_the_model_they_grew_from(whole_run):
    found = [result(model="M1", length_tokens=10), result(model="M2", length_tokens=15.1)]
    [caution] = cautions(run(whole_run, *found))
    assert caution.startswith("M2 / examiner: answers are 1.5 times as long as M1's")


def test_different_protocols_are_said(whole_run):
    other = result(model="M2", score=4).model_copy(update={"protocol": "q"})
    [caution] = cautions(run(whole_run, result(model="M1", score=3), other))
    assert "measured by 2 different protocols" in caution


def test_cut_off_texts_are_said(whole_run):
    cut = result(score=3).model_copy(update={"items": items(100, truncated=6)})
    [caution] = cautions(run(whole_run, cut))
    assert "6% of the items hold a text that was cut off" in caution


def test_failures_are_said_by_cause(whole_run):
    failing = result(score=3).model_copy(update={"items": items(100, failed=11)})
    [caution] = cautions(run(whole_run, failing))
    assert "11% of the items could not be scored (11 no_score)" in caution


def test_the_trainers_warnings_come_first_each_once(whole_run):
    first, second, *_ = cautions(whole_run)
    assert first == "02-train: M1 does not end its answers: 2 of 1200"
    assert second.startswith("03-train: ")


def test_questions_that_training_has_seen_are_a_warning(whole_run):
    seen = Overlap(questions=805, prompts=4830, exact=("a", "b"), near=("c",))
    last = whole_run.stages[-1].model_copy(
        update={"overlap": {"alpaca_eval": seen, "examiner": Overlap(questions=3, prompts=9)}}
    )
    found = cautions(whole_run.model_copy(update={"stages": (*whole_run.stages[:-1], last)}))
    about = [line for line in found if "training has seen" in line]
    assert about == [
        "alpaca_eval: training has seen 2 of its 805 questions, and 1 nearly word for word."
    ]


def test_a_run_that_stopped_and_files_that_cannot_be_read_come_first(whole_run):
    broken = whole_run.model_copy(
        update={"stopped": "M3 cannot judge", "unreadable": tuple(f"f{k}: torn" for k in range(5))}
    )
    assert cautions(broken)[:5] == (
        "The run stopped before its end: M3 cannot judge.",
        "Left out, since this version cannot read it: f0: torn.",
        "Left out, since this version cannot read it: f1: torn.",
        "Left out, since this version cannot read it: f2: torn.",
        "2 more files of the run are left out, since this version cannot read them.",
    )


def test_models_under_different_chat_templates_are_said(whole_run):
    def under(**templates: str) -> tuple[str, ...]:
        stages = tuple(
            stage.model_copy(
                update={
                    "metrics": {},
                    "evaluations": (),
                    "model": stage.model.model_copy(
                        update={"chat_template": templates.get(stage.model.name)}
                    ),
                }
            )
            for stage in whole_run.stages
        )
        return cautions(whole_run.model_copy(update={"stages": stages}))

    assert under(M0="aa", M1="aa", M2="aa") == ()
    [caution] = under(M0="aa", M1="bb", M2="bb")
    assert "2 different chat templates (M0 by aa, M1 and M2 by bb)" in caution


def noted(evaluation: str, model: str, note: str = "", judge: str = "") -> EvalResult:
    metric = Metric(name="score", value=1, n=200, note=note)
    return EvalResult(
        evaluation=evaluation, model=model, protocol="p", metrics=(metric,), judge=judge
    )


def test_what_is_not_the_published_kind_is_said_once(whole_run):
    note = "judge substituted (x): not comparable with the leaderboard; not official LC: no files"
    results = [noted("alpaca_eval", model, note) for model in ("M1", "M2")]
    assert cautions(run(whole_run, *results, noted("examiner", "M1", "expected score"))) == (
        "alpaca_eval: judge substituted (x): not comparable with the leaderboard.",
        "alpaca_eval: not official LC: no files.",
    )


def test_a_judge_that_is_not_the_published_one_is_said(whole_run):
    official = noted("mt_bench", "M1", judge="gpt-4 (gpt-4-0613@api.openai.com), single-v1")
    other = noted("mt_bench", "M1", judge="gpt-6-sol")
    assert cautions(run(whole_run, official)) == ()
    [caution] = cautions(run(whole_run, other))
    assert "mt_bench: judged by gpt-6-sol, the published figures by gpt-4" in caution


def test_a_gain_that_length_control_takes_away_is_said(whole_run):
    rates = {"win_rate": 40, "length_controlled_win_rate": 40}
    before = result("alpaca_eval", "M1", **rates)
    kept = result("alpaca_eval", "M2", win_rate=50, length_controlled_win_rate=45)
    lost = result("alpaca_eval", "M2", win_rate=50, length_controlled_win_rate=44.9)
    assert cautions(run(whole_run, before, kept)) == ()
    [caution] = cautions(run(whole_run, before, lost))
    assert "M2 / alpaca_eval: of 10.0 points more than M1, 4.9 are left" in caution


def written(evaluation: str, model: str, lengths: list[int], scores: list[float]) -> EvalResult:
    items = tuple(
        ItemResult(id=str(k), answer="a" * length, outcome=Score(value=score))
        for k, (length, score) in enumerate(zip(lengths, scores, strict=True))
    )
    return result(evaluation, model).model_copy(update={"items": items})


@pytest.mark.parametrize(
    ("evaluation", "scores", "says"),
    [
        ("examiner", [float(k % 7) for k in range(70)], True),
        ("examiner", [float(k // 7 % 2) for k in range(70)], False),
        ("examiner", [1.0] * 70, False),
        ("judge_agreement", [float(k % 7) for k in range(70)], False),  # no answers to a prompt
    ],
)
def test_answers_that_became_longer_and_better_are_said(evaluation, scores, says, whole_run):
    before = written(evaluation, "M1", [5] * 70, [0.0] * 70)
    after = written(evaluation, "M2", [5 + k % 7 for k in range(70)], scores)
    found = cautions(run(whole_run, before, after))
    assert [line.startswith("examiner: the answers that became longer") for line in found] == (
        [True] if says else []
    )


def test_games_that_longer_answers_win_are_said(whole_run):
    items = tuple(
        ItemResult(
            id=str(k),
            answer="a" * (10 + k % 5),
            outcome=Score(value=(k % 5) / 4),
            against="M1",
            details={"opponent_answer": "a" * 12},
        )
        for k in range(50)
    )
    game = result("head_to_head", "M2").model_copy(update={"items": items})
    [caution] = cautions(run(whole_run, result("head_to_head", "M1"), game))
    assert "correlation 1.00 over 50 items, M2 over M1" in caution


def test_scores_beyond_reckoning_say_nothing_of_length(whole_run):
    def scored(model, value):
        items = tuple(
            ItemResult(id=str(k), answer="a" * k, outcome=Score(value=value)) for k in range(50)
        )
        return result("examiner", model).model_copy(update={"items": items})

    assert [*cautions(run(whole_run, scored("M1", -1e308), scored("M2", 1e308)))] == []


def test_an_external_judge_below_its_trust_line_is_said(whole_run):
    outside = {"external/pairwise_accuracy": 0.55}
    results = [result("judge_agreement", model, **outside) for model in ("M1", "M2")]
    [caution] = cautions(run(whole_run, *results))
    assert caution.startswith("judge_agreement: the judge of the evaluations")
    assert "agrees with 55% of the human orders" in caution
