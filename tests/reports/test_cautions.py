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


def said(record: RunRecord) -> tuple[str, ...]:
    """Every sentence, with its cause before it."""
    return tuple(
        f"{one.cause}: {sentence}" for one in cautions(record) for sentence in one.sentences
    )


def run(whole_run: RunRecord, *found: EvalResult) -> RunRecord:
    """The whole run with these results only, by model, and asked for no others."""
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
    asked = [{"name": name} for name in dict.fromkeys(one.evaluation for one in found)]
    request = {**whole_run.request, "evaluations": asked}
    return whole_run.model_copy(update={"stages": tuple(stages), "request": request})


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
    assert said(run(whole_run, *sound)) == ()


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        (
            {"failure_rate": 0.11},
            "Not everything was scored: M0, Examiner: 11% of the verdicts could not be read.",
        ),
        ({"tie_rate": 0.51}, "few items decide: Examiner: 51% for M0."),
        ({"pairwise_accuracy": 0.59}, "M0, as a judge, agrees with 59% of the human orders"),
        ({"score": None}, "Not everything was scored: M0, Examiner: nothing."),
    ],
)
def test_a_metric_beyond_its_threshold_is_said(metrics, says, whole_run):
    [caution] = said(run(whole_run, result(**metrics)))
    assert says in caution


def test_a_model_without_opponents_did_not_fail(whole_run):
    assert said(run(whole_run, result("head_to_head"))) == ()


def test_few_items_are_said(whole_run):
    [caution] = said(run(whole_run, result(score=3, n=99)))
    assert caution == "Few items, so that only large differences show: Examiner: 99."


def test_answers_that_grew_are_said_with_the_model_they_grew_from(whole_run):
    found = [result(model="M1", length_tokens=10), result(model="M2", length_tokens=15.1)]
    [caution] = said(run(whole_run, *found))
    assert caution == (
        "Length may be doing the work: Examiner: M2's answers are 1.5 times as long as M1's."
    )


def test_different_protocols_are_said(whole_run):
    other = result(model="M2", score=4).model_copy(update={"protocol": "q"})
    [caution] = said(run(whole_run, result(model="M1", score=3), other))
    assert "measured by 2 different protocols" in caution


def test_cut_off_texts_are_said(whole_run):
    cut = result(score=3).model_copy(update={"items": items(100, truncated=6)})
    [caution] = said(run(whole_run, cut))
    assert "6% of the items hold a text that was cut off" in caution


def test_failures_are_said_by_cause(whole_run):
    failing = result(score=3).model_copy(update={"items": items(100, failed=11)})
    [caution] = said(run(whole_run, failing))
    assert "11% of the items are not (11 no_score)" in caution


def test_the_trainers_warnings_come_first_each_once(whole_run):
    first, second, *_ = said(whole_run)
    assert first == "The trainer warns: 02-train: M1 does not end its answers: 2 of 1200."
    assert second.startswith("The trainer warns: 03-train: ")


def test_questions_that_training_has_seen_are_a_warning(whole_run):
    seen = Overlap(questions=805, prompts=4830, exact=("a", "b"), near=("c",))
    last = whole_run.stages[-1].model_copy(
        update={"overlap": {"alpaca_eval": seen, "examiner": Overlap(questions=3, prompts=9)}}
    )
    found = said(whole_run.model_copy(update={"stages": (*whole_run.stages[:-1], last)}))
    about = [line for line in found if "Training has seen" in line]
    assert about == [
        "Training has seen questions: AlpacaEval: 2 of 805, and 1 nearly word for word."
    ]


def test_a_run_that_stopped_and_files_that_cannot_be_read_come_first(whole_run):
    broken = whole_run.model_copy(
        update={"stopped": "M3 cannot judge", "unreadable": tuple(f"f{k}: torn" for k in range(5))}
    )
    assert said(broken)[:5] == (
        "The run stopped before its end: M3 cannot judge.",
        "Files are left out: This version cannot read f0: torn.",
        "Files are left out: This version cannot read f1: torn.",
        "Files are left out: This version cannot read f2: torn.",
        "Files are left out: Nor can it read 2 more.",
    )


def test_models_under_different_chat_templates_are_said(whole_run):
    def under(**templates: str) -> tuple[str, ...]:
        stages = tuple(
            stage.model_copy(
                update={
                    "model": stage.model.model_copy(
                        update={"chat_template": templates.get(stage.model.name)}
                    ),
                }
            )
            for stage in run(whole_run).stages
        )
        return said(run(whole_run).model_copy(update={"stages": stages}))

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
    assert said(run(whole_run, *results, noted("examiner", "M1", "expected score"))) == (
        "Not comparable with published figures: AlpacaEval: judge substituted (x): not comparable "
        "with the leaderboard.",
        "Not comparable with published figures: AlpacaEval: not official LC: no files.",
    )


def test_a_judge_that_is_not_the_published_one_is_said(whole_run):
    official = noted("mt_bench", "M1", judge="gpt-4 (gpt-4-0613@api.openai.com), single-v1")
    other = noted("mt_bench", "M1", judge="gpt-6-sol")
    assert said(run(whole_run, official)) == ()
    [caution] = said(run(whole_run, other))
    assert "MT-Bench: judged by gpt-6-sol, the published figures by gpt-4" in caution


def test_a_gain_that_length_control_takes_away_is_said(whole_run):
    rates = {"win_rate": 40, "length_controlled_win_rate": 40}
    before = result("alpaca_eval", "M1", **rates)
    kept = result("alpaca_eval", "M2", win_rate=50, length_controlled_win_rate=45)
    lost = result("alpaca_eval", "M2", win_rate=50, length_controlled_win_rate=44.9)
    assert said(run(whole_run, before, kept)) == ()
    [caution] = said(run(whole_run, before, lost))
    assert "AlpacaEval: of 10.0 points that M2 has more than M1, 4.9 are left" in caution


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
    found = said(run(whole_run, before, after))
    assert ["Answers that grew more are judged better" in line for line in found] == (
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
    [caution] = said(run(whole_run, result("head_to_head", "M1"), game))
    assert "correlations: Head to head 1.00 (M2 over M1, n 50)" in caution


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
    [caution] = said(run(whole_run, *results))
    assert "Judge agreement: the judge of the evaluations" in caution
    assert "agrees with 55% of the human orders" in caution


def test_an_evaluation_without_any_result_is_said(whole_run, half_run):
    record = run(whole_run, result(score=3))
    choices = [{"name": "examiner"}, {"name": "mt_bench", "label": "conversations"}]
    asked = {"request": {**record.request, "evaluations": choices}}
    missing = "Not measured at all: conversations was asked for."
    assert said(record.model_copy(update=asked)) == (missing,)
    assert missing not in said(half_run.model_copy(update=asked))


def test_benchmarks_that_fell_are_said_though_their_mean_holds(whole_run):
    def answered(model: str, right: dict[str, int]) -> EvalResult:
        found = tuple(
            ItemResult(
                id=f"{task}/{k}", answer="", outcome=Score(value=float(k < count)), category=task
            )
            for task, count in right.items()
            for k in range(60)
        )
        return result("nlp_benchmarks", model, mean=0.5).model_copy(update={"items": found})

    before = answered("M0", {"piqa": 45, "arc_easy": 30, "mmlu": 30})
    after = answered("M3", {"piqa": 30, "arc_easy": 45, "mmlu": 28})
    assert said(run(whole_run, before, after)) == (
        "The mean hides benchmarks that fell: NLP benchmarks: M3 is below M0 on PIQA by 25.0 "
        "points.",
    )
