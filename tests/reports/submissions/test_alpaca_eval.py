"""A pull request to AlpacaEval: complete, right, and refused where AlpacaEval would."""

import csv
import importlib
import json
import warnings

import pytest
import yaml

from evals.alpaca_eval import length_control
from harness.errors import ConfigError, DataError
from tests.measured import measured
from tests.reports.submissions.conftest import annotations, run_of_annotations
from tests.shared_data import shared

JUDGE = "weighted_alpaca_eval_gpt4_turbo"
OUTPUTS = "results/mine/model_outputs.json"
ANNOTATIONS = f"results/mine/{JUDGE}/annotations.json"
CONFIG = "src/alpaca_eval/models_configs/mine/configs.yaml"
TABLE = f"src/alpaca_eval/leaderboards/data_AlpacaEval_2/{JUDGE}_leaderboard.csv"
WEIGHTS = (
    f"src/alpaca_eval/metrics/weights/{JUDGE}/length_controlled_v1/baseline_gpt4_1106_preview.csv"
)


@pytest.fixture
def bundle(alpaca_bundle):
    return alpaca_bundle


def test_every_file_is_in_its_place(bundle):
    files = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    prompt = "src/alpaca_eval/models_configs/mine/prompt.txt"
    assert files == {
        OUTPUTS, ANNOTATIONS, CONFIG, prompt, TABLE, WEIGHTS, "submission.json"
    }  # fmt: skip
    config = yaml.safe_load((bundle / CONFIG).read_text())["mine"]
    assert config == {
        "prompt_template": "mine/prompt.txt",
        "fn_completions": None,
        "completions_kwargs": {
            "model_name": "mine",
            "max_new_tokens": 48,
            "temperature": 0.7,
            "top_p": 0.9,
        },
        "pretty_name": "Mine",
        "link": "https://a/b",
    }
    everything = "".join((bundle / name).read_text() for name in files)
    assert "/home/ann" not in everything


def test_a_bundle_by_the_official_judge_breaks_nothing(bundle, states):
    found = states(bundle)
    assert found.keys() == {"ok", "differs"}
    assert list(found["differs"]) == ["as the run says"]  # no official files for length control
    assert found["ok"]["token probabilities"] == "of 805 judgements"


def damaged(change):
    """Change one row of many."""

    def by(rows):
        rows[7] = rows[7] | change
        return rows

    return by


def swapped(rows):
    rows[3], rows[4] = rows[4], rows[3]
    return rows


@pytest.mark.parametrize(
    ("name", "by", "rule"),
    [
        (OUTPUTS, lambda rows: rows[1:], "annotations of these outputs"),
        (OUTPUTS, lambda rows: [*rows, rows[0]], "one output an instruction"),
        (OUTPUTS, damaged({"generator": "another"}), "one output an instruction"),
        (OUTPUTS, damaged({"output": None}), "one output an instruction"),
        (OUTPUTS, lambda rows: {}, "outputs and annotations can be read"),
        (ANNOTATIONS, lambda rows: rows[1:], "805 instructions"),
        (ANNOTATIONS, swapped, "instructions in the reference's order"),
        (ANNOTATIONS, lambda rows: [*rows, rows[0]], "annotations of these outputs"),
        (ANNOTATIONS, damaged({"preference": None}), "figures computed again"),
        (ANNOTATIONS, damaged({"preference": 2.5}), "preferences from 1 to 2"),
        (ANNOTATIONS, damaged({"preference": float("nan")}), "preferences from 1 to 2"),
        (ANNOTATIONS, damaged({"generator_2": "another"}), "annotations of these outputs"),
        (ANNOTATIONS, damaged({"generator_1": "another"}), "annotations of these outputs"),
        (ANNOTATIONS, damaged({"output_2": "another"}), "annotations of these outputs"),
        (ANNOTATIONS, damaged({"annotator": "another"}), "under the folder of its judge"),
        (ANNOTATIONS, damaged({"instruction": "Whose?"}), "AlpacaEval's instructions"),
        (CONFIG, lambda text: f"{text}\n  - [", "model configuration"),
        (CONFIG, lambda text: text.replace("mine:", "other:"), "model configuration"),
        (CONFIG, lambda text: text.replace("fn_completions", "fn"), "model configuration"),
        (CONFIG, lambda text: f"{text}  path: /home/ann/x/y\n", "no private places"),
        (TABLE, lambda text: text.replace("community", "mine"), "leaderboard row"),
        (TABLE, lambda text: text.replace("mine,", "another,"), "figures computed again"),
        (TABLE, lambda text: text.replace(",805,", ",804,"), "figures computed again"),
        (WEIGHTS, lambda text: text.replace("mine,", "another,"), "figures computed again"),
        (WEIGHTS, lambda text: text.replace(".", "!"), "figures computed again"),
    ],
)
def test_a_damaged_bundle_breaks_a_rule(bundle, states, edit, name, by, rule):
    edit(bundle / name, by)
    assert rule in states(bundle)["broken"]


