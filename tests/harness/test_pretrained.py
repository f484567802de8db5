"""Weights that are not those their configuration describes, however they differ."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from harness.checkpoints import locate
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
    with pytest.raises(DataError, match=rf"M0 at .*another shape .*{wrong}") as caught:
        load_whole(ModelRef(location=str(damaged)), str(damaged))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_head_beside_the_language_model_is_left_out(damaged: Path) -> None:
    weights = load_file(damaged / "model.safetensors")
    weights["v_head.summary.weight"] = weights["model.norm.weight"].clone()
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    assert load_whole(ModelRef(location=str(damaged)), str(damaged)).num_parameters() > 0
