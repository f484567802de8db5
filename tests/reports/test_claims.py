"""The paper's claims, each verdict reached by a run made for it."""

from typing import Any

import pytest

from harness.records import EvalResult, Failure, ItemResult, Metric, RunRecord, Score
from harness.statistics.intervals import Estimate, net_win
from reports.changes import changes
from reports.claim_measures import Measured
from reports.claims import CLAIMS, claims, gains_nothing, keeps, rises, summary, table, tally

EVALUATIONS = {
    "alpaca_eval": "win_rate",
    "mt_bench": "score",
    "nlp_benchmarks": "mean",
    "judge_agreement": "score",
}


def items(
    values: list[float], categories: tuple[str, ...] = ("x",), length: int = 10
) -> tuple[ItemResult, ...]:
    return tuple(
        ItemResult(
            id=f"i{k:03d}",
            answer="a" * length,
            outcome=Score(value=value),
            category=categories[k % len(categories)],
        )
        for k, value in enumerate(values)
    )


def result(evaluation: str, model: str, found: tuple[ItemResult, ...]) -> EvalResult:
    scores = [item.outcome.value for item in found if isinstance(item.outcome, Score)]
    mean = sum(scores) / len(scores) if scores else None
    metric = Metric(name=EVALUATIONS[evaluation], value=mean, n=len(scores))
    return EvalResult(
        evaluation=evaluation, model=model, protocol="p", metrics=(metric,), items=found
    )


def games(model: str, against: str, won: int, tied: int, lost: int) -> EvalResult:
    n = won + tied + lost
    metrics = [
        Metric(name=name, value=count / n, n=n, against=against)
        for name, count in (("win", won), ("tie", tied), ("loss", lost))
    ]
    net = net_win(won, tied, lost).metric("net_win", against=against)
    return EvalResult(evaluation="head_to_head", model=model, protocol="p", metrics=(*metrics, net))


def run(whole_run: RunRecord, *results: EvalResult, **rounds: dict[str, Any]) -> RunRecord:
    """The whole run's models with these results alone, and the trainer's numbers of these."""
    stages = tuple(
        stage.model_copy(
            update={
                "metrics": rounds.get(stage.model.name, {}) if stage.stage.kind == "train" else {},
                "evaluations": tuple(
                    one
                    for one in results
                    if stage.stage.kind == "evaluate"
                    and one.model in [m.name for m in (*stage.comparators, stage.model)]
                ),
            }
        )
        for stage in whole_run.stages
    )
    return whole_run.model_copy(update={"stages": stages})


def verdict(record: RunRecord, text: str) -> str:
    [claim] = [one for one in claims(record, changes(record)) if one.text.startswith(text)]
    return claim.verdict


def measured(low: float | None, high: float | None, shown, null: float = 0.0) -> Measured:
    return Measured(Estimate(null, low, high, 300), shown, null=null)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (measured(0.1, 0.3, "better"), "holds"),
        (measured(-0.3, -0.1, "worse"), "does not hold"),
        (measured(-0.1, 0.19, "no clear change"), "does not hold"),  # below half of 0.4
        (measured(-0.1, 0.21, "no clear change"), "not enough evidence"),
        (measured(0.01, 0.19, "not after correction"), "does not hold"),
        (measured(-0.1, 0.1, "too few items"), "not enough evidence"),
        (measured(None, None, "no interval"), "not enough evidence"),
    ],
)
def test_a_claim_that_something_rises(found, says):
    assert rises(found, 0.4) == says


def test_half_of_a_ratio_is_counted_from_1():
    assert rises(measured(0.9, 1.19, "no clear change", null=1), 1.4) == "does not hold"
    assert rises(measured(0.9, 1.21, "no clear change", null=1), 1.4) == "not enough evidence"


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (measured(-0.09, 0.1, "no clear change"), "holds"),
        (measured(-0.09, -0.01, "worse"), "holds"),  # a loss, and less than the margin
        (measured(-0.3, -0.05, "worse"), "does not hold"),
        (measured(-0.11, 0.1, "no clear change"), "not enough evidence"),
        (measured(None, None, "no interval"), "not enough evidence"),
    ],
)
def test_a_claim_that_something_does_not_suffer(found, says):
    assert keeps(0.1)(found, 0.0) == says


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (measured(-0.1, 0.09, "no clear change"), "holds"),
        (measured(0.05, 0.3, "better"), "does not hold"),
        (measured(-0.1, 0.11, "no clear change"), "not enough evidence"),
    ],
)
def test_a_claim_that_something_does_not_help(found, says):
    assert gains_nothing(0.1)(found, 0.0) == says


