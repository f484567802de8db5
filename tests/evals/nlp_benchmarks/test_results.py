import json
import math
from dataclasses import replace
from datetime import datetime

import pytest

from evals.nlp_benchmarks.results import figures
from evals.nlp_benchmarks.running import run
from evals.nlp_benchmarks.settings import Settings
from harness.records import Failure, ModelRef

DATE = datetime(2026, 1, 31, 12, 0, 5)
MODEL = ModelRef(name="M1", location="/home/me/runs/M1", fingerprint="9f86d081884c7d65")


@pytest.fixture
def files(evaluation, scripted, log):
    built, rows = evaluation(benchmarks=["arc_easy", "gsm8k", "mmlu"]), log()
    built.answer(scripted(default=" B. #### 2"), rows)
    return dict(built.lm_eval_files(MODEL, rows, DATE))


def test_files_are_named_as_lm_eval_names_them(files) -> None:
    assert list(files)[:3] == [
        "results_2026-01-31T12-00-05.json",
        "samples_arc_easy_2026-01-31T12-00-05.jsonl",
        "samples_gsm8k_2026-01-31T12-00-05.jsonl",
    ]
    assert len(files) == 1 + 2 + 5


def test_results_have_lm_evals_fields(files) -> None:
    content = json.loads(files["results_2026-01-31T12-00-05.json"])
    assert set(content) >= {
        "results",
        "groups",
        "group_subtasks",
        "configs",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
        "config",
        "date",
        "lm_eval_version",
        "chat_template_sha",
        "task_hashes",
    }
    arc = content["results"]["arc_easy"]
    assert arc["alias"] == "arc_easy"
    assert arc["sample_len"] == 3
    assert {key for key in arc if "," in key} == {
        "acc,none",
        "acc_stderr,none",
        "acc_norm,none",
        "acc_norm_stderr,none",
    }
    gsm8k = content["results"]["gsm8k"]
    assert isinstance(gsm8k["exact_match_stderr,flexible-extract"], float)
    assert "exact_match,strict-match" in gsm8k
    assert content["groups"]["mmlu"] == content["results"]["mmlu"]
    assert content["groups"]["mmlu"]["sample_count"] == {"acc,none": 15}
    assert isinstance(content["groups"]["mmlu"]["acc_stderr,none"], float)
    assert len(content["group_subtasks"]["mmlu"]) == 5
    subjects = content["group_subtasks"]["mmlu"]
    assert content["n-shot"] == {"arc_easy": 0, "gsm8k": 8} | dict.fromkeys([*subjects, "mmlu"], 5)
    assert content["n-samples"]["arc_easy"] == {"original": 64, "effective": 3}
    assert content["versions"]["gsm8k"] == 3.0
    assert content["config"]["model"] == "M1"
    assert content["config"]["model_sha"] == "9f86d081884c7d65"
    assert content["chat_template_sha"] == "scripted"


def test_no_place_on_the_machine_is_published(evaluation, scripted, log, jsonl, tmp_path) -> None:
    row = {"question": "Two?", "answer": "#### 2"}
    jsonl("gsm8k_test.jsonl", [row])
    built = evaluation(data=str(tmp_path), benchmarks=["gsm8k"], shots={"gsm8k": 0})
    rows = log("elsewhere")
    built.answer(scripted(), rows)
    content = "".join(dict(built.lm_eval_files(MODEL, rows, DATE)).values())
    assert str(tmp_path) not in content
    assert "/tmp" not in content
    assert "/home/me" not in content
    assert '"config_source": "lm_eval/tasks/gsm8k/gsm8k.yaml"' in content
    assert "0x" not in content


def test_samples_have_lm_evals_fields(files) -> None:
    lines = [
        json.loads(line) for line in files["samples_gsm8k_2026-01-31T12-00-05.jsonl"].splitlines()
    ]
    assert [(line["doc_id"], line["filter"]) for line in lines] == [
        (doc, filter) for filter in ("strict-match", "flexible-extract") for doc in range(3)
    ]
    assert list(lines[0]) == [
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
        "exact_match",
    ]
    assert lines[0]["arguments"]["gen_args_0"]["arg_0"].startswith("Question: ")
    assert "until" in lines[0]["arguments"]["gen_args_0"]["arg_1"]
    assert lines[0]["resps"] == [[" B. #### 2"]]
    assert lines[0]["filtered_resps"] == ["2"]
    arc = json.loads(files["samples_arc_easy_2026-01-31T12-00-05.jsonl"].splitlines()[0])
    assert set(arc["arguments"]) == {f"gen_args_{i}" for i in range(4)}
    assert isinstance(arc["target"], str)
    [[logprob, greedy]] = arc["resps"][0]
    assert float(logprob) < 0
    assert greedy == "False"


def test_what_failed_is_in_no_figure_and_no_sample(evaluation, scripted, log) -> None:
    settings = Settings(benchmarks=("arc_easy", "mmlu"), limit=4)
    rows = log()
    runs = [run(name, settings, scripted(default=" B"), rows) for name in settings.benchmarks]
    task = next(iter(runs[1].raw["samples"]))
    failed = {(task, 0): Failure(reason="refused"), (task, 1): Failure(reason="refused")}
    without = figures(replace(runs[1], failed=failed))
    assert (without[task]["sample_len"], without["mmlu"]["sample_len"]) == (2, 18)
    kept = [one["acc"] for one in runs[1].raw["samples"][task]][2:]
    assert without[task]["acc,none"] == sum(kept) / 2
    everything = {(task, row): Failure(reason="refused") for row in range(4)}
    without = figures(replace(runs[1], failed=everything))
    assert "acc,none" not in without[task]
    assert without["mmlu"]["sample_len"] == 16


def test_figures_are_checked_against_lm_evals(scripted, log) -> None:
    found = run("mmlu", Settings(limit=4), scripted(default=" B"), log())
    made = figures(found)
    assert made["mmlu"]["acc,none"] == pytest.approx(found.raw["results"]["mmlu"]["acc,none"])
    assert math.isfinite(made["mmlu"]["acc_stderr,none"])
    found.raw["results"]["mmlu"]["acc,none"] += 0.01
    with pytest.raises(RuntimeError, match="mmlu acc,none"):
        figures(found)
