"""What a reader needs to know to run the same."""

import pytest

from harness.records import Bill
from reports.html.report import Html
from reports.markdown import Markdown
from reports.terminal import Terminal
from reports.what_ran import what_ran
from tests.reports.conftest import ENVIRONMENT, REQUEST


def lines(record, **request):
    return dict(what_ran(record.model_copy(update={"request": REQUEST | request})).items)


def test_every_trained_model_is_named_with_its_weights(whole_run, one_model):
    trained = lines(whole_run)["Trained"]
    assert trained.startswith("SFT (weights fp-SFT), M1 (weights fp-M1)")
    assert lines(one_model)["Trained"] == "nothing"


def test_training_data_are_named_with_their_use_and_what_is_in_files(whole_run):
    said = lines(
        whole_run,
        trainer={"name": "mine", "seeds": {"ift": ["a.jsonl", "b.jsonl"], "eft": "a.jsonl"}},
        contents={"a.jsonl": "9b74c9897bac770f", "rubric.txt": "51eb4a"},
    )
    assert said["Training data"] == "a.jsonl (9b74c9897bac770f) for IFT, EFT; b.jsonl for IFT"


def test_a_request_that_names_no_data_says_so(whole_run):
    assert lines(whole_run, trainer=None)["Training data"] == "not stated"


def test_the_engines_that_answered_are_named_with_their_versions(whole_run):
    packages = ENVIRONMENT["packages"] | {"vllm": "0.32.0+cpu", "ray": "2.60.0", "peft": "0.21.2"}
    run = whole_run.model_copy(update={"environment": ENVIRONMENT | {"packages": packages}})
    ray = {"name": "ray", "replicas": 2, "engine": {"name": "transformers", "dtype": "auto"}}
    vllm = {"name": "vllm", "dtype": "auto", "tensor_parallel": 2, "replicas": 1}
    judge = {"engine": vllm, "model": {"name": "judge", "location": "llama"}}
    found = lines(run, engine=ray, judge=judge)
    assert found["Engine"] == "ray: 2 replicas of transformers, float32, on the CPU"
    assert found["Hardware"] == "no GPU, 2 cores, 2 threads"
    assert found["Judge"] == (
        "llama, through the engine vllm 0.32.0+cpu, float32, on the CPU, in 2 processes"
    )
    assert found["Versions"].endswith("trl 1.16.0, ray 2.60.0, vllm 0.32.0+cpu")
    assert "vllm" not in lines(run)["Versions"], "nobody was asked through it"


@pytest.mark.parametrize("report", [Html, Markdown, Terminal])
def test_every_report_names_the_engine(report, small_run, tmp_path):
    ray = {"name": "ray", "replicas": 2, "engine": {"name": "transformers"}}
    run = small_run.model_copy(update={"request": small_run.request | {"engine": ray}})
    written = report(report.Config()).render(run, tmp_path).read_text()
    assert "ray: 2 replicas of transformers" in written


@pytest.mark.parametrize(
    ("bill", "said"),
    [
        ({"calls": {"ok": 72}, "dollars": 0.414}, "$0.41 for 72 calls of m"),
        ({"calls": {"ok": 1}, "dollars": 0}, "$0.00 for 1 call of m"),
        (
            {"calls": {"ok": 69, "time_out": 3}, "dollars": 1234.5, "unpriced": 3},
            "$1,234.50 for 72 calls of m, without 3 whose cost is unknown",
        ),
        ({"calls": {"ok": 25}, "unpriced": 25}, "unknown for 25 calls of m"),
        (
            {"calls": {"ok": 69, "connection": 3}, "unpriced": 69},
            "unknown for 69 of 72 calls of m, nothing for the others",
        ),
    ],
)
def test_money_says_what_is_known_and_of_how_many_calls_nothing_is(bill, said, whole_run):
    bills = (Bill(model="m", host="h", **bill),)
    assert lines(whole_run.model_copy(update={"bills": bills}))["Money"] == said


def test_a_run_without_servers_cost_no_money(whole_run):
    assert lines(whole_run)["Money"] == "nothing: no model on a server was asked"
