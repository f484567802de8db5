"""A GPU is known by its data sheet, a CPU by a measurement."""

import pytest

from harness import machine
from harness.errors import ConfigError
from harness.planning import hardware
from harness.planning.fleet import Fleet


def test_a_gpu_is_found_by_name_in_any_case():
    found = hardware.gpu("h100")
    assert (found.name, found.flops, found.bandwidth) == ("H100", 989e12, 3350e9)
    assert found.memory == 81559 * 2**20
    assert hardware.gpu("rtx 4090").name == "RTX-4090"


def test_an_unknown_gpu_is_refused_with_the_closest():
    with pytest.raises(ConfigError, match="did you mean H100"):
        hardware.gpu("H10")
    with pytest.raises(ConfigError, match="known are B200, H200"):
        hardware.gpu("abacus")


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA L4", "L4"),
    ],
)
def test_this_machines_cards_are_known_by_what_the_driver_calls_them(card, name, monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: (card, card))
    monkeypatch.setattr(machine, "installed", lambda package: "2.13.0")
    fleet = Fleet.of()
    assert (fleet.device.name, fleet.gpus, fleet.supposed) == (name, 2, False)


def test_a_card_nobody_knows_is_refused(monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: ("NVIDIA GT 710",))
    monkeypatch.setattr(machine, "installed", lambda package: "2.13.0")
    with pytest.raises(ConfigError, match="GT 710, whose ceilings are not known"):
        Fleet.of()


def test_a_cpu_is_measured():
    found = hardware.this_machine()
    assert found.cpu
    assert found.flops > 1e8
    assert found.bandwidth > 1e7
    assert "GFLOP/s" in found.source
