"""The tokenizer of the micro-world: a small byte-level BPE and the chat template.

Trained on the corpus with a fixed seed, so that the same generator gives the same 1,664 tokens:
enough that no word of the world is split. A chat is a user's turn, then the assistant's, with
nothing before it:

    <|user|>What sound does the dog make?<|assistant|>The dog barks.<|end|>
"""

from collections.abc import Iterator
from itertools import islice
from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from harness.microworld.answers import MIXED, verdict, write_answer
from harness.microworld.corpus import documents
from harness.microworld.examiner import examine
from harness.microworld.items import draw

PAD, END, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"
CONTEXT = 384
VOCABULARY = 1664

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ '<|user|>' + message['content'] }}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{%- else -%}"
    "{{ raise_exception('The micro-world has no ' + message['role'] + ' messages: '"
    " + 'use user and assistant.') }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


_REVIEW = "Review the answer with the five point scale. Question: {prompt} Answer: {answer}"


def train_tokenizer(seed: int = 0, texts: int = 40_000) -> PreTrainedTokenizerFast:
    """The tokenizer, from `texts` documents of the corpus and a tenth as many verdicts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(Random(f"tokenizer-{seed}"), texts), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # as in all of transformers
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def _texts(rng: Random, count: int) -> Iterator[str]:
    yield from islice(documents(rng), count)
    for _ in range(count // 10):
        item = draw(rng, held_out=False)
        answer = write_answer(item, MIXED.draw(rng), rng)
        yield _REVIEW.format(prompt=item.prompt, answer=answer)
        yield verdict(examine(item, answer))
