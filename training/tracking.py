"""Trackers that follow a training, step by step, through the trainer's own `report_to`.

    report_to = ["tensorboard"]    <run>/stages/02-train/M2/tensorboard/events.out.tfevents...
    tensorboard --logdir runs/a    shows all trainings of a run

Each training is called `<run>/<model>` there. Nothing leaves the machine unless a request names a
tracker that sends. Nothing here imports a tracker that is not asked for.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from harness.errors import ConfigError

_FOLDERS = {"tensorboard": "TENSORBOARD_LOGGING_DIR", "wandb": "WANDB_DIR"}
"""By tracker, what says where its files go; trackio keeps those of all runs in one place."""


def check(trackers: Sequence[str]) -> None:
    """Find out whether the trackers can be had.

    Raises:
        ConfigError: one is not installed.
    """
    missing = [name for name in dict.fromkeys(trackers) if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"report_to names {', '.join(missing)}, which is not installed; "
            f"pip install {' '.join(missing)}, or take it out of report_to"
        )


@contextmanager
def followed(trackers: Sequence[str], folder: Path) -> Iterator[None]:
    """Have the trackers keep their files in a folder, and end what they began there.

    A place that the environment names already goes before.
    """
    ours = {
        variable: str(folder / name)
        for name, variable in _FOLDERS.items()
        if name in trackers and variable not in os.environ
    }
    for place in ours.values():
        Path(place).mkdir(parents=True, exist_ok=True)  # wandb would take another one
    os.environ.update(ours)
    try:
        yield
    finally:
        if "wandb" in trackers:
            import_module("wandb").finish()  # or the next training would go on with its curves
        for variable in ours:
            del os.environ[variable]
