"""Results and samples as lm-eval writes them: its own readers find and read them."""

import importlib
import json

import pytest

from harness.errors import DataError

HOME = "org__mine"
DATE = "1970-01-01T00-00-00"
RESULTS = f"{HOME}/results_{DATE}.json"
SAMPLES = f"{HOME}/samples_gsm8k_{DATE}.jsonl"


@pytest.fixture
def bundle(lm_eval_run, submit):
    return submit("lm_eval", lm_eval_run, name="org/mine")


def test_the_layout(bundle, states):
    table = json.loads((bundle / RESULTS).read_text())
    assert (table["model_name"], table["model_name_sanitized"]) == ("org/mine", HOME)
    assert table["config"]["model_args"]["pretrained"] == "org/mine"
    assert "/home/ann" not in json.dumps(table)
    found = states(bundle)
    assert "broken" not in found
    assert found["differs"] == {
        "the tasks' own data sets": "questions of microworld",
        "every item of every task": "8 of 128 items: the first 4 of each task",
    }


def test_lm_evals_own_readers(bundle):
    utils = importlib.import_module("lm_eval.utils")
    names = [p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()]
    assert utils.get_results_filenames(names) == [RESULTS]
    samples = sorted(utils.get_sample_results_filenames(names))
    assert [utils.get_file_task_name(name.split("/")[1]) for name in samples] == [
        "arc_easy",
        "gsm8k",
    ]
    assert {utils.get_file_datetime(name) for name in samples} == {DATE}
    assert utils.sanitize_model_name("org/mine") == HOME
    table = json.loads((bundle / RESULTS).read_text())
    shown = utils.make_table(table)
    assert f"{table['results']['arc_easy']['acc,none']:.4f}" in shown
    assert "strict-match" in shown


def test_datasets_reads_the_samples_as_lm_evals_card_says(bundle, tmp_path):
    # The card that lm-eval makes of such files has `datasets` load them.
    datasets = importlib.import_module("datasets")
    rows = datasets.load_dataset(
        "json", data_files=str(bundle / SAMPLES), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 8  # each of four answers is read in two ways
    assert set(rows["filter"]) == {"strict-match", "flexible-extract"}


def value(change):
    def by(rows):
        rows[1] = rows[1] | change
        return rows

    return by


def within(*keys, to):
    """Change a table at a place."""

    def by(table):
        inner = table
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to
        return table

    return by


@pytest.mark.parametrize(
    ("name", "by", "rule"),
    [
        (SAMPLES, lambda rows: rows[1:], "hashes of rows and prompts"),
        (SAMPLES, lambda rows: rows[:-2], "as many samples as the results say"),
        (SAMPLES, lambda rows: [*rows, rows[0]], "one line an item and filter"),
        (SAMPLES, value({"exact_match": 1.0}), "figures computed again"),
        (SAMPLES, value({"doc_hash": "0"}), "hashes of rows and prompts"),
        (SAMPLES, value({"metrics": 7}), "every key of lm-eval's samples"),
        (SAMPLES, value({"metrics": ["f1"]}), "every key of lm-eval's samples"),
        (SAMPLES, lambda rows: [{}], "every key of lm-eval's samples"),
        (RESULTS, lambda table: {}, "every key of lm-eval's results"),
        (RESULTS, lambda table: [], "every file can be read"),
        (RESULTS, within("results", to=[]), "every key of lm-eval's results"),
        (RESULTS, within("configs", "gsm8k", to=3), "every key of lm-eval's results"),
        (RESULTS, within("model_name", to="other"), "names as lm-eval's readers expect"),
        (RESULTS, within("results", "arc_easy", "acc,none", to=0.9), "figures computed again"),
        (RESULTS, within("config", "model_args", to="/home/ann/x"), "no private places"),
    ],
)
def test_damaged_files_break_a_rule(bundle, states, edit, name, by, rule):
    edit(bundle / name, by)
    assert rule in states(bundle)["broken"]


def test_missing_and_surplus_files(bundle, states):
    (bundle / SAMPLES).rename(bundle / HOME / f"samples_another_{DATE}.jsonl")
    said = states(bundle)["broken"]["samples of every task"]
    assert f"no samples_gsm8k_{DATE}.jsonl" in said
    assert "samples_another" in said
    (bundle / HOME / "results_1971-01-01T00-00-00.json").write_text("{}")
    assert "results_1971" in states(bundle)["broken"]["one file of results"]


def test_a_line_that_is_no_json(bundle, states):
    (bundle / SAMPLES).write_text("{}\n{")
    assert "line 2, is not JSON" in states(bundle)["broken"]["every file can be read"]


def test_published_files_that_are_gone(lm_eval_run, submit):
    (lm_eval_run / f"published/M0/nlp_benchmarks/results_{DATE}.json").unlink()
    with pytest.raises(DataError, match="has 0 files results_"):
        submit("lm_eval", lm_eval_run)
