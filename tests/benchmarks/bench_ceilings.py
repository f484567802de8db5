"""How much of a machine the engine and the trainings reach: tokens/s beside measured ceilings.

    python -m tests.benchmarks.bench_ceilings [--model FOLDER] [--rows 256]

On CUDA where there is one, else on the CPU. Ceilings are measured in the same process: a large
matrix product (bfloat16 on a GPU, float32 on a CPU), and a large copy. The shares are what the
efficiencies in `harness/planning/serving.py` and `speed.py` refer to. Memory is looked at again
after everything is closed.
"""

import argparse
import gc
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch

from harness.engines.transformers import Transformers
from harness.planning.shapes import BYTES, shape_of
from harness.protocols import LoadedModel, Request, Sampling
from harness.records import ModelRef
from training.dpo import DPO, PreferencePair, prefer
from training.sft import SFT, Example, fine_tune

PROMPT, NEW = 64, 64
UPDATES = (2, 8)


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of a few times: what else the machine does only adds."""
    found = []
    for _ in range(repeats + 1):
        synchronize()
        began = time.perf_counter()
        work()
        synchronize()
        found.append(time.perf_counter() - began)
    return min(found[1:])


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ceilings(device: str) -> tuple[float, float]:
    """Operations and bytes a second at most."""
    side, size = (8192, 1 << 30) if device == "cuda" else (1024, 1 << 26)
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    square = torch.ones(side, side, dtype=kind, device=device)
    block = torch.ones(size // 4, device=device)
    other = torch.empty_like(block)
    flops = 2 * side**3 / seconds(lambda: square @ square, 5)
    return flops, 2 * size / seconds(lambda: other.copy_(block), 5)


def memory(device: str) -> int:
    """Bytes held now: on a GPU by tensors and by torch's own store, else by the whole process."""
    if device == "cuda":
        return torch.cuda.memory_reserved()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def requests(rows: int, vocabulary: int, new: int) -> list[Request]:
    rng = Random(0)
    sampling = Sampling(max_tokens=new, temperature=1.0)
    return [
        Request(str(k), tuple(rng.randrange(10, vocabulary) for _ in range(PROMPT)), sampling)
        for k in range(rows)
    ]


def asked(model: LoadedModel, rows: list[Request]) -> tuple[float, int]:
    """Seconds and new tokens of one call."""
    tokens = 0

    def work() -> None:
        nonlocal tokens
        tokens = sum(len(done.token_ids) for done in model.generate(rows))

    return seconds(work), tokens


def step(train: Callable[[int, Path], float], folder: Path) -> float:
    """Seconds of an update: what a longer training takes longer."""
    few, more = (train(updates, folder / str(updates)) for updates in UPDATES)
    return (more - few) / (UPDATES[1] - UPDATES[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="microworld")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    flops, bandwidth = ceilings(device)
    ref = ModelRef(location=options.model)
    shape = shape_of(ref)
    dtype = "float32" if device == "cpu" else shape.dtype
    weights = 2 * shape.multiplied
    gc.collect()
    before = memory(device)
    with Transformers(Transformers.Config(device=device)).open(ref) as model:
        opened = memory(device)
        read, _ = asked(model, requests(options.rows, shape.vocabulary, 1))
        both, tokens = asked(model, requests(options.rows, shape.vocabulary, NEW))
        alone, single = asked(model, requests(1, shape.vocabulary, NEW))
    gc.collect()
    closed = memory(device)
    prompts = options.rows * PROMPT
    decode = tokens - options.rows
    moved = shape.weights(dtype) * single + (PROMPT + single / 2) * single * shape.kv_bytes(dtype)
    rng = Random(1)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(10, shape.vocabulary) for _ in range(count))

    rows = [Example(ids(PROMPT), ids(NEW)) for _ in range(options.batch * UPDATES[1])]
    pairs = [PreferencePair(r.prompt_ids, r.completion_ids, ids(NEW)) for r in rows]

    def sft(updates: int, folder: Path) -> float:
        settings = SFT(learning_rate=1e-5, batch_size=options.batch, max_steps=updates)
        made = fine_tune(ref, rows, settings, folder / "sft", "M1", seed=0)
        return float(str(made.metrics["seconds"]))

    def dpo(updates: int, folder: Path) -> float:
        settings = DPO(learning_rate=1e-6, batch_size=options.batch, max_steps=updates)
        made = prefer(ref, pairs, settings, folder / "dpo", "M2", seed=0)
        return float(str(made.metrics["seconds"]))

    with tempfile.TemporaryDirectory() as folder:
        tuned, preferred = step(sft, Path(folder) / "sft"), step(dpo, Path(folder) / "dpo")
    seen = options.batch * (PROMPT + NEW)
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
                "threads": torch.get_num_threads(),
                "model": options.model,
                "parameters": shape.parameters,
                "dtype": f"{dtype}, {BYTES[dtype]} bytes",
                "ceiling_gflops": round(flops / 1e9, 1),
                "ceiling_gbytes_per_s": round(bandwidth / 1e9, 1),
                "prefill_tokens_per_s": round(prompts / read),
                "prefill_share_of_flops": round(weights * prompts / read / flops, 3),
                "decode_tokens_per_s": round(decode / max(both - read, 1e-9)),
                "decode_share_of_flops": round(
                    weights * decode / max(both - read, 1e-9) / flops, 3
                ),
                "one_row_tokens_per_s": round(single / alone, 1),
                "one_row_share_of_bandwidth": round(moved / alone / bandwidth, 3),
                "one_row_ms_per_layer_and_token": round(1e3 * alone / single / shape.layers, 3),
                "sft_tokens_per_s": round(seen / tuned),
                "sft_share_of_flops": round(3 * weights * seen / tuned / flops, 3),
                "dpo_tokens_per_s": round(2 * seen / preferred),
                "dpo_share_of_flops": round(3 * weights * 2 * seen / preferred / flops, 3),
                "memory_mb": {
                    "before": round(before / 1e6),
                    "open": round(opened / 1e6),
                    "closed": round(closed / 1e6),
                },
            }
        )
    )


if __name__ == "__main__":
    main()
