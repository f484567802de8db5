"""Bundles of every kind, of runs that are made here, and ways to damage them."""

import json
import shutil

import numpy as np
import pytest

from evals.alpaca_eval import export, instructions, length_control
from evals.alpaca_eval.covariates import Weights
from evals.alpaca_eval.evaluation import AlpacaEval
from evals.alpaca_eval.length_control import LengthControlled
from evals.mt_bench.evaluation import MTBench
from evals.nlp_benchmarks.evaluation import NLPBenchmarks
from harness import plugins
from harness.config import Choice
from harness.engines.scripted import LoadedScript, Scripted
from harness.records import EvalResult, Metric, ModelRef
from harness.rows import RowLog
from harness.store import Store
from harness.submissions import bundles
from harness.submissions.entries import entry
from tests.evals.alpaca_eval.judgements import judged_rows
from tests.measured import measured


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "no data"))


@pytest.fixture
def submit(tmp_path):
    """Write a bundle of a run's last model, and give its folder."""
    return lambda kind, run, **options: write_bundle(
        tmp_path / "bundles" / kind, kind, run, **options
    )


def write_bundle(folder, kind, run, name="mine", model=None, **options):
    built = plugins.build(plugins.SUBMISSIONS, Choice(name=kind, **options))
    bundles.write(kind, built.plugin, entry(Store(run), model, name), folder)
    return folder


@pytest.fixture
def states():
    """Check a bundle, and list its rules by how it stands to them."""

    def check(folder):
        found = {}
        for rule in bundles.check(folder).rules:
            found.setdefault(rule.state, {}).setdefault(rule.name, rule.detail)
        return found

    return check


@pytest.fixture
def edit():
    """Change a bundle's file: rows of JSON or JSON Lines, an object, or the text itself."""

    def change(path, by):
        text = path.read_text()
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
            path.write_text("".join(json.dumps(row) + "\n" for row in by(rows)))
        elif path.suffix == ".json":
            path.write_text(json.dumps(by(json.loads(text))))
        else:
            path.write_text(by(text))

    return change


# ---------------------------------------------------------------- AlpacaEval


@pytest.fixture
def official(monkeypatch):
    make_official(monkeypatch)


def make_official(monkeypatch):
    """Make `Instruction 0` to `Instruction 804` AlpacaEval's own, and every fit the same one."""
    known = {instructions.digest(f"Instruction {k}"): k for k in range(instructions.TOTAL)}
    monkeypatch.setattr(instructions, "_positions", lambda: known)
    weights = Weights(-1.5, 0.0, -0.3)
    value = length_control.win_rate(weights, None)

    def estimate(judgements):
        n = int(np.isfinite(judgements.wins).sum())
        return LengthControlled(value, value - 2, value + 2, weights, n, 1.0)

    monkeypatch.setattr(length_control, "estimate", estimate)


def run_of_annotations(folder, *files):
    """Make a run out of an annotations.json, and of files for length control."""
    [scored] = AlpacaEval.score(files)
    result = scored.model_copy(update={"model": "M0"})
    asked = {"name": "alpaca_eval", "max_tokens": 48, "temperature": 0.7, "top_p": 0.9}
    published = {("M0", "alpaca_eval"): dict(export.files(result))}
    return measured(folder, [result], published, evaluations=[asked])


def annotations(n=instructions.TOTAL):
    """Judgements of the first so many instructions by the leaderboard's judge."""
    told = {"logprobs": {"content": [{"token": "m"}]}}
    return [row | {"preference_raw_completion": told} for row in judged_rows(n)]


@pytest.fixture
def alpaca_run(tmp_path, official):
    """Make a run out of rows of an annotations.json."""

    def make(rows):
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(rows))
        return run_of_annotations(tmp_path / "run", path)

    return make


@pytest.fixture(scope="session")
def written_alpaca(tmp_path_factory):
    """A bundle of all instructions, to be copied."""
    folder = tmp_path_factory.mktemp("alpaca")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_DATA", str(folder / "no data"))
        make_official(patch)
        path = folder / "annotations.json"
        path.write_text(json.dumps(annotations()))
        run = run_of_annotations(folder / "run", path)
        options = {"pretty_name": "Mine", "link": "https://a/b"}
        return write_bundle(folder / "bundle", "alpaca_eval", run, **options)


