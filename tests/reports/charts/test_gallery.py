import re

import pytest

from harness.records import (
    EvalResult,
    Metric,
    Overlap,
    PromptMap,
    PromptPoint,
    RunRecord,
    StageResult,
)
from reports.blocks import Chart
from reports.changes import changes
from reports.charts import svg
from reports.charts.gallery import gallery
from tests.reports.charts.soundness import sound, texts, titles

RUNS = ["whole_run", "half_run", "one_model", "small_run", "hostile_run"]
NOTHING = ["nothing_yet", "not_measured"]


def drawn(record: RunRecord, width: float = svg.WIDTH) -> dict[str, Chart]:
    charts = [
        chart for found in gallery(record, changes(record), width=width).values() for chart in found
    ]
    assert len({chart.name for chart in charts}) == len(charts)
    return {chart.name: chart for chart in charts}


def with_results(record: RunRecord, *results: EvalResult) -> RunRecord:
    """A run of M0 with these results, each of its own model, in one stage after another."""
    stages = tuple(
        StageResult(
            stage=record.stages[0].stage,
            model=record.stages[0].model.model_copy(update={"name": result.model}),
            evaluations=(result,),
        )
        for result in results
    )
    return record.model_copy(update={"stages": stages})


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width", [svg.WIDTH, svg.NARROW])
def test_every_drawing_is_sound(name, width, request):
    charts = drawn(request.getfixturevalue(name), width)
    assert charts
    for chart in charts.values():
        root = sound(chart)
        assert root.attrib["viewBox"].split()[2] == svg.fixed(width + 24)


@pytest.mark.parametrize("count", [-3, 1e308, float("inf"), float("nan"), "x", None])
def test_what_is_no_count_is_not_drawn(whole_run, count):
    metrics = {"judgements": {"score_histogram": {"2": count, "3": 900}}}
    stages = tuple(
        stage.model_copy(update={"metrics": metrics}) if stage.stage.kind == "train" else stage
        for stage in whole_run.stages
    )
    alt = drawn(whole_run.model_copy(update={"stages": stages}))["scores"].alt
    assert "3 100%" in alt
    assert "," not in alt, "one bar a round"


@pytest.mark.parametrize("name", NOTHING)
def test_a_run_without_values_has_no_drawing(name, request):
    assert drawn(request.getfixturevalue(name)) == {}


def test_where_nothing_could_be_scored_only_lengths_are_drawn(all_failed):
    assert drawn(all_failed).keys() == {"lengths"}


@pytest.mark.parametrize("name", RUNS)
def test_the_same_record_gives_the_same_bytes(name, request):
    record = request.getfixturevalue(name)
    again = RunRecord.model_validate_json(record.model_dump_json())
    assert drawn(record) == drawn(again)


def test_a_whole_run_has_its_drawings_in_reading_order(whole_run):
    found = {
        section: [c.name for c in charts]
        for section, charts in gallery(whole_run, changes(whole_run)).items()
    }
    assert found == {
        "At a glance": ["series"],
        "From model to model": ["differences"],
        "Instruction following": ["head-to-head"],
        "Judging": ["judging"],
        "Length": ["lengths"],
        "By category, difficulty and expected length": ["by-category-1"],
        "The loop": ["scores", "yields", "pairs", "training"],
    }


def test_the_series_shows_every_axis_and_how_each_model_compares(whole_run):
    series = drawn(whole_run)["series"]
    written = texts(series)
    assert {"Examiner", "Judge agreement", "Head to head"} <= set(written)
    assert "4.19" in written
    assert "M2: better than the one before" in titles(series)
    assert "M3: no clear change" in titles(series)


def test_a_model_that_plays_against_none_before_it_is_left_out_of_the_words(whole_run):
    alt = drawn(whole_run)["series"].alt
    assert "net win over the one before. SFT: not run, M1: 0.010, M2: 0.370, M3: 0.020." in alt


def test_games_show_counts_shares_and_net_wins(whole_run):
    written = texts(drawn(whole_run)["head-to-head"])
    assert "M2 vs M1" in written
    assert "118 ties, 47%" in written
    assert "net win +0.370 [+0.300, +0.440], n 250" in written