def column(name, value):
    """Write another figure into the leaderboard's row."""

    def by(text):
        header, row = csv.reader(text.splitlines())
        changed = dict(zip(header, row, strict=True)) | {name: value}
        return f"{','.join(header)}\n{','.join(changed.values())}\n"

    return by


def test_figures_are_computed_again(bundle, states, edit):
    edit(bundle / TABLE, column("win_rate", "51.5"))
    assert "win_rate is 51.5 in the row" in states(bundle)["broken"]["figures computed again"]
    edit(bundle / TABLE, column("length_controlled_winrate", "99"))
    broken = states(bundle)["broken"]
    assert "99.0000 in the row" in broken["length-controlled rate"]
    assert "no suspicious gain by length control" in broken


@pytest.mark.parametrize("name", [CONFIG, TABLE, WEIGHTS])
def test_a_missing_file(bundle, states, name):
    (bundle / name).unlink()
    assert f"no {name}" == states(bundle)["broken"]["every file in place"]


def test_files_that_alpaca_eval_does_not_want(bundle, states):
    (bundle / "results/mine" / JUDGE / "leaderboard.csv").write_text("")
    assert "leaderboard.csv" in states(bundle)["broken"]["no files of AlpacaEval's own"]


def test_two_models_or_judges_in_one_folder(bundle, states):
    other = bundle / "results/mine/other"
    other.mkdir()
    (other / "annotations.json").write_text("[]")
    assert "of other, weighted" in states(bundle)["broken"]["one judge"]
    (bundle / "results/two").mkdir()
    (bundle / "results/two/model_outputs.json").write_text("[]")
    assert "of mine, two" in states(bundle)["broken"]["one model"]


def test_a_name_that_the_leaderboard_has(alpaca_run, submit, states):
    folder = submit("alpaca_eval", alpaca_run(annotations(20)), name="claude-2")
    assert "in the leaderboard already" in states(folder)["broken"]["leaderboard row"]


def test_another_judge_never_enters_the_official_folder(alpaca_run, submit, states):
    judge = f"{JUDGE}@/home/ann/models/llama"
    run = alpaca_run([row | {"annotator": judge} for row in annotations(100)])
    folder = submit("alpaca_eval", run)
    assert not (folder / "results/mine" / JUDGE).exists()
    own = f"{JUDGE}@llama"
    rows = json.loads((folder / "results/mine" / own / "annotations.json").read_text())
    assert {row["annotator"] for row in rows} == {own}
    found = states(folder)
    assert "broken" not in found
    assert own in found["differs"]["the leaderboard's judge"]
    assert found["differs"]["805 instructions"] == "100 of them"


def test_failed_judgements_are_null_and_said(alpaca_run, submit, states):
    rows = annotations()
    for k in (1, 2, 3):
        rows[k]["preference"] = None
    found = states(submit("alpaca_eval", alpaca_run(rows)))
    assert "broken" not in found
    assert "3 have the preference null" in found["differs"]["no judgement failed"]


def test_an_evaluation_that_was_not_asked(tmp_path, submit):
    run = measured(tmp_path / "run", [], evaluations=[{"name": "mt_bench"}])
    with pytest.raises(ConfigError, match="did not ask alpaca_eval, it asked mt_bench"):
        submit("alpaca_eval", run)


def test_an_evaluation_that_was_asked_twice(alpaca_run, submit):
    run = alpaca_run(annotations(20))
    request = json.loads((run / "request.json").read_text())
    request["evaluations"].append({"name": "alpaca_eval", "label": "again"})
    (run / "request.json").write_text(json.dumps(request))
    with pytest.raises(ConfigError, match="as alpaca_eval, again; say which with --evaluation"):
        submit("alpaca_eval", run)
    with pytest.raises(ConfigError, match="no result of M0 for alpaca_eval as 'again'"):
        submit("alpaca_eval", run, evaluation="again")
    assert submit("alpaca_eval", run, evaluation="alpaca_eval").is_dir()


