"""How much faster the `transformers` engine generates than plain `model.generate`.

    python -m tests.benchmarks.bench_generate [--model microworld] [--prompts 128] [--repeats 5]

Both sides answer the same prompts in the same process, in turn, n samples each at temperature 0.7
and top-p 0.9, until the end token. The plain side is what one writes first: prompts sorted by
length, padded on the left, `generate(num_return_sequences=n)`, `top_k=0`, in batches of the same
number of rows. Prints one JSON line with medians; tokens count up to the end token.

By default it measures a random Llama of the micro-world's size whose next-token distributions are
about as peaked as a trained one's, on prompts of 15 to 60 tokens; with `--model microworld` the
shipped M0 on held-out questions.
"""

import argparse
import json
import statistics
import tempfile
import time
from random import Random

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from harness.checkpoints import MICROWORLD, chat_ids, locate
from harness.engines.loaded_transformers import LoadedTransformers
from harness.engines.transformers import Transformers
from harness.microworld.items import draw
from harness.protocols import Message, Prompt, Request, Sampling
from harness.records import ModelRef
from tests.harness.engines import tiny

BATCH_ROWS = 256


def random_model(folder: str) -> str:
    """A Llama of the micro-world's size that ends an answer after about fifteen tokens."""
    tokenizer = tiny.tokenizer()
    model = tiny.llama(1536, context=384, hidden=128, layers=4, ffn=344)
    # A random model says every token about equally often, so this many end tokens end it in time.
    ends = torch.randperm(1536, generator=torch.Generator().manual_seed(0))[: 1536 // 15]
    assert model.generation_config is not None
    model.generation_config.eos_token_id = ends.tolist()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def microworld_prompts(count: int, tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, ...]]:
    rng = Random(0)
    asked = [draw(rng, held_out=True).prompt for _ in range(count)]
    return [tuple(chat_ids(tokenizer, (Message("user", text),), True)) for text in asked]


def random_prompts(count: int, vocabulary: int) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(15, 61, (count,), generator=generator).tolist()
    return [
        tuple(torch.randint(10, vocabulary, (length,), generator=generator).tolist())
        for length in lengths
    ]


@torch.inference_mode()
def plain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[tuple[int, ...]],
    sampling: Sampling,
) -> int:
    """Generate with the library's own loop; return how many tokens came."""
    ordered = sorted(prompts, key=len)
    size = BATCH_ROWS // sampling.n
    tokens = 0
    for start in range(0, len(ordered), size):
        batch = tokenizer.pad(
            {"input_ids": [list(ids) for ids in ordered[start : start + size]]},
            padding_side="left",
            return_tensors="pt",
        )
        output = model.generate(
            **batch,
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            num_return_sequences=sampling.n,
            max_new_tokens=sampling.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
        new = output[:, batch["input_ids"].shape[1] :]
        tokens += int((new != tokenizer.pad_token_id).sum())
    return tokens


def ours(model: LoadedTransformers, prompts: list[tuple[int, ...]], sampling: Sampling) -> int:
    """Generate with the engine; return how many tokens came."""
    asked: list[Prompt] = list(prompts)
    requests = [Request(str(i), prompt, sampling) for i, prompt in enumerate(asked)]
    return sum(len(completion.token_ids) for completion in model.generate(requests))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[MICROWORLD, "random"], default="random")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shipped = options.model == MICROWORLD
        location = locate(ModelRef(location=MICROWORLD if shipped else random_model(folder)))
        tokenizer = AutoTokenizer.from_pretrained(location)
        reference = AutoModelForCausalLM.from_pretrained(location, dtype="float32").eval()
        if shipped:
            prompts = microworld_prompts(options.prompts, tokenizer)
        else:
            prompts = random_prompts(options.prompts, reference.config.vocab_size)
        rates: dict[str, list[float]] = {"generate": [], "engine": []}
        lengths: dict[str, float] = {}
        config = Transformers.Config(device="cpu", dtype="float32", batch_rows=BATCH_ROWS)
        with Transformers(config).open(ModelRef(location=location)) as model:
            for repeat in range(options.repeats + 1):
                torch.manual_seed(repeat)
                sampling = Sampling(options.n, 0.7, 0.9, options.max_tokens, seed=repeat)
                for side in rates:
                    start = time.perf_counter()
                    if side == "engine":
                        tokens = ours(model, prompts, sampling)
                    else:
                        tokens = plain(reference, tokenizer, prompts, sampling)
                    if repeat:  # the first round warms up
                        rates[side].append(tokens / (time.perf_counter() - start))
                        lengths[side] = round(tokens / options.prompts / options.n, 1)
    ratios = [a / b for a, b in zip(rates["engine"], rates["generate"], strict=True)]
    medians = {f"{side}_tokens_per_s": round(statistics.median(r)) for side, r in rates.items()}
    print(
        json.dumps(
            {
                **medians,
                "ratio": round(statistics.median(ratios), 2),
                "ratios": [round(ratio, 2) for ratio in ratios],
                "mean_tokens": lengths,
                "model": options.model,
                "prompts": options.prompts,
                "n": options.n,
                "repeats": options.repeats,
                "threads": torch.get_num_threads(),
            }
        )
    )


if __name__ == "__main__":
    main()
