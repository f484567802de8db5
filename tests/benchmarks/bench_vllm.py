"""How fast the `vllm` engine is beside vLLM's own `LLM.generate` on the same rows.

    HARNESS_VLLM_PYTHON=.venv-vllm/bin/python python -m tests.benchmarks.bench_vllm [--prompts 256]

Both are open at once, with the same options, and are asked in turn, n samples a prompt at
temperature 0.7 and top-p 0.9 with a seed for every prompt, until the end token; each round has new
prompts. Neither start is timed. The engine's time holds all it does: chats are tokenized, rows go
to its process and back, and are decoded; that of `LLM.generate` begins with token ids. Prints one
JSON line with medians and every ratio of the two.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from harness.checkpoints import MICROWORLD, chat_ids
from harness.engines import vllm_environment, vllm_orders
from harness.engines.loaded_vllm import Known, environment
from harness.engines.vllm import VLLM
from harness.errors import ConfigError
from harness.microworld.items import draw
from harness.protocols import LoadedModel, Message, Request, Sampling, user
from harness.records import ModelRef

RAW = Path(__file__).with_name("raw_vllm.py")
MODEL = ModelRef(location=MICROWORLD)


class Raw:
    """`LLM.generate`, in a process of its own."""

    def __init__(self, python: str, known: Known) -> None:
        self._known = known
        self._process = subprocess.Popen(
            [python, "-P", str(RAW)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(None),
            text=True,
        )
        config = VLLM.Config()
        self._ask(vllm_orders.begin(known.location, None, known.dtype, known.context, config))

    def generate(self, texts: list[str], sampling: Sampling) -> tuple[int, float]:
        tokenizer = self._known.tokenizer
        said = self._ask(
            {
                "prompts": [chat_ids(tokenizer, (Message("user", text),), True) for text in texts],
                "seeds": list(range(len(texts))),
                "params": {
                    "n": sampling.n,
                    "temperature": sampling.temperature,
                    "top_p": sampling.top_p,
                    "max_tokens": sampling.max_tokens,
                    "stop_token_ids": sorted(self._known.ends),
                },
            }
        )
        return said["tokens"], said["seconds"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


def ours(model: LoadedModel, texts: list[str], sampling: Sampling) -> tuple[int, float]:
    start = time.perf_counter()
    asked = [Request(str(i), user(text), sampling) for i, text in enumerate(texts)]
    tokens = sum(len(completion.token_ids) for completion in model.generate(asked))
    return tokens, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    python = vllm_environment.interpreter()
    try:
        version = vllm_environment.check_version(python)
    except ConfigError as error:
        sys.exit(f"left out: {error}")
    rates: dict[str, list[float]] = {"raw": [], "engine": []}
    lengths: dict[str, float] = {}
    raw = Raw(python, Known.read(MODEL, VLLM.Config()))
    with VLLM(VLLM.Config()).open(MODEL) as model:
        for repeat in range(options.repeats + 1):
            rng = Random(repeat)
            texts = [draw(rng, held_out=True).prompt for _ in range(options.prompts)]
            sampling = Sampling(options.n, 0.7, 0.9, options.max_tokens, seed=repeat)
            for side in sorted(rates, reverse=bool(repeat % 2)):
                if side == "engine":
                    tokens, seconds = ours(model, texts, sampling)
                else:
                    tokens, seconds = raw.generate(texts, sampling)
                if repeat:  # the first round warms up
                    rates[side].append(tokens / seconds)
                    lengths[side] = round(tokens / options.prompts / options.n, 1)
    raw.close()
    ratios = [a / b for a, b in zip(rates["engine"], rates["raw"], strict=True)]
    medians = {f"{side}_tokens_per_s": round(statistics.median(r)) for side, r in rates.items()}
    print(
        json.dumps(
            {
                **medians,
                "ratio": round(statistics.median(ratios), 2),
                "ratios": [round(ratio, 2) for ratio in ratios],
                "mean_tokens": lengths,
                "vllm": version,
                "prompts": options.prompts,
                "n": options.n,
                "repeats": options.repeats,
                "threads": os.environ["OMP_NUM_THREADS"],
            }
        )
    )


if __name__ == "__main__":
    main()
