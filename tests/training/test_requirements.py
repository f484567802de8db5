from importlib.metadata import PackageNotFoundError

import pytest
import torch
from pydantic import ValidationError

from harness.errors import ConfigError
from training import requirements
from training.requirements import check
from training.settings import IN_PROCESS, Launcher
from training.sft import SFT

SETTINGS = SFT(learning_rate=1e-5, batch_size=16, micro_batch_size=2)
EIGHT = Launcher(name="accelerate", processes=8, strategy="fsdp2")


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    def version(package: str) -> str:
        if package not in versions:
            raise PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(requirements, "version", version)


def test_what_is_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, accelerate="1.15.0", deepspeed="0.19.8", ray="2.60.0")

    check(IN_PROCESS, SETTINGS)
    check(EIGHT, SETTINGS)
    check(Launcher(name="ray", processes=4, strategy="zero3"), SETTINGS)


def test_a_package_that_is_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, accelerate="0.34.2")

    with pytest.raises(ConfigError, match=r"accelerate 1.12.0 or newer, and 0.34.2 is installed"):
        check(EIGHT, SETTINGS)
    with pytest.raises(ConfigError, match=r"name = .ray. needs ray.*pip install 'ray\[train\]>="):
        check(Launcher(name="ray", processes=4), SETTINGS)
    installed(monkeypatch, accelerate="1.15.0")
    with pytest.raises(ConfigError, match=r"strategy = .zero3. needs deepspeed, which is not"):
        check(EIGHT.model_copy(update={"strategy": "zero3"}), SETTINGS)


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    with pytest.raises(ConfigError, match=r"processes = 8 were asked for.*machine shows 4"):
        check(EIGHT, SETTINGS)
    check(EIGHT.model_copy(update={"processes": 4}), SETTINGS)


def test_a_batch_that_does_not_divide() -> None:
    with pytest.raises(ConfigError, match="batch_size 16 cannot be divided among 6 processes"):
        check(EIGHT.model_copy(update={"processes": 6}), SETTINGS)
    odd = SETTINGS.model_copy(update={"batch_size": 24, "micro_batch_size": 2})
    with pytest.raises(ConfigError, match="takes 3 rows of batch_size 24, which is no multiple"):
        check(EIGHT, odd)
    with pytest.raises(ConfigError, match="batch_size 16 has no row for each; lower"):
        check(EIGHT.model_copy(update={"processes": 32, "strategy": "ddp"}), SETTINGS)
    check(EIGHT.model_copy(update={"processes": 32}), SETTINGS)  # for their memory
    assert SETTINGS.share(32) == (1, 1)
    assert SETTINGS.share(1) == (16, 2)
    assert SETTINGS.share(16) == (1, 1)  # a micro batch is never more than a share
    assert SFT(learning_rate=1e-5, batch_size=16).share(4) == (4, 4)


def test_a_launcher_that_cannot_be() -> None:
    with pytest.raises(ValidationError, match=r"in_process is one process.*processes = 2"):
        Launcher(processes=2)
    with pytest.raises(ValidationError, match=r"in_process is one process.*strategy = .fsdp2"):
        Launcher(strategy="fsdp2")
    with pytest.raises(ValidationError, match="divides nothing"):
        Launcher(name="accelerate", processes=2, offload=True)
