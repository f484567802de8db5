"""How long a training step takes, against a plain PyTorch loop on the same batches.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_training.py

Every step of the trainer is followed by the plain loop's step on the same rows, so both meet the
same machine, however busy. The plain loop pads, scores the target tokens only, clips, and steps
AdamW: nothing else. What is aimed at: SFT 1.3 times, DPO 1.5 times, at most.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from torch.nn import functional
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, TokenizersBackend

from harness.records import ModelRef
from training import trl_loop
from training.batches import order
from training.dpo import DPO, PreferencePair, prefer
from training.sft import SFT, Example, fine_tune
from training.trl_loop import Watch

VOCABULARY = 1536
LIMITS = {"SFT": 1.3, "DPO": 1.5}


def build_model(folder: Path) -> ModelRef:
    """Write a randomly initialised Llama of 0.9M parameters, and a tokenizer."""
    torch.manual_seed(0)
    words = {"<pad>": 0, "<end>": 1, **{f"w{i}": i for i in range(2, VOCABULARY)}}
    TokenizersBackend(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")),
        pad_token="<pad>",
        eos_token="<end>",
    ).save_pretrained(folder)
    LlamaForCausalLM(
        LlamaConfig(
            hidden_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=344,
            vocab_size=VOCABULARY,
            max_position_embeddings=384,
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
        )
    ).save_pretrained(folder)
    return ModelRef(location=str(folder))


def padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Pad on the right: (rows, longest)."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def target_logprobs(
    model: Any, prompts: Any, completions: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the completion tokens, and which positions they are at."""
    rows = [(*p, *c) for p, c in zip(prompts, completions, strict=True)]
    labels = [(*[-100] * len(p), *c) for p, c in zip(prompts, completions, strict=True)]
    targets = padded(labels, -100)[:, 1:]
    hidden = model.model(
        input_ids=padded(rows, 0),
        attention_mask=padded([[1] * len(row) for row in rows], 0),
        use_cache=False,
    ).last_hidden_state[:, :-1]
    mask = targets != -100
    logprobs = -functional.cross_entropy(
        model.lm_head(hidden[mask]), targets[mask], reduction="none"
    )
    return logprobs, mask


class Plain:
    """The loop to compare with."""

    def __init__(self, start: ModelRef, rate: float, loss: Callable[[Any, list[Any]], Any]) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(start.location, dtype=torch.float32)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=0.0)
        self.loss = loss

    def step(self, rows: list[Any]) -> None:
        """Update once."""
        self.loss(self.model, rows).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def sft_loss(model: Any, rows: list[Example]) -> torch.Tensor:
    """Mean negative log-likelihood of the targets."""
    logprobs, _ = target_logprobs(
        model, [row.prompt_ids for row in rows], [row.completion_ids for row in rows]
    )
    return -logprobs.mean()


def dpo_loss(model: Any, rows: list[PreferencePair]) -> torch.Tensor:
    """DPO with all reference log-probabilities 0: they cost a lookup."""
    logprobs, mask = target_logprobs(
        model,
        [row.prompt_ids for row in rows] * 2,
        [row.chosen_ids for row in rows] + [row.rejected_ids for row in rows],
    )
    sums = torch.zeros(mask.shape).masked_scatter(mask, logprobs).sum(dim=1)
    chosen, rejected = sums.chunk(2)
    return -functional.logsigmoid(0.1 * (chosen - rejected)).mean()


def interleaved(plain: Plain, batches: list[list[Any]]) -> tuple[type[Watch], list[list[float]]]:
    """A callback that does a plain step after each of the trainer's, and both step times."""
    times: list[list[float]] = [[], []]
    left = iter(batches)

    class Timed(Watch):
        began = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            super().on_step_end(*args, **kwargs)
            done = time.perf_counter()
            plain.step(next(left))
            times[0].append(done - self.began)
            self.began = time.perf_counter()
            times[1].append(self.began - done)

    return Timed, times


def main() -> None:
    """Measure both trainings and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    epochs = parser.parse_args().epochs
    draw = random.Random(0)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randrange(2, VOCABULARY) for _ in range(draw.randint(low, high)))

    examples = [Example(ids(15, 50), (*ids(9, 19), 1)) for _ in range(640)]
    pairs = [
        PreferencePair(ids(18, 22), (*ids(9, 14), 1), (*ids(9, 14), 1)) for _ in range(16 * 20)
    ]
    with tempfile.TemporaryDirectory() as folder:
        m0 = build_model(Path(folder) / "m0")

        def arranged(rows: list[Any], lengths: list[int], size: int) -> list[list[Any]]:
            places = [order(lengths, size, 0, epoch) for epoch in range(epochs)]
            return [
                [rows[i] for i in some[first : first + size]]
                for some in places
                for first in range(0, len(some), size)
            ]

        lengths = [len(e.prompt_ids) + len(e.completion_ids) for e in examples]
        watch, sft_times = interleaved(Plain(m0, 1e-3, sft_loss), arranged(examples, lengths, 32))
        trl_loop.Watch = watch
        sft = fine_tune(
            m0,
            examples,
            SFT(learning_rate=1e-3, schedule="constant", batch_size=32, epochs=epochs),
            Path(folder) / "sft",
            "M1",
            seed=0,
        )
        lengths = [len(p.prompt_ids) + max(len(p.chosen_ids), len(p.rejected_ids)) for p in pairs]
        watch, dpo_times = interleaved(Plain(m0, 6e-5, dpo_loss), arranged(pairs, lengths, 16))
        trl_loop.Watch = watch
        dpo = prefer(
            m0,
            pairs,
            DPO(learning_rate=6e-5, schedule="constant", batch_size=16, epochs=epochs),
            Path(folder) / "dpo",
            "M2",
            seed=0,
        )
    for name, (ours, theirs), trained in (("SFT", sft_times, sft), ("DPO", dpo_times, dpo)):
        # The first steps allocate memory and choose kernels, in both loops.
        step, plain = statistics.median(ours[5:]), statistics.median(theirs[5:])
        print(
            f"{name}: {1000 * step:.1f} ms a step, plain loop {1000 * plain:.1f} ms: "
            f"{step / plain:.2f} times (limit {LIMITS[name]}), {len(ours)} steps; "
            f"start-up {trained.metrics['startup_seconds']:.2f} s, "
            f"reference pass {trained.metrics.get('reference_seconds', 0.0):.2f} s"
        )


if __name__ == "__main__":
    main()
