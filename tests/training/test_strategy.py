"""What is asked of FSDP2 and DeepSpeed, held against their own configuration classes."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import state
from accelerate.utils import FullyShardedDataParallelPlugin
from torch.distributed.fsdp import CPUOffloadPolicy
from transformers import TrainingArguments

from training.dpo import DPO
from training.settings import Launcher, LoRA, Settings
from training.sft import SFT
from training.strategy import backend, divided, environment, zero3

LLAMA_8B = SFT(
    learning_rate=1e-5,
    batch_size=16,
    micro_batch_size=2,
    gradient_checkpointing=True,
    dtype="bfloat16",
)
LLAMA_70B = DPO(learning_rate=1e-6, batch_size=64, micro_batch_size=1, gradient_checkpointing=True)
LORA = {"lora": LoRA(), "precision": "bfloat16"}
SIZES: list[tuple[Settings, int]] = [
    (LLAMA_8B, 8),
    (LLAMA_8B.model_copy(update=LORA), 8),
    (LLAMA_70B, 64),
    (LLAMA_70B.model_copy(update=LORA), 8),
]


def launcher(strategy: str, processes: int, **more: Any) -> Launcher:
    return Launcher(name="ray", processes=processes, strategy=strategy, **more)


@pytest.mark.parametrize(("settings", "processes"), SIZES)
@pytest.mark.parametrize("offload", [False, True])
def test_fsdp2_is_what_accelerate_understands(
    settings: Settings,
    processes: int,
    offload: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The plugin writes to the environment, which is put back afterwards.
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "false")
    asked = divided(launcher("fsdp2", processes, offload=offload), settings, gpu=True)

    read = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **asked)
    plugin = FullyShardedDataParallelPlugin(**read.fsdp_plugin_args)

    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.cpu_ram_efficient_loading is True
    assert plugin.activation_checkpointing is True
    assert "SHARDED" in str(plugin.state_dict_type)
    assert plugin.auto_wrap_policy is not None
    assert isinstance(plugin.cpu_offload, CPUOffloadPolicy) is offload
    assert read.gradient_checkpointing is False  # or the weights would be gathered once more
    said = {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}
    more = {"FSDP_OFFLOAD_PARAMS": "true"} if offload else {}
    assert environment(launcher("fsdp2", processes, offload=offload)) == said | more


@pytest.mark.parametrize(("settings", "processes"), SIZES)
@pytest.mark.parametrize("offload", [False, True])
def test_zero3_is_what_deepspeed_understands(
    settings: Settings, processes: int, offload: bool
) -> None:
    config = zero3(launcher("zero3", processes, offload=offload), settings, gpu=True)

    assert config["bf16"] == {"enabled": True}
    assert config["zero_optimization"]["stage"] == 3
    assert config["zero_optimization"]["offload_param"]["device"] == ("cpu" if offload else "none")
    micro, steps = config["train_micro_batch_size_per_gpu"], config["gradient_accumulation_steps"]
    assert micro * steps * processes == config["train_batch_size"] == settings.batch_size
    if find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed, so its own class did not read the rest")
    for key in ("reduce_bucket_size", "stage3_prefetch_bucket_size"):
        assert config["zero_optimization"].pop(key) == "auto"  # transformers fills it in
    config["zero_optimization"].pop("stage3_param_persistence_threshold")
    # Alone, DeepSpeed takes itself for one process.
    config["train_batch_size"] //= processes
    read = import_module("deepspeed.runtime.config").DeepSpeedConfig(config)
    assert read.zero_optimization_stage == 3
    assert read.bfloat16_config.enabled
    assert read.gradient_clipping == settings.max_grad_norm


def test_a_cpu_computes_in_float32_and_keeps_its_activations() -> None:
    settings = LLAMA_8B.model_copy(update={"micro_batch_size": None})

    for strategy in ("ddp", "fsdp2", "zero3"):
        asked = divided(launcher(strategy, 8), settings, gpu=False)
        assert asked["gradient_checkpointing"] is False
    assert divided(launcher("ddp", 8), settings, gpu=True) == {
        "gradient_checkpointing": True,
        "ddp_find_unused_parameters": False,
    }
    assert asked["deepspeed"]["bf16"] == {"enabled": False}
    assert environment(launcher("zero3", 8)) == {}


def test_what_is_offloaded_can_be_summed_up_on_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """By accelerate, which starts the process group, as by Ray, which is told."""
    begun = []
    offloading = launcher("fsdp2", 8, offload=True)
    process = {"LOCAL_RANK": "0", "ACCELERATE_TORCH_DEVICE": "cpu"}  # there is no GPU to choose
    for name, value in (environment(offloading) | process).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, value in {"get_world_size": 8, "get_rank": 0}.items():
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda **asked: begun.append(asked)
    )
    monkeypatch.setattr(state.PartialState, "_shared_state", {})

    state.PartialState()

    [asked] = begun
    assert set(asked["backend"].split(",")) == {"cpu:gloo", "cuda:nccl"}
    assert backend(offloading, gpu=True) == "cpu:gloo,cuda:nccl"
    assert backend(offloading, gpu=False) is None
    assert backend(launcher("fsdp2", 8), gpu=True) is None
    assert backend(launcher("zero3", 8, offload=True), gpu=True) is None


@pytest.mark.ray
def test_ray_train_takes_two_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    config = import_module("ray.train.torch.config")
    begun = []
    monkeypatch.setattr(config.dist, "init_process_group", lambda **asked: begun.append(asked))
    asked = backend(launcher("fsdp2", 8, offload=True), gpu=True)
    assert config.TorchConfig(backend=asked).backend == asked

    config._setup_torch_process_group(asked, 0, 8, "env://")

    assert begun[0]["backend"] == asked
    assert config._is_backend_nccl(asked)
