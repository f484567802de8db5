"""Build a small Llama from a configuration and texts, offline and from a fixed seed.

    python tests/real_data/make_small_llama.py \
        data/preferences/oasst2_eft_quality.jsonl data/preferences/oasst_eft_ranked.jsonl \
        --held-out data/preferences/oasst1_en_validation.jsonl \
        --steps 300 --out models/small-llama

The tokenizer is a byte-level BPE of the texts. With `--steps` the model is pretrained on them, so
that it writes words instead of noise; it stays far too small to follow a rubric, so the trial
shows what becomes of verdicts that cannot be read.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.data.datasets import held_out, texts

PAD, END, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{%- else -%}{{ '<|user|>' + message['content'] }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


def make_tokenizer(corpus: Sequence[str], vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def make_model(
    tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int, context: int
) -> LlamaForCausalLM:
    """Make a Llama with random weights: grouped-query attention, tied embeddings."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 64,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def batches(
    corpus: Sequence[str], tokenizer: PreTrainedTokenizerFast, rows: int, length: int, seed: int
) -> Iterator[torch.Tensor]:
    """Pack the texts, each with its end token, into (rows, length) blocks, over and over."""
    ids = [text.ids for text in tokenizer.backend_tokenizer.encode_batch(list(corpus))]
    order, rng = list(range(len(ids))), random.Random(seed)
    stream: list[int] = []
    while True:
        rng.shuffle(order)
        for index in order:
            stream += [*ids[index], tokenizer.eos_token_id]
            while len(stream) >= rows * length:
                yield torch.tensor(stream[: rows * length]).view(rows, length)
                del stream[: rows * length]


def pretrain(
    model: LlamaForCausalLM, blocks: Iterator[torch.Tensor], steps: int, rate: float = 2e-3
) -> dict[int, float]:
    """Train on plain text; return the loss at some twenty steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.1)
    losses = {}
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 50) * (1 - 0.9 * step / steps)
        block = next(blocks)
        loss = model(input_ids=block, labels=block).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % max(1, steps // 20) == 0 or step == steps - 1:
            losses[step] = round(loss.item(), 3)
            print(f"step {step}: loss {losses[step]}", flush=True)
    return losses


def main() -> None:
    """Read the command line, build, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", help="training data")
    parser.add_argument("--held-out", nargs="*", default=[], help="whose texts are left out")
    parser.add_argument("--out", type=Path, required=True, help="where the model is written")
    parser.add_argument("--steps", type=int, default=0, help="of pretraining; 0 leaves it random")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    is_held_out = held_out(given.held_out)
    corpus = [text for text in texts(given.sources) if not is_held_out(text)]
    tokenizer = make_tokenizer(corpus, given.vocabulary, given.context)
    model = make_model(tokenizer, given.hidden, given.layers, given.context)
    blocks = batches(corpus, tokenizer, rows=4, length=512, seed=given.seed)
    losses = pretrain(model, blocks, given.steps)
    model.save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)
    facts = {
        "parameters": model.num_parameters(),
        "vocabulary": len(tokenizer),
        "texts": len(corpus),
        "sources": [Path(source).name for source in given.sources],
        "held_out": [Path(source).name for source in given.held_out],
        "seed": given.seed,
        "losses": losses,
    }
    (given.out / "how_it_was_made.json").write_text(json.dumps(facts, indent=1))
    print(f"{given.out}: {facts['parameters']:,} parameters, {len(tokenizer)} tokens")


if __name__ == "__main__":
    main()
