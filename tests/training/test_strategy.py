"""What is asked of FSDP2 and DeepSpeed, held against their own configuration classes."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from accelerate.utils import FullyShardedDataParallelPlugin
from torch.distributed.fsdp import CPUOffloadPolicy
from transformers import TrainingArguments

from training.dpo import DPO
from training.settings import Launcher, LoRA, Settings
from training.sft import SFT
from training.strategy import divided, environment, zero3

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
    assert environment(launcher("fsdp2", processes)) == {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    }


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
