"""Weights that are not those their configuration describes, however they differ."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from harness.checkpoints import locate
from harness.engines.loading import load_model
from harness.errors import DataError
from harness.pretrained import load_whole
from harness.records import ModelRef

M0 = ModelRef(location="microworld")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    shutil.copytree(locate(M0), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("option", "value", "wrong"),
    [
        ("num_hidden_layers", 5, r"there is no model\.layers\.4\.input_layernorm\.weight"),
        ("num_hidden_layers", 3, r"there is a model\.layers\.3\.input_layernorm\.weight"),
        ("intermediate_size", 8, r"layers\.0\.mlp\.down_proj.*\[128, 344\] and .*be \[128, 8\]"),
        ("vocab_size", 9, r"embed_tokens.weight is \[1664, 128\] and should be \[9, 128\]"),
    ],
)
def test_a_configuration_of_another_shape_is_one_line(
    option: str, value: int, wrong: str, damaged: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps(config | {option: value}))
    with pytest.raises(DataError, match=rf"of M0 at .*another shape .*{wrong}") as caught:
        load_whole(ModelRef(location=str(damaged)), str(damaged))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_head_beside_the_language_model_is_left_out(damaged: Path) -> None:
    weights = load_file(damaged / "model.safetensors")
    weights["v_head.summary.weight"] = weights["model.norm.weight"].clone()
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    assert load_whole(ModelRef(location=str(damaged)), str(damaged)).num_parameters() > 0


def test_a_checkpoint_without_the_prefix_of_its_model_has_no_block_too_many(tmp_path: Path) -> None:
    """As GPT-2 lies on the hub."""
    GPT2LMHeadModel(GPT2Config(n_layer=3, n_embd=8, n_head=2, vocab_size=16)).save_pretrained(
        tmp_path
    )
    weights = load_file(tmp_path / "model.safetensors")
    bare = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
    save_file(bare, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert load_whole(M0, str(tmp_path)).num_parameters() > 0
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_layer": 2}))
    with pytest.raises(DataError, match=r"there is a h\.2\."):
        load_whole(M0, str(tmp_path))


def test_an_adapter_without_a_layer_is_an_error(tmp_path: Path) -> None:
    model = load_whole(M0, locate(M0))
    get_peft_model(model, LoraConfig(r=2, target_modules="all-linear")).save_pretrained(tmp_path)
    adapter = ModelRef(name="M1", location=str(tmp_path))
    file = tmp_path / "adapter_config.json"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": locate(M0)})
    )
    load_model(adapter, torch.device("cpu"), "float32", trust_remote_code=False)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    less = {name: weight for name, weight in weights.items() if ".layers.3." not in name}
    save_file(less, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"of M1 at .*there is no .*layers\.3\."):
        load_model(adapter, torch.device("cpu"), "float32", trust_remote_code=False)