def test_a_handful_of_items_excludes_no_loss():
    few = Measured(Estimate(0.0, 0.0, 0.0, 6), "too few items")
    assert keeps(0.1)(few, 0.0) == "not enough evidence"
    assert gains_nothing(0.1)(few, 0.0) == "not enough evidence"


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((142, 84, 30), "holds"),  # the paper's own
        ((30, 84, 142), "does not hold"),
        ((60, 136, 60), "does not hold"),
        ((6, 4, 6), "not enough evidence"),
    ],
)
def test_games_decide_whether_m2_beats_m1(counts, says, whole_run):
    assert verdict(run(whole_run, games("M2", "M1", *counts)), "M2 beats M1") == says


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ((78, 99, 79), "holds"),  # the paper's own: its interval reaches -0.09995
        ((20, 20, 22), "not enough evidence"),
        ((100, 310, 102), "holds"),
        ((20, 100, 136), "does not hold"),
    ],
)
def test_whether_eft_hurts_is_a_matter_of_a_margin(counts, says, whole_run):
    assert verdict(run(whole_run, games("M1", "SFT", *counts)), "EFT does not hurt") == says


def test_alpaca_eval_is_compared_item_by_item(whole_run):
    before = result("alpaca_eval", "M1", items([40.0 + k % 5 for k in range(100)]))
    after = result("alpaca_eval", "M2", items([50.0 + k % 7 for k in range(100)]))
    record = run(whole_run, before, after)
    assert verdict(record, "AlpacaEval rises from M1 to M2") == "holds"
    assert verdict(record, "AlpacaEval rises from M2 to M3") == "not run"


@pytest.mark.parametrize(
    ("gains", "says"),
    [
        ((0.0, 2.0), "holds"),
        ((2.0, 0.0), "does not hold"),
        ((1.0, 1.0), "does not hold"),
    ],
)
def test_which_categories_gain_least(gains, says, whole_run):
    names = ("math", "writing")
    first = result("mt_bench", "M1", items([5.0] * 60, names))
    last = result("mt_bench", "M3", items([5 + gains[k % 2] for k in range(60)], names))
    assert verdict(run(whole_run, first, last), "MT-Bench gains less") == says


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (0, 50, "holds"),
        (5, 50, "holds"),
        (0, 0, "not enough evidence"),
        (3, 5, "not enough evidence"),
    ],
)
def test_a_model_that_cannot_judge_was_taught_by_eft(before, after, says, whole_run):
    def read(count: int) -> tuple[ItemResult, ...]:
        unread = Failure(reason="no_score")
        return tuple(
            one if k < count else one.model_copy(update={"outcome": unread})
            for k, one in enumerate(items([0.9] * 50))
        )

    record = run(
        whole_run,
        result("judge_agreement", "SFT", read(before)),
        result("judge_agreement", "M1", read(after)),
    )
    assert verdict(record, "EFT teaches judging") == says
    [row] = [
        r for r in next(table(claims(record, changes(record)))).rows if "EFT teaches" in r.label
    ]
    assert row.cells[1] == f"can be read: {before} of SFT, {after} of M1"