def test_a_name_with_an_organisation(alpaca_run, submit):
    with pytest.raises(ConfigError, match="give a --name without /"):
        submit("alpaca_eval", alpaca_run(annotations(20)), name="ann/mine")


def test_a_run_of_an_earlier_version(alpaca_run, submit):
    run = alpaca_run(annotations(20))
    (run / "published/M0/alpaca_eval/leaderboard.csv").unlink()
    with pytest.raises(DataError, match=r"leaderboard.csv cannot be read.*--answers-from"):
        submit("alpaca_eval", run)


# ---------------------------------------------------------------- the package itself


@pytest.fixture(scope="module")
def package():
    """Import a module of the alpaca_eval package by name; it is never written to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkg_resources
        importlib.import_module("alpaca_eval")
        return lambda name: importlib.import_module(f"alpaca_eval.{name}")


@pytest.fixture
def one_resample(monkeypatch):
    monkeypatch.setattr(length_control, "RESAMPLES", 1)


@pytest.fixture
def claude(tmp_path, submit, one_resample):
    """A bundle of the published judgements of claude-2, under another name."""
    judged = shared("alpaca_eval/annotations/claude-2.json.gz")
    gamed = shared("alpaca_eval/df_gamed_reconstructed.csv")
    run = run_of_annotations(tmp_path / "run", judged, gamed)
    return submit("alpaca_eval", run, name="claude-2-again")


@pytest.mark.filterwarnings("ignore")
def test_the_package_reads_the_bundle_and_comes_to_the_same(claude, package, monkeypatch, tmp_path):
    judged = claude / f"results/claude-2-again/{JUDGE}/annotations.json"
    row = next(csv.DictReader((claude / TABLE).read_text().splitlines()))
    weights = claude / WEIGHTS

    frame = package("utils").load_or_convert_to_dataframe(judged)
    assert len(frame) == 805
    rate = package("metrics").get_winrate(frame)
    for key in ("win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws", "n_total"):
        assert float(row[key]) == pytest.approx(float(rate[key]), abs=1e-9)
    assert float(row["win_rate"]) == pytest.approx(17.188240356708075, abs=1e-9)
    assert int(row["avg_length"]) == 1069

    glm = package("metrics.glm_winrate")
    found = {
        "df_gamed.csv": shared("alpaca_eval/df_gamed_reconstructed.csv"),
        "instruction_difficulty.csv": shared(
            "alpaca_eval/instruction_difficulty_reconstructed.csv"
        ),
    }
    monkeypatch.setattr(glm, "hf_hub_download", lambda filename, **_: str(found[filename]))
    pandas = importlib.import_module("pandas")
    table = pandas.read_csv(weights, index_col=0)
    table.loc["gpt4_1106_preview"] = 0.0
    predicted = 100 * glm.predict_winrate("claude-2-again", "gpt4_1106_preview", table)
    assert float(row["length_controlled_winrate"]) == pytest.approx(predicted, abs=1e-6)
    with importlib.import_module("sklearn").config_context():  # it changes an option for good
        fitted = glm.get_length_controlled_winrate(
            frame, save_weights_dir=None, is_warn_extreme_changes=False
        )
    assert float(row["length_controlled_winrate"]) == pytest.approx(
        fitted["length_controlled_winrate"], abs=1e-6
    )


def test_published_judgements_pass_every_rule(claude, states, monkeypatch, tmp_path):
    data = tmp_path / "data" / "alpaca_eval"
    data.mkdir(parents=True)
    (data / "df_gamed_reconstructed.csv").symlink_to(
        shared("alpaca_eval/df_gamed_reconstructed.csv")
    )
    monkeypatch.setenv("HARNESS_DATA", str(data.parent))
    found = states(claude)
    assert "broken" not in found
    assert "unchecked" not in found
    assert found["differs"] == {
        "as the run says": "not official LC: surrogate files df_gamed_reconstructed.csv"
    }
    assert found["ok"]["length-controlled rate"] == "28.16 by its coefficients"


def test_without_difficulties_the_controlled_rate_is_unchecked(claude, states):
    assert "harness data pull" in states(claude)["unchecked"]["length-controlled rate"]
