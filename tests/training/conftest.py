import random

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, TokenizersBackend

from harness.checkpoints import identified
from harness.records import ModelRef
from training.dpo import PreferencePair
from training.sft import Example

VOCABULARY = 64


@pytest.fixture(scope="session")
def m0(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    """A random Llama of two layers with a tokenizer that knows the words w3 to w63."""
    folder = tmp_path_factory.mktemp("m0")
    torch.manual_seed(0)
    words = {"<pad>": 0, "<end>": 1, "<begin>": 2, **{f"w{i}": i for i in range(3, VOCABULARY)}}
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = TokenizersBackend(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<end>", bos_token="<begin>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            vocab_size=VOCABULARY,
            max_position_embeddings=48,
            tie_word_embeddings=True,
            initializer_range=0.2,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
        )
    )
    model.generation_config.do_sample = True
    model.generation_config.temperature = 0.6
    model.save_pretrained(folder)
    return identified(ModelRef(location=str(folder)))


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    """Answers that count on from the prompt's last word: something that can be learnt."""
    draw = random.Random(0)
    rows = []
    for _ in range(24):
        prompt = tuple(draw.randrange(3, 60) for _ in range(draw.randint(2, 9)))
        rows.append(Example((2, *prompt), (*range(prompt[-1], prompt[-1] + 3), 1)))
    return rows


@pytest.fixture(scope="session")
def pairs() -> list[PreferencePair]:
    """The chosen answer ends in w5, the rejected one in w9, at various lengths."""
    draw = random.Random(1)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randrange(10, VOCABULARY) for _ in range(draw.randint(low, high)))

    return [
        PreferencePair((2, *ids(2, 6)), (*ids(1, 5), 5, 1), (*ids(1, 5), 9, 1)) for _ in range(14)
    ]
