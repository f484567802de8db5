"""Memory, against published figures and figures worked out by hand."""

from dataclasses import replace

import pytest

from harness.planned import Lesson
from harness.planning.disk import model, state
from harness.planning.hardware import gpu
from harness.planning.memory import (
    cache_room,
    loading_need,
    offload_need,
    serving_need,
    training_need,
)
from harness.planning.serving import Serving, serving, spread
from harness.planning.shapes import shape_of
from harness.records import ModelRef

LLAMA_7B = shape_of(ModelRef(location="meta-llama/Llama-2-7b-hf"))
LLAMA_70B = shape_of(ModelRef(location="meta-llama/Llama-2-70b-hf"))
LLAMA_31 = shape_of(ModelRef(location="meta-llama/Llama-3.1-8B"))
H100 = gpu("H100")
LESSON = Lesson(
    updates=100,
    batch_size=16,
    micro_batch_size=1,
    sequences=1,
    longest=1024,
    epochs=1.0,
    reference=False,
    precision="mixed",
    gradient_checkpointing=True,
    lora=None,
    lora_modules=None,
    adapter=False,
    processes=1,
    strategy="ddp",
    offload=False,
    checkpoints=0,
)


def states(need):
    return sum(need.parts[name] for name in ("weights", "gradients", "optimizer"))


def test_states_are_sixteen_bytes_a_parameter_as_zero_has_them():
    # Rajbhandari et al. 2020, figure 1: 16 bytes a parameter, 1.9 GB of 120 on each of 64 GPUs.
    alone = training_need(LLAMA_7B, LESSON, H100, "full")
    assert states(alone) == 16 * LLAMA_7B.parameters
    divided = replace(LESSON, processes=64, strategy="zero3")
    assert states(training_need(LLAMA_7B, divided, H100, "full")) == pytest.approx(
        16 * LLAMA_7B.parameters / 64, rel=1e-6
    )
    assert pytest.approx(1.9e9, rel=0.02) == 120e9 / 64


def test_a_7b_model_cannot_be_trained_whole_on_one_80_gb_gpu():
    need = training_need(LLAMA_7B, LESSON, H100, "full")
    assert not need.fits
    assert "fsdp2" in need.remedy
    assert "lora" in need.remedy


def test_under_lora_only_adapters_have_states():
    lora = replace(LESSON, lora=16, precision="bfloat16")
    need = training_need(LLAMA_7B, lora, H100, "lora")
    adapters = LLAMA_7B.adapters(16)
    assert adapters == 39_976_960  # as peft prints it for Llama-2-7B, r = 16, all linear layers
    assert need.parts["weights"] == 2 * LLAMA_7B.parameters
    assert need.parts["optimizer"] == 8 * adapters
    assert need.fits


def test_checkpointing_keeps_one_vector_a_layer_and_token():
    tokens = 2 * 1 * 1024
    lesson = replace(LESSON, sequences=2)
    kept = training_need(LLAMA_7B, lesson, H100, "").parts["activations"]
    all_of_them = training_need(LLAMA_7B, replace(lesson, gradient_checkpointing=False), H100, "")
    layer = 34 * tokens * 4096
    assert kept == 2 * tokens * 4096 * 32 + layer
    assert all_of_them.parts["activations"] == 32 * layer


def test_offloading_leaves_no_state_on_the_gpu():
    need = training_need(LLAMA_70B, replace(LESSON, offload=True, strategy="fsdp2"), H100, "")
    assert states(need) == 0


def test_a_replica_takes_as_few_gpus_as_hold_the_weights():
    found = spread(LLAMA_70B, H100, 64, "bfloat16", None)
    assert (found.tensor_parallel, found.replicas) == (4, 16)
    assert spread(LLAMA_7B, H100, 64, "bfloat16", None).tensor_parallel == 1
    assert spread(LLAMA_7B, H100, 64, "bfloat16", 2).replicas == 32


def test_what_weights_leave_is_cache():
    one = Serving("vllm", H100, "bfloat16")
    assert cache_room(LLAMA_7B, one) == pytest.approx(0.9 * H100.memory - 2 * LLAMA_7B.parameters)
    need = serving_need(LLAMA_70B, one, 4096, "serving M0")
    assert not need.fits
    assert "tensor_parallel" in need.remedy
    stored = replace(one, dtype="float32")
    assert 'dtype = "bfloat16"' in serving_need(LLAMA_70B, stored, 4096, "").remedy


def test_vllm_wants_room_for_a_row_of_its_whole_context():
    small = gpu("RTX-4090")
    vllm, short = (
        serving("vllm", {"context": context}, small, "bfloat16") for context in (None, 8192)
    )
    need = serving_need(LLAMA_31, vllm, 2000, "")
    assert need.parts["cache of a row of 131,073 tokens (the context, as vLLM wants)"] == (
        131_073 * 2 * 32 * 8 * 128 * 2  # keys and values, layers, heads, their size, bytes
    )
    assert not need.fits
    assert "a shorter `context`" in need.remedy
    assert serving_need(LLAMA_31, short, 2000, "").fits
    # A model reads no more than it can, whatever it is told.
    longer = replace(short, context=10**6)
    assert serving_need(LLAMA_31, longer, 2000, "").needed == need.needed
    plain = serving("transformers", {}, small, "bfloat16")
    assert "cache of a row of 2,000 tokens" in serving_need(LLAMA_31, plain, 2000, "").parts