@pytest.fixture
def alpaca_bundle(written_alpaca, official, tmp_path):
    return shutil.copytree(written_alpaca, tmp_path / "alpaca")


# ---------------------------------------------------------------- MT-Bench and lm-eval

CATEGORIES = {81: "writing", 111: "math", 141: "stem"}
MODELS = ("M0", "M1")


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def mt_bench_run(tmp_path):
    """Have two models answer three questions, and a script judge them."""
    data = lines(
        tmp_path / "mt" / "question.jsonl",
        [
            {"question_id": id, "category": category, "turns": [f"Ask {id}.", f"Go on {id}."]}
            for id, category in CATEGORIES.items()
        ],
    )
    choices = [{"index": 0, "turns": ["four", "five"]}]
    shown = lines(
        tmp_path / "mt" / "shown.jsonl",
        [{"question_id": 111, "model_id": "gpt-4", "choices": choices}],
    )

    def make(verdicts, **options):
        evaluation = MTBench(MTBench.Config(data=str(data), references=shown, **options))
        judge = script(ModelRef(name="org/judge: 2", location="judge"), **verdicts)
        results, files = [], {}
        for place, name in enumerate(MODELS):
            parent = MODELS[place - 1] if place else None
            model = ModelRef(name=name, location=name, parent=parent)
            with RowLog(tmp_path / f"{name}.jsonl") as log:
                evaluation.answer(script(model, default=f"{name} says é"), log)
                result = evaluation.mark(model, log, judge, results)
                files[name, "mt_bench"] = dict(evaluation.publish(model, result, log))
            results.append(result)
        asked = [{"name": "mt_bench", **evaluation.config.model_dump(mode="json")}]
        return measured(tmp_path / "mt run", results, files, models=MODELS, evaluations=asked)

    return make


def script(ref, **config):
    return LoadedScript(ref, Scripted.Config(**config), None)


@pytest.fixture
def lm_eval_run(tmp_path):
    """Have a script answer four questions of two benchmarks."""
    evaluation = NLPBenchmarks(NLPBenchmarks.Config(benchmarks=("arc_easy", "gsm8k"), limit=4))
    model = ModelRef(name="M0", location="/home/ann/models/base", fingerprint="34b7")
    with RowLog(tmp_path / "log.jsonl") as log:
        evaluation.answer(script(model, default="#### 2"), log)
        result = evaluation.mark(model, log, None, [])
        files = {("M0", "nlp_benchmarks"): dict(evaluation.publish(model, result, log))}
    asked = [{"name": "nlp_benchmarks", **evaluation.config.model_dump(mode="json")}]
    return measured(tmp_path / "lm run", [result], files, evaluations=asked)


# ---------------------------------------------------------------- results without files

HOSTILE = "a | b <script>alert(1)</script>\n# heading"


def result(evaluation, *metrics, **other):
    return EvalResult(
        evaluation=evaluation,
        model="M0",
        protocol="0",
        description=f"asked of /home/ann/data/{evaluation}.jsonl",
        metrics=metrics,
        **other,
    )


RESULTS = (
    result(
        "nlp_benchmarks",
        Metric(
            name="gsm8k",
            value=0.1137,
            low=0.097,
            high=0.1315,
            n=1319,
            note="exact_match_strict, 8-shot",
        ),
        Metric(name="piqa", value=0.8, low=0.78, high=0.82, n=1838),
        Metric(name="nq", value=None, n=0, failed=3610),
        Metric(name="gsm8k/exact_match_flexible", value=0.2, n=1319),
    ),
    result(
        "alpaca_eval",
        Metric(
            name="win_rate",
            value=10.5,
            low=8.0,
            high=13.0,
            n=800,
            failed=5,
            note="judge substituted (/home/ann/models/judge)",
        ),
        Metric(name="n_wins", value=80, n=800, failed=5),
        judge="judge (/home/ann/models/judge)",
    ),
    result("head_to_head", Metric(name="net_win", value=0.2, n=256, against=HOSTILE)),
)
ASKED = [
    {"name": "nlp_benchmarks", "data": "hub", "limit": None},
    {"name": "alpaca_eval", "data": "alpaca_eval", "limit": None},
    {"name": "head_to_head", "data": "microworld:evaluation", "limit": None},
]


@pytest.fixture
def hub_run(tmp_path):
    return measured(tmp_path / "hub", RESULTS, evaluations=ASKED)
