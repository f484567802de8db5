import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from harness.checkpoints import (
    chat_ids,
    chat_template_hash,
    fingerprint,
    is_adapter,
    locate,
    pad_id,
)
from harness.errors import DataError
from harness.protocols import Message
from harness.records import ModelRef
from tests.harness.engines import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("checkpoint") / "model")


def ref(location: object) -> ModelRef:
    return ModelRef(name="M1", location=str(location))


def test_a_checkpoint_folder_is_itself(folder: Path) -> None:
    assert locate(ref(folder)) == str(folder)


@pytest.mark.parametrize("location", ["gpt2", "meta-llama/Llama-2-70b-hf", "org/model.v1"])
def test_a_hub_id_is_left_alone(location: str) -> None:
    assert locate(ref(location)) == location


def test_the_microworld_is_packaged() -> None:
    packaged = Path(str(resources.files("harness"))) / "microworld" / "m0"
    if packaged.is_dir():
        assert locate(ref("microworld")) == str(packaged)
    else:
        with pytest.raises(DataError, match="harness microworld pretrain"):
            locate(ref("microworld"))


def refusal(location: object) -> str:
    with pytest.raises(DataError) as caught:
        locate(ref(location))
    message = str(caught.value)
    assert "\n" not in message
    assert "M1" in message
    assert str(location) in message
    return message


@pytest.mark.parametrize("location", ["./nowhere", "/no/such/model", "../m", "a/b/c", "~/none"])
def test_a_path_to_nowhere_is_refused(location: str) -> None:
    assert "no such folder" in refusal(location)


def test_a_misspelt_folder_below_a_real_one_is_no_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "no such folder" in refusal("runs/M1")


def test_a_folder_without_a_model_is_refused(folder: Path, tmp_path: Path) -> None:
    assert "no config.json" in refusal(tmp_path)
    shutil.copy(folder / "config.json", tmp_path)
    (tmp_path / "training_args.bin").touch()
    assert "no *.safetensors" in refusal(tmp_path)
    assert "is a file" in refusal(tmp_path / "config.json")


def test_the_fingerprint_follows_weights_and_configuration(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    first = fingerprint(str(folder))
    assert first is not None
    assert fingerprint(str(copy)) == first
    (copy / "tokenizer_config.json").write_text("{}")
    assert fingerprint(str(copy)) == first
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    changed = fingerprint(str(copy))
    assert changed != first
    (copy / "config.json").write_text("{}")
    assert fingerprint(str(copy)) not in (first, changed)


def test_the_fingerprint_of_a_hub_model_is_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "models--org--model"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    (cache / "snapshots" / commit).mkdir(parents=True)
    (cache / "snapshots" / commit / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert fingerprint("org/model") == commit
    assert fingerprint("org/model", "main") == commit
    assert fingerprint("org/never-downloaded") is None


def test_an_adapter_is_told_from_whole_weights(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").touch()
    assert is_adapter(str(tmp_path))
    assert locate(ref(tmp_path)) == str(tmp_path)
    assert not is_adapter(str(folder))


def test_a_template_that_refuses_a_role_is_a_one_line_error() -> None:
    made = tiny.tokenizer()
    made.chat_template = "{{ raise_exception('no system messages') }}"
    with pytest.raises(DataError, match=r"conversation of system.*no system messages"):
        chat_ids(made, (Message("system", "x"),), add_generation_prompt=True)


def test_a_missing_template_says_how_to_give_one() -> None:
    made = tiny.tokenizer()
    assert chat_template_hash(made) is not None
    made.chat_template = None
    assert chat_template_hash(made) is None
    with pytest.raises(DataError, match="option `chat_template`"):
        chat_ids(made, (Message("user", "x"),), add_generation_prompt=True)


def test_padding_falls_back_to_the_end_token_and_no_further() -> None:
    made = tiny.tokenizer()
    assert pad_id(made, len(made)) == 0
    made.pad_token = None
    assert pad_id(made, len(made)) == 2
    with pytest.raises(DataError, match="only 2 embeddings"):
        pad_id(made, 2)
    made.eos_token = None
    with pytest.raises(DataError, match="set `pad_token`"):
        pad_id(made, len(made))


def test_locating_imports_no_torch() -> None:
    code = (
        "import sys, harness.checkpoints; assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