def test_differences_say_what_they_show(whole_run):
    written = texts(drawn(whole_run)["differences"])
    assert {"Examiner, score", "Head to head, net win", "M3 - M2"} <= set(written)
    assert "+0.370 [+0.300, +0.440] better" in written
    assert "+0.020 [-0.050, +0.090] no clear change" in written


def test_a_stranger_to_the_six_evaluations_is_drawn_by_its_first_metric(one_model):
    result = EvalResult(
        evaluation="brevity",
        model="M0",
        protocol="p",
        metrics=(Metric(name="short_answers", value=0.5, n=9),),
    )
    written = texts(drawn(with_results(one_model, result))["series"])
    assert {"brevity", "short answers", "0.500"} <= set(written)


def win_rates(model: str, rate: float, neighbours: dict[str, float] | None = None) -> EvalResult:
    metrics = [
        Metric(name=name, value=rate, low=rate - 1, high=rate + 1, n=805)
        for name in ("win_rate", "length_controlled_win_rate", "average_length")
    ]
    place = Metric(name="leaderboard_rank/win_rate", value=100, n=223, neighbours=neighbours or {})
    return EvalResult(
        evaluation="alpaca_eval",
        model=model,
        protocol="p",
        metrics=(*metrics, *([place] if neighbours else [])),
    )


def test_a_win_rate_stands_among_its_neighbours_on_the_leaderboard(one_model):
    next_to = {"xwinlm-13b-v0.1": 17.43, "claude": 16.98}
    record = with_results(one_model, win_rates("M0", 17.19, next_to), win_rates("M1", 16.0))
    written = texts(drawn(record)["leaderboard"])
    order = ("xwinlm-13b-v0.1", "M0", "claude")
    assert [text for text in written if text in order] == list(order)
    assert "17.2, place 100 of 223" in written


def test_without_a_place_there_is_no_leaderboard(one_model):
    charts = drawn(with_results(one_model, win_rates("M0", 17.19)))
    assert "leaderboard" not in charts
    assert {"win-rates", "win-rate-by-length"} <= charts.keys()


def test_two_evaluations_of_a_kind_have_files_of_their_own(one_model):
    results = [
        win_rates("M0", 20.0).model_copy(update={"evaluation": label})
        for label in ("alpaca_eval", "a/b")
    ]
    stage = one_model.stages[0].model_copy(update={"evaluations": tuple(results)})
    request = one_model.request | {"evaluations": [{"name": "alpaca_eval", "label": "a/b"}]}
    record = one_model.model_copy(update={"stages": (stage,), "request": request})
    assert {"win-rates", "win-rates-2"} <= drawn(record).keys()


def test_the_latest_map_is_drawn_with_the_sizes_of_its_sets(whole_run):
    points = tuple(
        PromptPoint(set=name, x=k, y=k * k, text=f"prompt {k} <b>")
        for k, name in enumerate(("IFT", "EFT", "AIFT(M1)"))
    )
    sizes = {"IFT": 1, "EFT": 1150, "AIFT(M1)": 1}
    found = PromptMap(method="word counts", sizes=sizes, points=points)
    stages = (*whole_run.stages[:-1], whole_run.stages[-1].model_copy(update={"prompt_map": found}))
    chart = drawn(whole_run.model_copy(update={"stages": stages}))["prompt-map"]
    sound(chart)
    assert chart.note == "word counts"
    assert {"IFT (1)", "EFT (1 of 1,150)"} <= set(texts(chart))
    assert "EFT: prompt 1 <b>" in titles(chart)


def test_what_training_has_seen_is_drawn_by_evaluation(whole_run):
    seen = {"examiner": Overlap(questions=120, prompts=9, exact=("w1",), near=("w2", "w3"))}
    stages = (*whole_run.stages[:-1], whole_run.stages[-1].model_copy(update={"overlap": seen}))
    chart = drawn(whole_run.model_copy(update={"stages": stages}))["overlap"]
    sound(chart)
    assert {"117 not seen, 98%", "1 seen, 2 nearly"} <= set(texts(chart))


def test_hostile_names_are_shown_and_do_nothing(hostile_run):
    for chart in drawn(hostile_run).values():
        assert not re.search("[\u202e\x00\x1b]", chart.svg)
        assert "<script" not in chart.svg
