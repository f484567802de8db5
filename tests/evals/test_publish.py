"""What a run publishes is what other tools, and `score`, read."""

import csv
import json
import time
from dataclasses import replace

import pytest

from evals.alpaca_eval import length_control
from evals.alpaca_eval.evaluation import AlpacaEval
from evals.mt_bench import questions
from evals.mt_bench.evaluation import MTBench
from evals.nlp_benchmarks.evaluation import NLPBenchmarks
from harness.engines.scripted import LoadedScript, Scripted
from harness.protocols import Publisher
from harness.records import ModelRef
from tests.evals.alpaca_eval.judgements import OddsJudge

M0 = ModelRef(name="M0", location="M0")
M1 = ModelRef(name="M1", location="M1", parent="M0")
HALF = "\ud83d"
"""Half a surrogate pair, which a server may send and no UTF-8 file can hold as it is."""


class Halved(LoadedScript):
    """Says half a character before everything else."""

    def generate(self, requests):
        return (replace(one, text=HALF + one.text) for one in super().generate(requests))


def script(ref, **config):
    return LoadedScript(ref, Scripted.Config(**config), None)


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "no data"))


@pytest.fixture
def elsewhere(monkeypatch):
    """Go to another time zone and another time."""

    def go():
        monkeypatch.setenv("TZ", "XXX-14")
        time.tzset()

    yield go
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def publish(tmp_path, elsewhere):
    """Publish twice, the same bytes each time, and write them as a run does; paths by name."""

    def write(evaluation, result, log):
        assert isinstance(evaluation, Publisher)
        model = ModelRef(name=result.model, location="/somewhere/here")
        files = dict(evaluation.publish(model, result, log))
        elsewhere()
        assert dict(evaluation.publish(model, result, log)) == files
        paths = {name: tmp_path / "published" / name for name in files}
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name], encoding="utf-8")
        return paths

    return write


def figures(result):
    return [(m.name, m.against, m.value, m.low, m.high, m.n, m.failed) for m in result.metrics]


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def alpaca(monkeypatch, jsonl, log):
    """Have AlpacaEval's answers given by a script and judged with odds."""
    monkeypatch.setattr(length_control, "RESAMPLES", 5)
    data = jsonl(
        "outputs.json",
        [
            {"instruction": f"Say {k}.", "output": "said " * (1 + k % 3), "generator": "reference"}
            for k in range(12)
        ],
    )

    def mark(**config):
        evaluation, kept = AlpacaEval(AlpacaEval.Config(data=data)), log()
        evaluation.answer(script(M1, **config), kept)
        return evaluation, evaluation.mark(M1, kept, OddsJudge(), []), kept

    return mark


def test_alpaca_evals_files_score_the_same(alpaca, publish):
    replies = {f"Say {k}\\.": "x" * (1 + 7 * k % 40) for k in range(11)} | {"Say 11": "é"}
    evaluation, result, log = alpaca(replies=replies)
    published = publish(evaluation, result, log)
    assert list(published) == [
        "model_outputs.json",
        "annotations.json",
        "leaderboard.csv",
        "weights.csv",
    ]
    outputs = json.loads(published["model_outputs.json"].read_text())
    assert [row["output"] for row in outputs] == list(replies.values())
    assert {row["generator"] for row in outputs} == {"M1"}
    [again] = AlpacaEval.score([published["annotations.json"]])
    assert figures(again) == figures(result)


def test_alpaca_evals_tables_have_a_row_of_the_model(alpaca, publish):
    replies = {f"Say {k}\\.": "x" * (1 + 7 * k % 40) for k in range(12)}
    evaluation, result, log = alpaca(replies=replies)
    published = publish(evaluation, result, log)
    [row] = csv.DictReader(published["leaderboard.csv"].read_text().splitlines())
    assert (row[""], row["mode"], row["lc_standard_error"]) == ("M1", "community", "")
    columns = {
        "win_rate": "win_rate",
        "standard_error": "standard_error",
        "n_draws": "n_draws",
        "avg_length": "average_length",
        "length_controlled_winrate": "length_controlled_win_rate",
    }
    for column, metric in columns.items():
        assert float(row[column]) == result.metric(metric).value
    assert int(row["n_total"]) == result.metric("win_rate").n == 12
    [coefficients] = csv.DictReader(published["weights.csv"].read_text().splitlines())
    told = float(coefficients["not_gamed_baseline.astype(float)"])
    assert told == pytest.approx(result.metric("lc_weight/model").value, abs=1e-15)
    [annotation, *_] = json.loads(published["annotations.json"].read_text())
    assert annotation["preference_price_per_example"] is None
    assert annotation["preference_version"].startswith("self-rewarding-harness==")


