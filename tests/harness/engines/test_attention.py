import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations import sdpa_attention

from harness.engines.attention import GROUPED


def llama(attention: str, key_heads: int) -> LlamaForCausalLM:
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=key_heads,
        attn_implementation=attention,
        initializer_range=0.4,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("padded", [True, False])
@torch.inference_mode()
def test_the_same_numbers_without_a_copy(key_heads, padded, monkeypatch) -> None:
    ids = torch.arange(24).reshape(2, 12)
    mask = torch.ones_like(ids)
    if padded:
        mask[0, :5] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    expected = llama("sdpa", key_heads)(**inputs).logits
    grouped = llama(GROUPED, key_heads)
    if key_heads < 4:
        monkeypatch.setattr(sdpa_attention, "repeat_kv", None)  # calling it is an error
    found = grouped(**inputs).logits
    read = mask.bool()
    assert torch.equal(found[read], expected[read])
