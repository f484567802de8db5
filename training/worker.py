"""One process of a training that has several: `accelerate launch` and Ray start them.

    accelerate launch --num_processes 2 -m training.worker runs/a/stages/02-train/M1/launch

It does what a training in process does, by the same functions.
"""

import os
import signal
import stat
import sys
import threading
import time
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from harness.errors import HarnessError
from training.job import Job
from training.orders import Orders
from training.strategy import environment, zero3

_TIME_TO_END = 10.0
"""Seconds to end in good order."""


def main() -> None:
    """Work in the folder that the command line names."""
    end_with_parent()
    work(Path(sys.argv[1]))


def end_with_parent() -> None:
    """End when the process that the pipe of standard input comes from does, however it does."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)  # a Ray driver then takes its cluster with it
        time.sleep(_TIME_TO_END)
        os._exit(1)

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=wait, daemon=True).start()


def work(folder: Path) -> None:
    """Train, together with the other processes that work in this folder.

    Raises:
        HarnessError: after it was noted for the process that gave the orders.
    """
    orders = Orders(folder)
    if failure := orders.failure():
        raise failure  # Ray starts the processes again, whatever ended them
    kind, job, rows = orders.taken()
    os.environ.update(environment(job.launcher))
    gpu = torch.cuda.is_available()
    # Before a model is loaded: it asks whether there are others, and who divides it.
    PartialState(cpu=not gpu, timeout=timedelta(seconds=job.launcher.stalled_after))
    divides = _divided_by_deepspeed(job, gpu) if job.launcher.strategy == "zero3" else None
    train: Any = import_module(f"training.trl_{kind}").train
    try:
        trained = train(job, rows)
    except HarnessError as error:
        orders.note_failure(error)
        raise
    finally:
        del divides
    if PartialState().is_main_process:
        orders.note_trained(trained)


def _divided_by_deepspeed(job: Job, gpu: bool) -> object:
    """Have transformers divide models while they load, for as long as what is returned lives."""
    # By name: DeepSpeed is there only where it was asked for.
    deepspeed: Any = import_module("deepspeed")
    deepspeed.init_distributed(auto_mpi_discovery=False)
    config: Any = import_module("transformers.integrations.deepspeed").HfDeepSpeedConfig
    return config(zero3(job.launcher, job.settings, gpu))


if __name__ == "__main__":
    main()
