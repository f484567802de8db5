"""A training on a Ray cluster, by Ray Train: `python -m training.on_ray FOLDER` starts it.

Ray places the processes, one a GPU, tells them of each other, and starts them again when a worker
or a node is lost; what each then does is `training.worker`'s, from the last checkpoint. The
cluster is the one that RAY_ADDRESS names or that runs on this machine, else one for this training
alone. Ray is imported here and nowhere else in this room.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from harness.errors import HarnessError
from harness.machine import Threads, choose_threads, handed_on, use_threads
from training.orders import Orders
from training.requirements import room
from training.strategy import backend
from training.worker import end_with_parent, work


def main() -> None:
    """Train in the folder that the command line names, and end with whoever gave the orders."""
    if sys.argv[1] == "--room":
        _tell_room()
        return
    end_with_parent()
    orders = Orders(Path(sys.argv[1]))
    _, job, _ = orders.taken()
    ray.init(include_dashboard=False, log_to_driver=True, runtime_env={"env_vars": handed_on()})
    try:
        cluster: Any = ray
        gpu = room(cluster.cluster_resources(), job.launcher.processes)
        TorchTrainer(
            _loop,
            train_loop_config={
                "folder": str(orders.folder),
                "node": ray.get_runtime_context().get_node_id(),
                "threads": choose_threads().count,
            },
            torch_config=TorchConfig(
                backend=backend(job.launcher, gpu), timeout_s=int(job.launcher.stalled_after)
            ),
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


def _tell_room() -> None:
    """Print what the cluster has, for `training.requirements`."""
    ray.init(include_dashboard=False, log_to_driver=False)
    cluster: Any = ray
    print(json.dumps(cluster.cluster_resources()))


def _loop(config: dict[str, Any]) -> None:
    threads = _share(config["node"], config["threads"])
    use_threads(threads)
    torch.set_num_threads(threads.count)  # torch was there before the choice
    work(Path(config["folder"]))


def _share(node: str, threads: int) -> Threads:
    """Divide a machine's threads among the processes that Ray has placed on it.

    Left to itself Ray gives each process one, which offloaded weights would wait for.

    Args:
        node: Where the training was started.
        threads: What was chosen there; elsewhere, all cores are taken.
    """
    here: str = ray.get_runtime_context().get_node_id()
    count = threads if here == node else len(os.sched_getaffinity(0))
    beside = int(os.environ["LOCAL_WORLD_SIZE"])  # as Ray Train says it
    return Threads(max(1, count // beside), f"{count} for {beside} processes")


if __name__ == "__main__":
    main()
