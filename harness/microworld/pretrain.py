"""Pretrains M0, the model that the embedded default starts from, on one CPU core.

The text of a step is a function of (seed, step), so nothing has to be stored, and a run that was
killed goes on from its last checkpoint with the same data. The learning rate warms up, stays, and
decays over the last quarter: until then the number of steps can still be changed (kill it, and call
it again with other steps).

    $ harness microworld pretrain --out m0
    step 50 of 8000  loss 6.346  16012 tokens/s
    ...
    m0/model
"""

import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.errors import DataError
from harness.microworld.corpus import documents
from harness.microworld.tokenizer import CONTEXT, train_tokenizer
from harness.rows import unwritable

BATCH, BLOCK = 64, 128
LEARNING_RATE, WARM_UP, DECAY = 3e-3, 200, 0.25
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where pretraining stands after a step; the loss is in nats per token."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float


def pretrain(
    out: Path,
    steps: int,
    seed: int = 0,
    *,
    threads: int | None = None,
    checkpoint_every: int = 200,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Trains M0 for `steps` steps of 8,192 tokens and returns the folder of the finished model.

    Args:
        out: Working folder. A checkpoint in it is continued.
        steps: Length of the whole schedule, also when continuing.
        seed: Seeds the initial weights and the corpus.
        threads: Threads of torch; by default torch chooses.
        checkpoint_every: Steps between checkpoints.
        on_step: Is told about every step.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    tokenizer = train_tokenizer(seed)
    model = new_model(tokenizer, seed)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    world = fingerprint(tokenizer, seed)
    first = _resume(out / CHECKPOINT, model, optimizer, world) + 1
    for step in range(first, steps + 1):
        began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = _loss(model, blocks(tokenizer, seed, step))
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        speed = BATCH * BLOCK / (time.perf_counter() - began)
        on_step(Progress(step, steps, loss.item(), speed))
        if step % checkpoint_every == 0 or step == steps:
            _checkpoint(out / CHECKPOINT, model, optimizer, world, step)
    return export(out, out / "model", seed)


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A Llama with one million parameters and random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]  # as in all of transformers
    # On a CPU, at this length, plain attention trains half as fast again as the fused kernel.
    model.set_attn_implementation("eager")
    return model


def blocks(tokenizer: PreTrainedTokenizerFast, seed: int, step: int) -> torch.Tensor:
    """The tokens of one step [batch, block]: documents in a row, each with an end token."""
    rng = Random(f"corpus-{seed}-{step}")
    wanted = BATCH * BLOCK
    ids: list[int] = []
    while len(ids) < wanted:
        texts = list(islice(documents(rng), 64))
        for encoding in tokenizer.backend_tokenizer.encode_batch(texts):
            ids += [*encoding.ids, tokenizer.eos_token_id]
    return torch.tensor(ids[:wanted]).view(BATCH, BLOCK)


def learning_rate(step: int, steps: int) -> float:
    """Warms up linearly, stays, and decays like one minus a square root over the last quarter."""
    decay_steps = max(1, round(steps * DECAY))
    done = max(0.0, (step - (steps - decay_steps)) / decay_steps)
    return LEARNING_RATE * min(1.0, step / WARM_UP) * (1 - math.sqrt(done))


def _loss(model: LlamaForCausalLM, tokens: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=tokens, use_cache=False).logits
    return functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]).float(), tokens[:, 1:].reshape(-1)
    )


# ---------------------------------------------------------------- on disk


def fingerprint(tokenizer: PreTrainedTokenizerFast, seed: int) -> str:
    """Changes when the corpus or the tokenizer of this seed does."""
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    for text in islice(documents(Random(f"corpus-{seed}-0")), 2000):
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def _checkpoint(
    path: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, world: str, step: int
) -> None:
    aside = path.with_suffix(".aside")
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "world": world,
        "step": step,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _resume(
    path: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, world: str
) -> int:
    """Loads the checkpoint, if there is one; returns the steps that are done."""
    if not path.exists():
        return 0
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["world"] != world:
        raise DataError(
            f"{path} belongs to another corpus, tokenizer or seed ({state['world']}; here it is "
            f"{world}): use another folder, or delete the file to begin anew"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    step: int = state["step"]
    return step


def export(out: Path, folder: Path, seed: int = 0) -> Path:
    """Writes the weights of the checkpoint in `out` to `folder`, as transformers reads them.

    They are stored in 16 bits; the configuration beside them says that they are used in 32.
    """
    tokenizer = train_tokenizer(seed)
    model = new_model(tokenizer, seed)
    state = torch.load(out / CHECKPOINT, weights_only=True)
    model.load_state_dict(state["model"])
    model.generation_config = GenerationConfig.from_dict(
        {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    )
    weights = {name: weight.half() for name, weight in model.state_dict().items()}
    del weights["lm_head.weight"]  # tied to the embedding
    model.save_pretrained(folder, state_dict=weights)
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(folder)
    return folder
