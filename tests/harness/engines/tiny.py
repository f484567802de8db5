"""A character tokenizer and small random models, built without a download."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BOS, END, USER, ASSISTANT = "<pad>", "<s>", "</s>", "<user>", "<assistant>"
SPECIALS = [PAD, BOS, END, USER, ASSISTANT]

TEMPLATE = (
    "{{ '<s>' }}{% for m in messages %}"
    "{{ '<' + m['role'] + '>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def tokenizer(merges: tuple[tuple[str, str], ...] = ()) -> PreTrainedTokenizerFast:
    """One token a printable ASCII character (and one a merge), after the specials."""
    symbols = [*SPECIALS, "Ġ", *map(chr, range(33, 127))]  # byte-level BPE writes a space as Ġ
    symbols += [a + b for a, b in merges]
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        extra_special_tokens=[USER, ASSISTANT],
        chat_template=TEMPLATE,
    )


def llama(
    vocabulary: int, context: int = 96, hidden: int = 32, layers: int = 2, ffn: int = 64
) -> LlamaForCausalLM:
    """A random Llama whose next-token distributions are as peaked as a trained model's."""
    torch.manual_seed(7)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=ffn,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=context,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    with torch.no_grad():
        model.lm_head.weight *= 10
    return model.eval()


def save(folder: Path, context: int = 96, hidden: int = 32) -> Path:
    """Save a tiny model with its tokenizer."""
    made = tokenizer()
    llama(len(made), context, hidden).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder
