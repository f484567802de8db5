"""Where weights go that FSDP has divided, when they are put together."""

from types import SimpleNamespace

import pytest
import torch

from training import gathering


class Divided:
    """Stands in for a DTensor: there is no GPU here."""

    def __init__(self, device: str, mesh: str) -> None:
        self.device = torch.device(device)
        self.device_mesh = SimpleNamespace(device_type=mesh)

    def detach(self) -> "Divided":
        return self

    def to(self, device: str) -> "Divided":
        return Divided(device, self.device_mesh.device_type)

    def full_tensor(self) -> str:
        return f"gathered by {self.device.type}"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_offloaded_parts_are_gathered_by_the_gpus(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "DTensor", Divided)

    assert gathering.whole(Divided(device, "cuda")) == "gathered by cuda"
    assert gathering.whole(Divided("cpu", "cpu")) == "gathered by cpu"
    assert gathering.whole(torch.ones(2)).tolist() == [1, 1]
