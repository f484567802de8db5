"""What it saves to read only once what all judge prompts begin with, in the `transformers` engine.

    python -m tests.benchmarks.bench_prefix [--prompts 48] [--rubric 350] [--repeats 3]

A random Llama (4 layers of 256) marks answers by a rubric of 350 tokens, as long as `five_points`
in Llama's; question and answer are 60 to 200 more. Both sides ask the same engine in the same
process, in turn: the one as it is, the other with nothing shared. Verdicts are one token each, or
three of up to 32 tokens. Prints one JSON line with the medians and, of greedy verdicts, whether
their tokens are the same and by how much their log-probabilities differ.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from unittest.mock import patch

import torch

from harness.engines import decoding
from harness.engines.loaded_transformers import LoadedTransformers
from harness.engines.transformers import Transformers
from harness.protocols import Completion, Request, Sampling
from harness.records import ModelRef
from tests.harness.engines import tiny

ONE_TOKEN = Sampling(temperature=0, max_tokens=1, top_logprobs=20, logprobs=True)
SAMPLED = Sampling(n=3, temperature=0.7, top_p=0.9, max_tokens=32)


def judge_prompts(count: int, rubric: int, vocabulary: int) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(0)

    def draw(tokens: int) -> tuple[int, ...]:
        return tuple(torch.randint(10, vocabulary, (tokens,), generator=generator).tolist())

    beginning = draw(rubric)
    lengths = torch.randint(60, 201, (count,), generator=generator).tolist()
    return [(*beginning, *draw(length)) for length in lengths]


def mark(
    model: LoadedTransformers, prompts: list[tuple[int, ...]], sampling: Sampling, share: bool
) -> tuple[float, dict[str, Completion]]:
    """Ask for verdicts; return the seconds that it took, and the first verdict of each prompt."""
    requests = [Request(str(i), prompt, sampling) for i, prompt in enumerate(prompts)]
    nothing = patch.object(decoding, "shared", lambda prompts, cache: ())
    start = time.perf_counter()
    if share:
        found = list(model.generate(requests))
    else:
        with nothing:
            found = list(model.generate(requests))
    return time.perf_counter() - start, {c.id: c for c in found if c.index == 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--rubric", type=int, default=350)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = tiny.llama(4096, context=640, hidden=256, layers=4, ffn=688)
        made.save_pretrained(folder)
        tiny.tokenizer().save_pretrained(folder)
        prompts = judge_prompts(options.prompts, options.rubric, 4096)
        config = Transformers.Config(device="cpu", dtype="float32")
        report: dict[str, object] = {}
        with Transformers(config).open(ModelRef(location=folder)) as model:
            for name, sampling in (("one_token", ONE_TOKEN), ("three_sampled", SAMPLED)):
                seconds: dict[bool, list[float]] = {True: [], False: []}
                for repeat in range(options.repeats + 1):
                    asked = replace(sampling, seed=repeat)
                    for share in seconds:
                        took, found = mark(model, prompts, asked, share)
                        if repeat:  # the first round warms up
                            seconds[share].append(took)
                        if name == "one_token":
                            report[f"shared={share}"] = found
                medians = {share: statistics.median(took) for share, took in seconds.items()}
                report[name] = {
                    "shared_s": round(medians[True], 2),
                    "not_shared_s": round(medians[False], 2),
                    "ratio": round(medians[False] / medians[True], 2),
                }
        one, other = report.pop("shared=True"), report.pop("shared=False")
        assert isinstance(one, dict) and isinstance(other, dict)
        report["same_greedy_tokens"] = all(one[i].token_ids == other[i].token_ids for i in one)
        report["largest_difference"] = max(
            abs(one[i].logprobs[0] - other[i].logprobs[0]) for i in one
        )
        print(json.dumps({**report, **vars(options), "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
