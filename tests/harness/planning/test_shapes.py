"""A model's size is told by its configuration alone, as its makers publish it."""

import json

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from harness.errors import DataError
from harness.planning.shapes import Shape, read_shape, shape_of
from harness.records import ModelRef

SMALL = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 120,
    "max_position_embeddings": 64,
}


@pytest.mark.parametrize(
    ("location", "parameters"),
    [
        # As counted from the published weights.
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
        ("meta-llama/Llama-2-13b-hf", 13_015_864_320),
        ("meta-llama/Llama-2-70b-chat-hf", 68_976_648_192),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("HuggingFaceTB/SmolLM2-135M", 134_515_008),
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("Qwen/Qwen3-8B", 8_190_735_360),
    ],
)
def test_well_known_models_have_their_published_size(location, parameters):
    assert shape_of(ModelRef(location=location)).parameters == parameters


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "smollm3"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_configuration_tells_how_many_weights_transformers_makes(kind, tied, tmp_path):
    config = AutoConfig.for_model(kind, **SMALL, tie_word_embeddings=tied, pad_token_id=0)
    config.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_config(config)
    found = read_shape(tmp_path / "config.json")
    assert found.parameters == sum(one.numel() for one in model.parameters())


def test_the_embedded_model_is_a_folder_like_any_other():
    found = shape_of(ModelRef(location="microworld"))
    assert (found.layers, found.hidden, found.context, found.tied) == (4, 128, 384, True)
    assert found.parameters == 1_004_672


def test_the_cache_of_grouped_queries_is_small():
    small, large = (
        shape_of(ModelRef(location=f"meta-llama/Llama-2-{size}-hf")) for size in ("7b", "70b")
    )
    assert small.kv_bytes("float16") == 2 * 32 * 32 * 128 * 2  # half a mebibyte a token
    assert large.kv_bytes("float16") == 2 * 80 * 8 * 128 * 2  # less, of a model ten times as large


def test_adapters_are_counted_by_layer():
    shape = Shape(2, hidden=10, intermediate=30, heads=2, kv_heads=1, vocabulary=7, context=8)
    q, kv, mlp = 10 + 10, 10 + 5, 10 + 30
    assert shape.adapters(4) == 2 * 4 * (2 * q + 2 * kv + 3 * mlp)
    assert shape.adapters(4, ("q_proj", "v_proj")) == 2 * 4 * (q + kv)


def test_an_adapter_is_as_large_as_its_base(tmp_path):
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "meta-llama/Llama-2-7b-hf"})
    )
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    assert shape_of(ModelRef(location=str(tmp_path))).layers == 32


def test_what_cannot_be_told_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"hf download some/model config\.json"):
        shape_of(ModelRef(location="some/model"))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "mixtral"}))
    with pytest.raises(DataError, match="'mixtral', whose size cannot be told"):
        read_shape(file)
    file.write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(DataError, match="cannot be read as a model's configuration"):
        read_shape(file)
    file.write_text("{")
    with pytest.raises(DataError, match="cannot be read as a model's configuration"):
        read_shape(file)
