"""Which engine answered, in words."""

import pytest

from harness import plugins
from harness.config import Choice
from harness.records import Bill
from reports.engines import engine, hardware, names
from tests.reports.conftest import ENVIRONMENT, REQUEST

CPU = {"gpus": [], "packages": {"torch": "2.13.0+cpu", "vllm": "0.32.0+cpu"}}
GPUS = {"gpus": ["NVIDIA H100"] * 8, "packages": {"torch": "2.13.0", "vllm": "0.32.0"}}


def said(record, choice, environment, location="m"):
    run = record.model_copy(update={"environment": environment})
    return engine(run, choice, {"location": location})


def written(**choice):
    """An engine's options as a run's request has them: all defaults written out."""
    return plugins.options(plugins.ENGINES, Choice.model_validate(choice))


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({}, CPU, "transformers, float32, on the CPU"),
        ({}, GPUS, "transformers, the checkpoint's own precision, on a GPU"),
        ({"dtype": "bfloat16"}, GPUS, "transformers, bfloat16, on a GPU"),
        ({"device": "cuda:1", "dtype": "float16"}, GPUS, "transformers, float16, on cuda:1"),
        ({"device": "cpu"}, GPUS, "transformers, float32, on the CPU"),
        ({"chat_template": "tulu"}, CPU, "transformers, float32, on the CPU, chat template tulu"),
        ({"dtype": "bfloat16"}, {}, "transformers, bfloat16"),
        ({}, {}, "transformers"),
    ],
)
def test_transformers_says_precision_and_place(options, environment, expected, whole_run):
    assert said(whole_run, written(name="transformers", **options), environment) == expected


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({}, CPU, "vllm 0.32.0+cpu, float32, on the CPU"),
        (
            {"tensor_parallel": 2},
            CPU,
            "vllm 0.32.0+cpu, float32, on the CPU, in 2 processes",
        ),
        (
            {"tensor_parallel": 4, "replicas": 2, "dtype": "bfloat16"},
            GPUS,
            "vllm 0.32.0, bfloat16, 2 copies on 4 GPUs each",
        ),
        (
            {"context": 4096, "dtype": "float16"},
            GPUS,
            "vllm 0.32.0, float16, on 1 GPU, context of 4,096 tokens",
        ),
        ({"replicas": 2}, {}, "vllm, 2 copies"),
    ],
)
def test_vllm_says_version_copies_and_gpus(options, environment, expected, whole_run):
    assert said(whole_run, written(name="vllm", **options), environment) == expected


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        (
            {"replicas": 2, "engine": "transformers"},
            CPU,
            "ray: 2 replicas of transformers, float32, on the CPU, 1 core each",
        ),
        (
            {"cluster": {"address": "head:6379", "gpus": 2}, "engine": {"name": "transformers"}},
            CPU,
            "ray: replicas of transformers, the checkpoint's own precision, on a GPU, "
            "as many as had room, 2 GPUs each, on cluster head:6379",
        ),
        (
            {
                "replicas": 1,
                "cluster": {"address": "auto", "gpus": 4},
                "engine": {"name": "vllm", "dtype": "bfloat16", "tensor_parallel": 4},
            },
            GPUS,
            "ray: 1 replica of vllm 0.32.0, bfloat16, on 4 GPUs, on the cluster of its machine",
        ),
        (
            {"cluster": {"address": "auto"}, "engine": {"name": "vllm", "dtype": "auto"}},
            CPU,
            "ray: replicas of vllm 0.32.0, as many as had room, on the cluster of its machine",
        ),
        (
            {"replicas": 3, "cluster": {"address": "head:6379"}},
            CPU,
            "ray: 3 replicas of transformers, on cluster head:6379",
        ),
    ],
)
def test_ray_says_replicas_and_what_each_of_them_is(options, environment, expected, whole_run):
    assert said(whole_run, written(name="ray", **options), environment) == expected


def test_servers_are_named_without_what_else_an_address_holds(whole_run):
    one = written(name="openai", base_url="http://10.0.0.1:8000/v1", reasoning_effort="low")
    assert said(whole_run, one, {}) == (
        "openai at 10.0.0.1:8000, reasoning effort low, 32 calls at once"
    )
    pool = {"name": "openai", "base_url": ["http://u:secret@a/v1?key=secret", "http://b:80/v1"]}
    assert said(whole_run, pool, {}) == "openai at a, b:80 (2 servers)"


def test_servers_that_the_environment_named_are_known_by_their_bills(whole_run):
    bills = tuple(
        Bill(model=model, host=host, calls={"ok": 1})
        for model, host in (("m", "a:1,b:2"), ("other", "c:3"))
    )
    run = whole_run.model_copy(update={"bills": bills})
    choice = written(name="openai", calls={"concurrency": 1})
    assert said(run, choice, {}) == "openai at a:1, b:2 (2 servers), 1 call at once of each"
    assert said(whole_run, written(name="openai", batch=True), {}) == "openai, by the Batch API"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "not stated"),
        ("vllm", "vllm"),
        ({}, "unnamed"),
        ([], "[]"),
        ({"name": "mine", "dtype": "bfloat16", "replicas": 4}, "mine"),
        ({"name": "transformers"}, "transformers"),
        ({"name": "vllm", "replicas": "two", "tensor_parallel": None, "dtype": 3}, "vllm"),
        ({"name": "ray", "replicas": -1}, "ray: replicas, as many as had room"),
        ({"name": "ray", "engine": "mine", "replicas": 2, "cluster": 1}, "ray: 2 replicas of mine"),
        ({"name": "openai", "base_url": ["http://[", 3], "calls": 7}, "openai"),
    ],
)
def test_of_old_damaged_and_unknown_requests_only_what_is_there_is_said(
    choice, expected, whole_run
):
    assert said(whole_run, choice, {"packages": None, "gpus": None}) == expected


def test_an_engine_is_named_with_the_one_that_it_spreads():
    assert [*names(written(name="ray", engine="vllm"))] == ["ray", "vllm"]
    assert [*names(None)] == []


@pytest.mark.parametrize(
    ("engine", "environment", "expected"),
    [
        ("transformers", ENVIRONMENT, "no GPU, 2 cores, 2 threads"),
        ("transformers", GPUS | {"cores": 64}, "8 NVIDIA H100, 64 cores"),
        ("transformers", {"cores": 1, "threads": "1"}, "1 core, 1 thread"),
        ("transformers", {"cores": "many", "threads": "x", "gpus": 8}, "not recorded"),
        ({"name": "openai"}, {"cores": 2}, "2 cores (of the harness's own machine)"),
        (
            {"name": "ray", "cluster": {"address": "auto"}},
            {"cores": 2},
            "2 cores (of the harness's own machine)",
        ),
        ({"name": "ray", "cluster": {"address": None}}, {"cores": 2}, "2 cores"),
    ],
)
def test_hardware_is_said_as_far_as_it_was_recorded(engine, environment, expected, whole_run):
    update = {"environment": environment, "request": REQUEST | {"engine": engine}}
    assert hardware(whole_run.model_copy(update=update)) == expected
