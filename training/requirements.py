"""What a launcher needs, found out before anything runs."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

from harness.errors import ConfigError
from training.settings import Launcher, Settings

_OLDEST = {"accelerate": "1.12.0", "deepspeed": "0.18.6", "ray": "2.60.0"}
"""FSDP2 as it is asked for here; ZeRO-3 under transformers 5; Ray Train's second version."""


def check(launcher: Launcher, *settings: Settings) -> None:
    """Find out whether trainings can be launched so, here.

    Args:
        launcher: What is asked for.
        settings: Of the trainings; each batch must divide among the processes.

    Raises:
        ConfigError: a package is missing or too old, there are fewer GPUs than processes, or a
            batch does not divide.
    """
    for one in settings:
        one.share(launcher.processes)
        if launcher.strategy == "ddp" and launcher.processes > one.batch_size:
            raise ConfigError(
                f"launcher.processes = {launcher.processes} were asked for, and batch_size "
                f"{one.batch_size} has no row for each; lower processes, or set strategy = "
                '"fsdp2" if they are there for their memory'
            )
    if launcher.name != "in_process":
        _installed(launcher.name, f'launcher.name = "{launcher.name}"')
    if launcher.strategy == "zero3":
        _installed("deepspeed", 'launcher.strategy = "zero3"')
    if launcher.name == "accelerate":
        gpus: int = import_module("torch").cuda.device_count()
        if 0 < gpus < launcher.processes:
            raise ConfigError(
                f"launcher.processes = {launcher.processes} were asked for, one a GPU, and this "
                f"machine shows {gpus}; lower it, or spread it over nodes with "
                'launcher.name = "ray"'
            )


def _installed(package: str, wanted_by: str) -> None:
    oldest = _OLDEST[package]
    try:
        found = version(package)
    except PackageNotFoundError:
        raise ConfigError(
            f"{wanted_by} needs {package}, which is not installed; "
            f"pip install '{_EXTRAS.get(package, package)}>={oldest}'"
        ) from None
    if Version(found) < Version(oldest):
        raise ConfigError(
            f"{wanted_by} needs {package} {oldest} or newer, and {found} is installed; "
            f"pip install --upgrade '{_EXTRAS.get(package, package)}'"
        )


_EXTRAS = {"ray": "ray[train]"}