def test_a_shorter_context_is_no_help_where_weights_are_too_large():
    one = serving("vllm", {}, H100, "bfloat16")
    assert "context" not in serving_need(LLAMA_70B, one, 2000, "").remedy


def test_vllm_takes_its_share_of_a_gpu():
    half = serving("vllm", {"gpu_memory": 0.5}, H100, "bfloat16")
    assert serving_need(LLAMA_7B, half, 2000, "").available == int(0.5 * H100.memory)
    assert cache_room(LLAMA_7B, half) == pytest.approx(0.5 * H100.memory - 2 * LLAMA_7B.parameters)


def test_vllm_has_more_rows_at_once_on_large_gpus():
    def rows(name, device):
        return serving(name, {}, device, "bfloat16").batch_rows

    assert [rows("vllm", gpu(name)) for name in ("H100", "B200")] == [1024, 1024]
    assert [rows("vllm", gpu(name)) for name in ("A100-80GB", "L40S")] == [256, 256]
    assert rows("vllm", replace(H100, cpu=True)) == 256
    assert rows("transformers", H100) == 256
    assert spread(LLAMA_7B, H100, 8, "bfloat16", None).batch_rows == 1024


def test_a_replica_on_ray_has_no_more_rows_than_its_window():
    def rows(window, replicas=1):
        inner = {"name": "vllm", "replicas": replicas, "context": 4096}
        options = {"name": "ray", "engine": inner, "cluster": {"window": window}}
        found = serving("ray", options, H100, "bfloat16")
        assert found.context == 4096
        return found.batch_rows

    assert (rows(256), rows(4096), rows(1024, replicas=2)) == (256, 1024, 512)


def test_an_engine_that_spreads_another_has_its_replicas():
    inner = {"name": "vllm", "tensor_parallel": 2, "replicas": 1}
    found = serving("ray", {"name": "ray", "engine": inner, "replicas": 3}, H100, "bfloat16")
    assert (found.engine, found.tensor_parallel, found.replicas, found.gpus) == ("vllm", 2, 3, 6)


def test_what_is_offloaded_is_in_the_machine_s_memory():
    lesson = replace(LESSON, offload=True, strategy="fsdp2", processes=16)
    need = offload_need(LLAMA_70B, lesson, 10**12, "states")
    assert need.place == "machine"
    assert need.needed == pytest.approx(16 * LLAMA_70B.parameters * 8 / 16)  # 8 in a machine
    assert need.fits
    assert not offload_need(LLAMA_70B, lesson, 10**11, "states").fits
    assert offload_need(LLAMA_70B, lesson, None, "states").fits is None  # nobody knows


def test_a_model_is_read_into_the_machine_s_memory():
    divided = replace(LESSON, strategy="fsdp2", processes=16)
    assert loading_need(LLAMA_70B, divided, None, "").needed == 4 * LLAMA_70B.parameters
    half = replace(divided, precision="bfloat16")
    assert loading_need(LLAMA_70B, half, None, "").needed == 2 * LLAMA_70B.parameters
    whole = loading_need(LLAMA_70B, replace(LESSON, processes=16), 10**12, "")
    assert whole.needed == 8 * 4 * LLAMA_70B.parameters  # by each process of a machine
    assert (whole.place, whole.fits) == ("machine", False)
    assert "fsdp2" in whole.remedy


def test_processes_without_gpus_are_in_one_memory():
    cpu = replace(H100, cpu=True)
    one, four = (
        training_need(LLAMA_7B, replace(LESSON, processes=count), cpu, "") for count in (1, 4)
    )
    assert (one.place, four.place) == ("machine", "machine")
    buckets = four.parts.pop("gradient buckets")
    assert four.needed == 4 * one.needed
    assert buckets == four.parts["gradients"]


def test_an_engine_that_takes_what_there_is_takes_all_of_it():
    inner = {"name": "vllm", "tensor_parallel": 2}
    options = {"name": "ray", "engine": inner, "replicas": None}
    assert serving("ray", options, H100, "bfloat16", gpus=8).replicas == 4
    cpu = replace(H100, cpu=True, processes=3)
    assert serving("ray", {**options, "engine": {"name": "transformers"}}, cpu, "").replicas == 3


def test_ddp_holds_gradients_twice():
    two = replace(LESSON, processes=2)
    need = training_need(LLAMA_7B, two, H100, "")
    assert need.parts["gradient buckets"] == need.parts["gradients"] == 4 * LLAMA_7B.parameters
    assert "gradient buckets" not in training_need(LLAMA_7B, LESSON, H100, "").parts


def test_a_state_is_kept_as_it_is_trained():
    assert state(LESSON, LLAMA_7B) == 12 * LLAMA_7B.parameters
    assert state(replace(LESSON, precision="bfloat16"), LLAMA_7B) == 6 * LLAMA_7B.parameters
    lora = replace(LESSON, lora=16, precision="bfloat16")
    assert state(lora, LLAMA_7B) == 12 * LLAMA_7B.adapters(16)
    assert model(lora, LLAMA_7B, "bfloat16") == 2 * LLAMA_7B.parameters
    assert model(replace(lora, adapter=True), LLAMA_7B, "bfloat16") == 2 * LLAMA_7B.adapters(16)
