"""A training on a Ray cluster, by Ray Train: `python -m training.on_ray FOLDER` starts it.

Ray places the processes, one a GPU, tells them of each other, and starts them again when a worker
or a node is lost; what each then does is `training.worker`'s, from the last checkpoint. The
cluster is the one that RAY_ADDRESS names or that runs on this machine, else one for this training
alone. Ray is imported here and nowhere else in this room.
"""

import os
import sys
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from harness.errors import ConfigError, HarnessError
from training.orders import Orders
from training.settings import Launcher
from training.worker import end_with_parent, work

_HANDED_ON = {"PYTHONPATH", "OMP_NUM_THREADS", "HF_HOME", "HF_HUB_OFFLINE", "HARNESS_DATA"}
"""What workers elsewhere are told of this environment; no secrets, because Ray shows them."""


def main() -> None:
    """Train in the folder that the command line names, and end with whoever gave the orders."""
    end_with_parent()
    orders = Orders(Path(sys.argv[1]))
    _, job, _ = orders.taken()
    handed_on = {
        name: value
        for name, value in os.environ.items()
        if name in _HANDED_ON or name.startswith("NCCL_")
    }
    ray.init(include_dashboard=False, log_to_driver=True, runtime_env={"env_vars": handed_on})
    try:
        gpu = _room(job.launcher)
        TorchTrainer(
            _loop,
            train_loop_config={"folder": str(orders.folder)},
            torch_config=TorchConfig(timeout_s=int(job.launcher.stalled_after)),
            scaling_config=ScalingConfig(num_workers=job.launcher.processes, use_gpu=gpu),
            run_config=RunConfig(
                name="ray",
                storage_path=str(orders.folder),
                failure_config=FailureConfig(max_failures=job.launcher.restarts),
            ),
        ).fit()
    except HarnessError as error:
        orders.note_failure(error)
        raise
    finally:
        ray.shutdown()


def _room(launcher: Launcher) -> bool:
    """Find out whether the cluster has a GPU for each process, or, without any, a CPU.

    Raises:
        ConfigError: it has not, and Ray would wait for them.
    """
    cluster: Any = ray
    there: dict[str, float] = cluster.cluster_resources()
    gpu = there.get("GPU", 0) > 0
    kind = "GPU" if gpu else "CPU"
    if there.get(kind, 0) < launcher.processes:
        raise ConfigError(
            f"launcher.processes = {launcher.processes} were asked for, one a {kind}, and the Ray "
            f"cluster has {there.get(kind, 0):g}; lower it, or add nodes"
        )
    return gpu


def _loop(config: dict[str, str]) -> None:
    work(Path(config["folder"]))


if __name__ == "__main__":
    main()
