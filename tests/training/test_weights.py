import errno
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
)

from harness.errors import DataError, HarnessError, StoreError
from harness.records import ModelRef
from training import weights
from training.job import aside
from training.lora import configuration
from training.settings import LoRA
from training.sft import SFT
from training.weights import load, save

SETTINGS = SFT(learning_rate=1e-3)


@contextmanager
def disk_full_after(bytes_: int) -> Iterator[None]:
    """The kernel refuses to let a file grow, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_training_changes_weights_and_nothing_else(m0: ModelRef, tmp_path: Path) -> None:
    start = load(m0, SETTINGS.model_copy(update={"dropout": 0.1}))
    start.model.config.pad_token_id = 7  # what trainers do to the object in memory
    with torch.no_grad():
        start.model.lm_head.weight += 1

    save(start.model, start, SETTINGS, tmp_path / "m1")

    before, after = (
        json.loads((Path(folder) / "config.json").read_text())
        for folder in (m0.location, tmp_path / "m1")
    )
    assert after == before
    old = load_file(Path(m0.location) / "model.safetensors")
    new = load_file(tmp_path / "m1" / "model.safetensors")
    assert set(new) == set(old)
    assert torch.equal(new["model.embed_tokens.weight"], old["model.embed_tokens.weight"] + 1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m1")
    assert tokenizer.chat_template == start.tokenizer.chat_template is not None
    assert tokenizer.special_tokens_map == start.tokenizer.special_tokens_map
    assert tokenizer("w5 w63")["input_ids"] == [5, 63]


def test_no_sampling_default_is_handed_on(m0: ModelRef, tmp_path: Path) -> None:
    assert json.loads((Path(m0.location) / "generation_config.json").read_text())["do_sample"]
    start = load(m0, SETTINGS)

    save(start.model, start, SETTINGS, tmp_path / "m1")

    said = json.loads((tmp_path / "m1" / "generation_config.json").read_text())
    said.pop("transformers_version")
    said.pop("_from_model_config", None)
    assert said == {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_fsdp_hands_out_is_not_read_by_those_that_receive_it(
    m0: ModelRef, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    settings = SETTINGS.model_copy(update={"precision": precision, "dropout": 0.1})
    read = load(m0, settings)
    monkeypatch.setattr(weights, "is_fsdp_enabled", lambda: True)
    assert not any(weight.is_meta for weight in load(m0, settings).model.parameters())
    monkeypatch.setattr(weights, "PartialState", lambda: SimpleNamespace(is_main_process=False))

    received = load(m0, settings)

    assert all(weight.is_meta for weight in received.model.parameters())
    assert received.model.lm_head.weight is received.model.model.embed_tokens.weight
    assert received.model.training is read.model.training
    assert received.generation == read.generation
    assert received.model.model.layers[0].self_attn.attention_dropout == 0.1
    for (name, theirs), (other, mine) in zip(
        received.model.named_buffers(), read.model.named_buffers(), strict=True
    ):
        assert (name, theirs.tolist()) == (other, mine.tolist())
    # Broadcasts and shares want the same names, shapes and types, under adapters too.
    assert described(received.model) == described(read.model)
    lora = configuration(LoRA(r=2))
    assert described(get_peft_model(received.model, lora)) == described(
        get_peft_model(read.model, lora)
    )
    assert all(weight.is_meta for weight in received.model.parameters())


def described(model: torch.nn.Module) -> list[tuple[object, ...]]:
    return [
        (name, weight.shape, weight.dtype, weight.requires_grad)
        for name, weight in model.named_parameters()
    ]


def test_an_adapter_is_merged_by_those_that_read_it(
    m0: ModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = LoRA(r=2, save="adapter")
    start = load(m0, SETTINGS)
    save(adapted(start.model, lora), start, SETTINGS.model_copy(update={"lora": lora}), tmp_path)
    adapter = ModelRef(location=str(tmp_path))
    read = load(adapter, SETTINGS)
    monkeypatch.setattr(weights, "is_fsdp_enabled", lambda: True)
    monkeypatch.setattr(weights, "PartialState", lambda: SimpleNamespace(is_main_process=False))

    assert described(load(adapter, SETTINGS).model) == described(read.model)


def test_large_models_are_saved_in_several_files(
    m0: ModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights._SHARD == "5GB"
    monkeypatch.setattr(weights, "_SHARD", "20KB")
    start = load(m0, SETTINGS)

    save(start.model, start, SETTINGS, tmp_path / "m1")

    assert len([*(tmp_path / "m1").glob("model-0000?-of-*.safetensors")]) > 1
    again = load(ModelRef(location=str(tmp_path / "m1")), SETTINGS).model.state_dict()
    assert all(torch.equal(again[name], w) for name, w in start.model.state_dict().items())


def test_saved_in_the_dtype_asked_for(m0: ModelRef, tmp_path: Path) -> None:
    start = load(m0, SETTINGS)

    save(start.model, start, SETTINGS.model_copy(update={"dtype": "bfloat16"}), tmp_path / "m1")

    assert {t.dtype for t in load_file(tmp_path / "m1" / "model.safetensors").values()} == {
        torch.bfloat16
    }
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "m1").dtype == torch.bfloat16
    assert start.model.dtype == torch.float32


def test_dropout_reaches_attention_and_modules(tmp_path: Path, m0: ModelRef) -> None:
    rates = {"dropout": 0.25}
    assert (
        load(m0, SETTINGS.model_copy(update=rates))
        .model.model.layers[0]
        .self_attn.attention_dropout
        == 0.25
    )

    gpt2 = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=64, n_positions=16))
    gpt2.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(m0.location).save_pretrained(tmp_path)
    model = load(ModelRef(location=str(tmp_path)), SETTINGS).model
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.0] * 4


def test_more_than_the_context_is_refused(m0: ModelRef) -> None:
    with pytest.raises(DataError, match="max_length 49 was asked for, but the context of M0 is 48"):
        load(m0, SETTINGS.model_copy(update={"max_length": 49}))


def test_dropout_is_refused_where_there_is_none(tmp_path: Path, m0: ModelRef) -> None:
    MambaForCausalLM(
        MambaConfig(hidden_size=8, num_hidden_layers=1, vocab_size=64)
    ).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(m0.location).save_pretrained(tmp_path)

    with pytest.raises(DataError, match=r"architecture of M0 \(mamba\) has none"):
        load(ModelRef(location=str(tmp_path)), SETTINGS.model_copy(update={"dropout": 0.1}))


def test_a_folder_that_cannot_be_read_is_one_line(m0: ModelRef, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((Path(m0.location) / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"torn")

    with pytest.raises(DataError, match=r"M0 at '.*' cannot be loaded: ") as caught:
        load(ModelRef(location=str(tmp_path)), SETTINGS)
    assert "\n" not in str(caught.value)


def test_an_infinite_weight_is_never_saved(m0: ModelRef, tmp_path: Path) -> None:
    start = load(m0, SETTINGS)
    with torch.no_grad():
        start.model.model.norm.weight[3] = float("nan")

    with pytest.raises(HarnessError, match=r"diverged: model.norm.weight is not finite"):
        save(start.model, start, SETTINGS, tmp_path / "m1")
    assert not (tmp_path / "m1").exists()


def test_a_full_disk_is_one_line_and_no_model(m0: ModelRef, tmp_path: Path) -> None:
    start = load(m0, SETTINGS)

    with disk_full_after(20_000), pytest.raises(StoreError, match="make room") as caught:
        save(start.model, start, SETTINGS, tmp_path / "m1")

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m1").exists()
    save(start.model, start, SETTINGS, tmp_path / "m1")
    assert [path.name for path in tmp_path.iterdir()] == ["m1"]


def test_an_interrupted_save_leaves_the_model_before(tmp_path: Path) -> None:
    (tmp_path / "m1").mkdir()
    (tmp_path / "m1" / "file").write_text("before")

    with pytest.raises(KeyboardInterrupt), aside(tmp_path / "m1") as partial:
        (partial / "file").write_text("after")
        raise KeyboardInterrupt

    assert (tmp_path / "m1" / "file").read_text() == "before"


def test_an_error_that_is_none_of_the_disk_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), aside(tmp_path / "m1"):
        _ = 1 / 0
    with pytest.raises(StoreError), aside(tmp_path / "m1"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_adapter_is_trained_on_from_with_its_base(m0: ModelRef, tmp_path: Path) -> None:
    """Loading an adapter gives the same model as merging it before saving."""
    from_adapter, from_merged = (tmp_path / "adapter", tmp_path / "merged")
    for folder, kind in ((from_adapter, "adapter"), (from_merged, "merged")):
        lora = LoRA(r=2, save=kind)
        settings = SETTINGS.model_copy(update={"lora": lora})
        start = load(m0, settings)
        torch.manual_seed(0)
        model = adapted(start.model, lora)
        save(model, start, settings, folder)

    merged = load(ModelRef(location=str(from_merged)), SETTINGS).model
    loaded = load(ModelRef(location=str(from_adapter)), SETTINGS).model
    for name, weight in merged.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], weight)
    with pytest.raises(DataError, match="M0 is itself an adapter"):
        load(
            ModelRef(location=str(from_adapter)),
            settings.model_copy(update={"lora": LoRA(save="adapter")}),
        )
    q = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.allclose(merged.state_dict()[q], load(m0, SETTINGS).model.state_dict()[q])


def adapted(model: torch.nn.Module, lora: LoRA) -> torch.nn.Module:
    wrapped = get_peft_model(model, configuration(lora))
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return wrapped
