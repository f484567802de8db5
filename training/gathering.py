"""Whole weights out of a model that several processes hold between them.

    FSDP2     each weight is a DTensor, of which a process holds some rows
    ZeRO-3    each weight is empty, and DeepSpeed knows where its parts are

One weight at a time is put together, so that no process holds the model twice. All processes must
take part, in the same order; a model that is whole in each of them stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch.distributed.tensor import DTensor


def weights(
    model: torch.nn.Module, containing: str = "", leaving_out: str | None = None
) -> Iterator[tuple[list[str], torch.Tensor]]:
    """Give a model's weights, each whole, with their names: tied ones have several.

    Args:
        model: Wrapped by FSDP2 or ZeRO-3, or not.
        containing: What the names must contain.
        leaving_out: What they must not.
    """
    names: dict[int, list[str]] = {}
    state = model.state_dict(keep_vars=True)
    for name, weight in state.items():
        if containing in name and not (leaving_out and leaving_out in name):
            names.setdefault(id(weight), []).append(name)
    for tied in names.values():
        weight = state[tied[0]]
        with _present([weight]):
            full = whole(weight)
            # ZeRO-3 takes its weight back; whoever asked may keep what they were given.
            full = full.clone() if hasattr(weight, "ds_id") else full
        yield tied, full


def whole(weight: torch.Tensor) -> torch.Tensor:
    """Put one tensor together that may be divided by FSDP2."""
    weight = weight.detach()
    if not isinstance(weight, DTensor):
        return weight
    # Parts that lie in the machine's memory (`offload`) go by way of the GPUs: between CPUs only
    # gloo could gather them, many times slower.
    divided: Any = weight.to(weight.device_mesh.device_type)
    full: torch.Tensor = divided.full_tensor()
    return full


@contextmanager
def present(module: torch.nn.Module) -> Iterator[None]:
    """Make a module's weights readable where they are divided by ZeRO-3."""
    with _present(list(module.parameters())):
        yield


@contextmanager
def _present(some: list[Any]) -> Iterator[None]:
    divided = [weight for weight in some if hasattr(weight, "ds_id")]
    if not divided:
        yield
        return
    # By name: DeepSpeed is there only where it was asked for.
    zero: Any = import_module("deepspeed").zero
    with zero.GatheredParameters(divided):
        yield
