"""How a training is divided among its processes, in the words of transformers' TrainingArguments.

    divided(Launcher(name="accelerate", processes=8, strategy="fsdp2"), settings, gpu=True)
    -> {"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True, ...}}

One place says it for every launcher: accelerate and Ray only start processes. Nothing is imported
here but the settings, so that what will be asked of FSDP or DeepSpeed can be read, and tested,
anywhere.
"""

from typing import Any

from training.settings import Launcher, Settings


def divided(launcher: Launcher, settings: Settings, gpu: bool) -> dict[str, Any]:
    """Give the arguments that say how the model is divided, activations included.

    Args:
        launcher: Says how, and among how many.
        settings: Of the training.
        gpu: Whether it runs on one; a CPU computes in float32 and keeps its activations.
    """
    again = gpu and settings.gradient_checkpointing
    if launcher.strategy == "fsdp2":
        # FSDP recomputes block by block itself: through transformers' own switch, the weights
        # would be gathered once more for nothing.
        return {
            "gradient_checkpointing": False,
            "fsdp": True,
            "fsdp_config": _fsdp2(launcher, recompute=again),
        }
    if launcher.strategy == "zero3":
        return {
            "gradient_checkpointing": again,
            "deepspeed": zero3(launcher, settings, gpu),
        }
    return {"gradient_checkpointing": again, "ddp_find_unused_parameters": False}


def environment(launcher: Launcher) -> dict[str, str]:
    """Give what must be in a process's environment before it joins the others.

    Under FSDP the first process of all reads the weights, and the others receive their shares.
    """
    if launcher.strategy != "fsdp2":
        return {}
    # accelerate then has gloo beside NCCL (see `backend`).
    offloaded = {"FSDP_OFFLOAD_PARAMS": "true"} if launcher.offload else {}
    return {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true", **offloaded}


def backend(launcher: Launcher, gpu: bool) -> str | None:
    """Name what the processes talk by, where a launcher's own choice will not do.

    What FSDP keeps in the machine's memory, the length of all gradients is found from there, and
    NCCL knows GPUs only (pytorch/pytorch#148532).
    """
    offloads = launcher.strategy == "fsdp2" and launcher.offload
    return "cpu:gloo,cuda:nccl" if gpu and offloads else None


def _fsdp2(launcher: Launcher, recompute: bool) -> dict[str, Any]:
    return {
        "version": 2,
        # The blocks are those the architecture calls its own (`_no_split_modules`).
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "reshard_after_forward": True,
        "cpu_ram_efficient_loading": True,
        # Each process writes and reads its own share of a checkpoint: 70 billion weights with
        # their optimizer state, 840 GB, fit into no one process's memory.
        "state_dict_type": "SHARDED_STATE_DICT",
        "activation_checkpointing": recompute,
        "cpu_offload": launcher.offload,
    }


def zero3(launcher: Launcher, settings: Settings, gpu: bool) -> dict[str, Any]:
    """Give DeepSpeed's configuration, without a figure that is left to others to fill in."""
    share, micro = settings.share(launcher.processes)
    device = {"device": "cpu", "pin_memory": gpu} if launcher.offload else {"device": "none"}
    return {
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": share // micro,
        "train_batch_size": share * launcher.processes,  # those without a row counted with one
        "gradient_clipping": settings.max_grad_norm,
        "bf16": {"enabled": gpu and settings.precision != "float32"},
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": gpu,
            "contiguous_gradients": True,
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
            "offload_optimizer": device,
            "offload_param": device,
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**31,
    }
