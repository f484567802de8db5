"""Pretraining goes on where it was killed, and exports what transformers reads."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.errors import DataError
from harness.microworld import pretrain


@pytest.fixture
def tiny(monkeypatch):
    """Steps of four rows, so that a test takes a second."""
    monkeypatch.setattr(pretrain, "BATCH", 4)
    monkeypatch.setattr(pretrain, "BLOCK", 32)
    tokenizer = pretrain.train_tokenizer(texts=4_000)
    monkeypatch.setattr(pretrain, "train_tokenizer", lambda seed: tokenizer)
    return tokenizer


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_a_killed_run_continues_as_if_nothing_had_happened(tiny, tmp_path):
    whole = pretrain.pretrain(tmp_path / "whole", 6)

    class Killed(Exception):
        pass

    def kill(progress):
        if progress.step == 5:
            raise Killed

    with pytest.raises(Killed):
        pretrain.pretrain(tmp_path / "killed", 6, checkpoint_every=2, on_step=kill)
    steps = []
    on_step = lambda progress: steps.append(progress.step)  # noqa: E731  # shorter than a def
    resumed = pretrain.pretrain(tmp_path / "killed", 6, on_step=on_step)
    assert steps == [5, 6]
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_checkpoint_of_another_seed_is_refused(tiny, tmp_path):
    pretrain.pretrain(tmp_path, 1, seed=0)
    with pytest.raises(DataError, match="another corpus, tokenizer or seed"):
        pretrain.pretrain(tmp_path, 2, seed=1)


def test_the_exported_model_is_small_and_whole(tiny, tmp_path):
    folder = pretrain.pretrain(tmp_path, 1)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert {weight.dtype for weight in weights(folder).values()} == {torch.float16}
    assert model.dtype == torch.float32
    assert 900_000 < model.num_parameters() < 1_100_000
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert not {"top_k", "top_p", "temperature", "do_sample"} & (
        model.generation_config.to_diff_dict().keys()
    )
    assert tokenizer.chat_template == tiny.chat_template


def test_blocks_are_a_function_of_seed_and_step(tiny):
    first = pretrain.blocks(tiny, 0, 1)
    assert first.shape == (4, 32)
    assert torch.equal(first, pretrain.blocks(tiny, 0, 1))
    assert not torch.equal(first, pretrain.blocks(tiny, 0, 2))
    assert not torch.equal(first, pretrain.blocks(tiny, 1, 1))


def test_the_learning_rate_warms_up_stays_and_decays():
    rates = [pretrain.learning_rate(step, 1000) for step in range(1, 1001)]
    assert rates[0] == pytest.approx(pretrain.LEARNING_RATE / pretrain.WARM_UP)
    assert rates[199:750] == [pretrain.LEARNING_RATE] * 551
    assert rates[750:] == sorted(rates[750:], reverse=True)
    assert rates[-1] == 0


def test_the_world_is_light_to_import():
    code = (
        "import sys, harness.microworld.datasets, harness.microworld.corpus;"
        "print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "[]\n"
