"""Two processes against one: how long a step takes, and how far apart what they learn is.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_launchers.py

Each training is done in process and by two processes that talk by gloo, on the same rows, one
after the other, and again. What is aimed at: losses within 1e-5, weights within 1e-4. A second
process pays off where there is a second idle core: on a busy machine it waits for its turn.
"""

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from harness.records import ModelRef
from tests.benchmarks.bench_training import VOCABULARY, build_model
from training.dpo import DPO, PreferencePair, prefer
from training.job import Trained
from training.settings import IN_PROCESS, Launcher
from training.sft import SFT, Example, fine_tune


def apart(one: Trained, other: Trained) -> tuple[float, float]:
    """Find the largest differences of loss and of weight."""
    losses = zip(one.metrics["losses"], other.metrics["losses"], strict=True)  # type: ignore[arg-type]
    mine, theirs = (
        load_file(Path(trained.model.location) / "model.safetensors") for trained in (one, other)
    )
    return (
        max(abs(a[1] - b[1]) for a, b in losses),
        max(float((mine[name] - theirs[name]).abs().max()) for name in mine),
    )


def main() -> None:
    """Measure both trainings and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategy", default="ddp", choices=["ddp", "fsdp2", "zero3"])
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    draw = random.Random(0)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randrange(2, VOCABULARY) for _ in range(draw.randint(low, high)))

    examples = [Example(ids(15, 50), (*ids(9, 19), 1)) for _ in range(640)]
    pairs = [PreferencePair(ids(18, 22), (*ids(9, 14), 1), (*ids(9, 14), 1)) for _ in range(320)]
    sft = SFT(learning_rate=1e-3, schedule="constant", batch_size=32)
    dpo = DPO(learning_rate=6e-5, schedule="constant", batch_size=16)
    two = Launcher(name="accelerate", processes=2, strategy=asked.strategy)
    with tempfile.TemporaryDirectory() as folder:
        m0 = build_model(Path(folder) / "m0")
        trainings: dict[str, Callable[[Path, Launcher], Trained]] = {
            "SFT": lambda place, launcher: tuned(m0, examples, sft, place, launcher),
            "DPO": lambda place, launcher: preferring(m0, pairs, dpo, place, launcher),
        }
        for name, train in trainings.items():
            alone, both = [], []
            for turn in range(asked.repeats):
                alone.append(train(Path(folder) / f"{name}-1-{turn}", IN_PROCESS))
                both.append(train(Path(folder) / f"{name}-2-{turn}", two))
            seconds: list[Any] = [
                min(trained.metrics["step_seconds"] for trained in some)  # type: ignore[type-var]
                for some in (alone, both)
            ]
            loss, weight = apart(alone[0], both[0])
            print(
                f"{name}, {asked.strategy}: {1000 * seconds[0]:.1f} ms a step alone, "
                f"{1000 * seconds[1]:.1f} ms by two: {seconds[0] / seconds[1]:.2f} times as fast; "
                f"apart by {loss:.1e} in the loss, {weight:.1e} in a weight, "
                f"after {both[0].metrics['steps']} steps"
            )


def tuned(
    m0: ModelRef, examples: list[Example], sft: SFT, folder: Path, launcher: Launcher
) -> Trained:
    """Fine-tune."""
    return fine_tune(m0, examples, sft, folder, "M1", seed=0, launcher=launcher)


def preferring(
    m0: ModelRef, pairs: list[PreferencePair], dpo: DPO, folder: Path, launcher: Launcher
) -> Trained:
    """Learn from pairs."""
    return prefer(m0, pairs, dpo, folder, "M2", seed=0, launcher=launcher)


if __name__ == "__main__":
    main()
