"""What a run is planned for: this machine, or GPUs that somebody thinks of renting.

Fleet.of(None, None)       what the engines' `auto` finds here
Fleet.of("H100", 64)       64 of them, served on by all, trained on by as many as divide a batch
"""

from dataclasses import dataclass, replace

from harness.engines.vllm_environment import check_heads
from harness.errors import ConfigError
from harness.planned import Lesson
from harness.planning.hardware import Device, gpu, here, this_memory
from harness.planning.memory import training_need
from harness.planning.serving import Serving, serving, spread
from harness.planning.shapes import Shape
from harness.plugins import Built
from harness.protocols import Engine


@dataclass(frozen=True)
class Fleet:
    """Hardware, and whether it is this machine's own."""

    device: Device
    gpus: int = 1
    supposed: bool = False
    """Whether engine and launcher are supposed to be spread over all of it."""
    tensor_parallel: int | None = None
    dollars: float | None = None
    """A GPU and hour."""
    machine_memory: int | None = None
    """Bytes of each machine's own memory, where somebody says."""
    as_asked: bool = False
    """Whether there are as many GPUs as the request asks for, however many that is."""
    here: bool = False
    """Whether it is this machine."""

    @classmethod
    def of(
        cls,
        name: str | None = None,
        gpus: int | None = None,
        tensor_parallel: int | None = None,
        dollars: float | None = None,
        memory: int | None = None,
    ) -> "Fleet":
        """Find the hardware by name, or take what is here.

        Raises:
            ConfigError: such a GPU is not known, there is none here, or there are too few for a
                replica.
        """
        if (tensor_parallel or 1) > (gpus or 1):
            raise ConfigError(
                f"--tensor-parallel {tensor_parallel} puts a replica on so many GPUs, and the plan "
                f"is for {gpus or 1}: give --gpus {tensor_parallel} or more, or a smaller one"
            )
        if name is not None:
            spread_out = (gpus or 1) > 1
            device = gpu(name)
            return cls(
                device, gpus or 1, spread_out, tensor_parallel, dollars, memory, gpus is None
            )
        device, there = here()
        if device.cpu and (gpus, dollars, memory) != (None, None, None):
            raise ConfigError(
                "--gpus, --usd-per-gpu-hour and --machine-memory are about machines with GPUs, and "
                "this one has none that can be used: name the ones you mean with --gpu"
            )
        spread_out = (gpus or 1) > 1
        return cls(device, gpus or there, spread_out, tensor_parallel, dollars, memory, here=True)

    @property
    def host_memory(self) -> int | None:
        """Bytes of each machine's own memory; None where nobody knows."""
        return self.machine_memory or (this_memory() if self.here else None)

    def known_as(self, gpus: int) -> str:
        """So many of it, in words."""
        count = "" if self.device.cpu else f"{gpus:,} x "
        return f"{count}{self.device.name} ({self.device.source})"

    def serve(self, engine: Built[Engine], shape: Shape, dtype: str) -> Serving:
        """Say how an engine serves a model here.

        Raises:
            ConfigError: so many GPUs a replica do not divide the model's heads.
        """
        name = str(engine.options["name"])
        found = serving(name, engine.options, self.device, dtype, self.gpus)
        if self.supposed and not self.device.cpu:
            asked = found.tensor_parallel if found.tensor_parallel > 1 else None
            together = self.tensor_parallel or asked
            over = spread(shape, self.device, self.gpus, found.dtype, together)
            each, replicas = over.tensor_parallel, over.replicas
            # The vllm engine's other options hold on any number of GPUs.
            kept = found if found.engine == "vllm" else over
            found = replace(kept, tensor_parallel=each, replicas=replicas)
        heads = {"num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads}
        check_heads(heads, found.tensor_parallel)
        return found

    def launch(self, lesson: Lesson, shape: Shape) -> Lesson:
        """Say on how many processes a training runs here: as asked for, or on all that divide it.

        Every process needs a row of each update, so that a small batch leaves GPUs idle.
        """
        if not self.supposed or self.device.cpu or lesson.processes > 1:
            return lesson
        processes = max(
            count for count in range(1, self.gpus + 1) if lesson.batch_size % count == 0
        )
        micro = min(lesson.micro_batch_size, lesson.batch_size // processes)
        alone = replace(lesson, processes=processes, micro_batch_size=micro)
        whole = training_need(shape, alone, self.device, "").fits is not False
        return alone if whole else replace(alone, strategy="fsdp2")