def test_alpaca_evals_files_without_a_fit(alpaca, publish):
    evaluation, result, log = alpaca(default="all of one length")
    result = result.model_copy(
        update={"metrics": tuple(m for m in result.metrics if not m.name.startswith("lc_weight/"))}
    )
    assert "weights.csv" not in publish(evaluation, result, log)


def test_alpaca_evals_files_leave_out_what_has_no_output(alpaca, publish):
    published = publish(*alpaca(failures={r"Say 3\.": "refused"}))
    for path in (published["model_outputs.json"], published["annotations.json"]):
        asked = [row["instruction"] for row in json.loads(path.read_text())]
        assert len(asked) == 11
        assert "Say 3." not in asked


@pytest.fixture
def mt_bench(jsonl, log):
    """Have three of MT-Bench's questions answered by a script and judged by another."""
    categories = {81: "writing", 91: "roleplay", 141: "stem"}
    data = jsonl(
        "question.jsonl",
        [
            {"question_id": id, "category": category, "turns": [f"Ask {id}.", f"Go on {id}."]}
            for id, category in categories.items()
        ],
    )

    def mark(verdicts, model=M1, earlier=(), **options):
        evaluation = MTBench(MTBench.Config(data=data, **options))
        kept = log(model.name)
        evaluation.answer(script(model, default=f"{model.name} says é"), kept)
        judge = script(ModelRef(name="org/judge: 2", location="judge"), **verdicts)
        return evaluation, evaluation.mark(model, kept, judge, list(earlier)), kept

    return mark


@pytest.mark.parametrize("judgements", [1, 2])
def test_fastchats_ratings_score_the_same(mt_bench, publish, judgements):
    ratings = {"replies": {"Go on 81": "hm", "Ask 91": "[[3]]"}, "default": ("[[8]]", "[[9]]")}
    evaluation, result, log = mt_bench(ratings, judgements=judgements)
    published = publish(evaluation, result, log)
    judged = published["model_judgment/org_judge_2_single.jsonl"]
    answers = published["model_answer/M1.jsonl"]
    assert list(published) == [
        "question.jsonl",
        *(str(path.relative_to(path.parents[1])) for path in (answers, judged)),
    ]
    again = questions.baseline(answers)
    assert (again.model, again.answers) == ("M1", result.answers)
    assert len(rows(judged)) == 6 * judgements
    assert {row["tstamp"] for row in rows(judged)} == {float(k) for k in range(judgements)}
    [again] = MTBench.score([judged])
    assert figures(again) == figures(result)
    assert result.metric("score").failed == 1


def test_fastchats_games_score_the_same(mt_bench, publish):
    verdicts = {"replies": {"Go on 81": "[[C]]", "Ask 91": "hm"}, "default": "[[A]]"}
    evaluation, first, log = mt_bench(verdicts, model=M0, mode="pair")
    assert list(publish(evaluation, first, log)) == ["question.jsonl", "model_answer/M0.jsonl"]
    evaluation, result, log = mt_bench(verdicts, earlier=[first], mode="pair")
    published = publish(evaluation, result, log)
    assert list(published) == [
        "question.jsonl",
        "model_answer/M1.jsonl",
        "model_judgment/org_judge_2_pair.jsonl",
    ]
    again, _ = MTBench.score([published["model_judgment/org_judge_2_pair.jsonl"]])
    assert figures(again) == figures(result)
    assert result.metric("win_rate", "M0").n > result.metric("win_rate", "M0").failed > 0


def test_lm_evals_files_have_the_same_figures(log, publish):
    evaluation = NLPBenchmarks(NLPBenchmarks.Config(benchmarks=("arc_easy", "gsm8k"), limit=4))
    model, kept = Halved(M1, Scripted.Config(default="#### 2"), None), log()
    evaluation.answer(model, kept)
    result = evaluation.mark(M1, kept, None, [])
    published = publish(evaluation, result, kept)
    assert list(published) == [
        "results_1970-01-01T00-00-00.json",
        "samples_arc_easy_1970-01-01T00-00-00.jsonl",
        "samples_gsm8k_1970-01-01T00-00-00.jsonl",
    ]
    content, *samples = published.values()
    results = json.loads(content.read_text())
    assert results["date"] == 0
    assert results["model_name"] == "M1"
    for metric, key in (
        ("arc_easy/acc", "acc,none"),
        ("arc_easy/acc_norm", "acc_norm,none"),
        ("gsm8k/exact_match_strict", "exact_match,strict-match"),
    ):
        figure = results["results"][metric.partition("/")[0]][key]
        assert figure == pytest.approx(result.metric(metric).value)
    assert [len(rows(path)) for path in samples] == [4, 8]  # GSM8K's answers are read in two ways
    assert HALF in rows(samples[1])[0]["resps"][0][0]