@pytest.mark.parametrize(
    ("shift", "says"), [(0.0, "holds"), (-0.5, "does not hold"), (0.5, "holds")]
)
def test_benchmarks_hold_where_a_loss_of_the_margin_is_excluded(shift, says, whole_run):
    names = ("arc_easy", "mmlu")
    first = [0.5 + 0.1 * (k % 3) for k in range(200)]
    results = [
        result("nlp_benchmarks", model, items(values, names))
        for model, values in (("M0", first), ("M1", first), ("M3", [v + shift for v in first]))
    ]
    record = run(whole_run, *results)
    assert verdict(record, "The NLP benchmarks hold from M0") == says
    assert verdict(record, "The NLP benchmarks hold over") == says


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ((396, 1000), (694, 1000), "holds"),
        ((396, 1000), (690, 2000), "does not hold"),  # more pairs, of twice as many prompts
        ((90, 100), (88, 100), "does not hold"),
        ((8, 40), (10, 40), "not enough evidence"),
    ],
)
def test_rounds_are_compared_by_the_share_of_prompts_with_a_pair(first, last, says, whole_run):
    rounds = {
        model: {"pairs": {"pairs": pairs, "prompts": prompts}}
        for model, (pairs, prompts) in (("M2", first), ("M3", last))
    }
    assert verdict(run(whole_run, **rounds), "Later rounds") == says


def test_after_a_single_round_nothing_is_said_of_the_rounds(whole_run):
    shorter = whole_run.model_copy(update={"stages": whole_run.stages[:5]})
    found = {one.text: one for one in claims(shorter, changes(shorter))}
    assert found["M2 judges better than M1"].verdict != "not run"
    last = found["The last model judges better than M1"]
    assert (last.verdict, last.why) == ("not run", "needs two rounds")


@pytest.mark.parametrize(("lengths", "says"), [((10, 20), "holds"), ((20, 10), "does not hold")])
def test_whether_answers_grow(lengths, says, whole_run):
    results = [
        result("alpaca_eval", model, items([50.0] * 40, length=length))
        for model, length in zip(("M1", "M3"), lengths, strict=True)
    ]
    assert verdict(run(whole_run, *results), "Answers grow") == says


def test_positives_are_only_judged_in_a_run_that_learned_from_them(whole_run):
    record = run(whole_run, games("M2", "SFT", 100, 310, 102))
    assert verdict(record, "Learning from positives") == "not run"
    request = {**record.request, "trainer": {"name": "s", "learn_from": "positives"}}
    record = record.model_copy(update={"request": request})
    assert verdict(record, "Learning from positives") == "holds"


def test_two_rubrics_are_compared_where_a_run_asks_by_both(whole_run):
    good = result("judge_agreement", "SFT", items([0.8 + 0.01 * (k % 9) for k in range(60)]))
    poor = result("judge_agreement", "SFT", items([0.3 + 0.01 * (k % 7) for k in range(60)]))
    labelled = [
        one.model_copy(update={"evaluation": name}) for one, name in ((good, "a"), (poor, "b"))
    ]
    choices = [
        {"name": "judge_agreement", "label": label, "rubric": rubric}
        for label, rubric in (("a", "five_points"), ("b", "buckets"))
    ]
    record = run(whole_run, *labelled)
    assert verdict(record, "The additive rubric") == "not run"
    request = {**record.request, "evaluations": choices}
    assert verdict(record.model_copy(update={"request": request}), "The additive") == "holds"


def test_every_claim_has_a_row_with_its_source_and_the_verdict_marked(whole_run):
    held = claims(whole_run, changes(whole_run))
    [shown] = table(held)
    assert len(shown.rows) == len(CLAIMS)
    second = shown.rows[1]
    assert second.label == "M2 beats M1 head to head (net win; Figure 3)"
    paper, this, mark = second.cells
    assert (paper.text, paper.interval) == ("+0.438", "[+0.353, +0.522]")
    assert (this.text, second.n) == ("+0.370", (250,))
    assert (mark.text, mark.tone) == ("holds", "better")
    assert tally(held).startswith("Of 18 claims of Yuan et al. (2024): 3 held, ")
    texts = dict(summary(held).items)
    assert "M2 beats M1 head to head" in texts["Holds (3)"]
    assert sum(int(name.split("(")[1].rstrip(")")) for name in texts) == len(CLAIMS)


@pytest.mark.parametrize("name", ["nothing_yet", "one_model", "not_measured", "all_failed"])
def test_a_run_that_tells_nothing_has_a_sentence_and_no_table(name, request):
    record = request.getfixturevalue(name)
    held = claims(record, changes(record))
    assert list(table(held)) == []
    assert summary(held) == "This run has nothing yet to hold the paper's 18 claims against."
