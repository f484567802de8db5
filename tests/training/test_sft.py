import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from harness.checkpoints import fingerprint
from harness.errors import DataError, HarnessError, StoreError
from harness.records import ModelRef
from training import trl_sft
from training.batches import order
from training.job import Trained
from training.settings import LoRA
from training.sft import SFT, Example, fine_tune
from training.trl_sft import _TargetsOnly

SETTINGS = SFT(learning_rate=3e-3, batch_size=8, epochs=2, warmup_steps=1, dropout=0.1)
"""Six steps, with dropout, so that the random numbers matter too."""
CHECKPOINTED = SETTINGS.model_copy(update={"checkpoint_every": 2})


def killed_at(step: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


@pytest.fixture(scope="module")
def whole(
    m0: ModelRef, examples: list[Example], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """An uninterrupted training with a checkpoint every two steps."""
    return train(m0, examples, tmp_path_factory.mktemp("whole"), CHECKPOINTED)


def train(
    m0: ModelRef, examples: list[Example], folder: Path, settings: SFT = SETTINGS, **more: object
) -> Trained:
    return fine_tune(m0, examples, settings, folder, name="M1", seed=3, **more)


def test_learns_and_says_what_it_did(
    m0: ModelRef, examples: list[Example], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = []

    trained = fine_tune(
        m0,
        examples,
        SFT(learning_rate=1e-2, batch_size=8, epochs=10),
        tmp_path,
        name="M1",
        seed=0,
        progress=lambda *told: seen.append(told),
    )

    assert trained.model == ModelRef(
        name="M1",
        location=str(tmp_path / "weights"),
        parent="M0",
        fingerprint=fingerprint(str(tmp_path / "weights")),
    )
    metrics = trained.metrics
    assert (metrics["rows_in"], metrics["rows_trained"], metrics["rows_too_long"]) == (24, 24, 0)
    assert metrics["target_tokens"] == 4 * 24
    assert metrics["tokens"] == sum(len(e.prompt_ids) + 4 for e in examples)
    assert metrics["steps"] == 30
    assert [step for step, _ in metrics["losses"]] == list(range(1, 31))
    assert metrics["losses"][0][1] > 4 > 2 > metrics["final_loss"] > 0
    assert seen == [("train M1", step, 30) for step in range(1, 31)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "asked.json",
        "trained.json",
        "weights",
    ]
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_loss_is_the_mean_over_target_tokens_only(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    """Against a loop that computes it by definition, from the model's own logits."""
    model = AutoModelForCausalLM.from_pretrained(m0.location)
    negative = []
    for row in examples[:8]:
        ids = torch.tensor([row.prompt_ids + row.completion_ids])
        with torch.no_grad():
            logprobs = model(ids).logits.log_softmax(-1)[0, :-1]
        first = len(row.prompt_ids) - 1
        negative += [-float(logprobs[first + i, id]) for i, id in enumerate(row.completion_ids)]

    settings = SFT(learning_rate=1e-3, batch_size=8, micro_batch_size=2)
    trained = train(m0, examples[:8], tmp_path, settings)

    assert trained.metrics["losses"] == [[1, pytest.approx(sum(negative) / 32, abs=1e-5)]]


def test_equals_the_stock_trainer(m0: ModelRef, examples: list[Example], tmp_path: Path) -> None:
    """The contract with the pinned TRL: its own head, dataset preparation and loop."""
    settings = SFT(learning_rate=3e-3, final_learning_rate=3e-4, batch_size=8, max_steps=3)
    ours = train(m0, examples, tmp_path / "ours", settings)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(m0.location, dtype=torch.float32),
        args=SFTConfig(
            output_dir=str(tmp_path / "stock"),
            per_device_train_batch_size=8,
            max_steps=3,
            learning_rate=3e-3,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr": 3e-4},
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "input_ids": row.prompt_ids + row.completion_ids,
                    "labels": (-100,) * len(row.prompt_ids) + row.completion_ids,
                }
                for row in (examples[place] for place in our_order(examples))
            ]
        ),
        processing_class=AutoTokenizer.from_pretrained(m0.location),
    )
    trainer.train()

    stock = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert [loss for _, loss in ours.metrics["losses"]] == pytest.approx(stock, abs=1e-6)


def our_order(examples: list[Example]) -> list[int]:
    return order([len(e.prompt_ids) + len(e.completion_ids) for e in examples], 8, 3, 0)


def test_the_overridden_methods_still_exist() -> None:
    for name in ("get_train_dataloader", "save_model", "_save_rng_state", "_send_telemetry"):
        assert getattr(_TargetsOnly, name) is not getattr(SFTTrainer, name)


def test_same_seed_same_weights(m0: ModelRef, examples: list[Example], tmp_path: Path) -> None:
    first = train(m0, examples, tmp_path / "a")
    torch.rand(3)  # what happened before in the process does not matter
    second = train(m0, examples, tmp_path / "b")
    other = fine_tune(m0, examples, SETTINGS, tmp_path / "c", name="M1", seed=4)

    assert first.model.fingerprint == second.model.fingerprint
    assert other.model.fingerprint != first.model.fingerprint


@pytest.mark.parametrize(("killed", "continued"), [(2, 1), (3, 3), (5, 5), (6, 5)])
def test_an_interrupted_training_ends_with_the_same_weights(
    m0: ModelRef,
    examples: list[Example],
    tmp_path: Path,
    whole: Trained,
    killed: int,
    continued: int,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(m0, examples, tmp_path, CHECKPOINTED, progress=killed_at(killed))
    assert not (tmp_path / "trained.json").exists()
    done = []

    resumed = train(
        m0, examples, tmp_path, CHECKPOINTED, progress=lambda _, step, __: done.append(step)
    )

    assert done == list(range(continued, 7))
    assert resumed.model.fingerprint == whole.model.fingerprint
    assert resumed.metrics["losses"] == whole.metrics["losses"]
    assert [path.name for path in resumed.checkpoints] == [path.name for path in whole.checkpoints]
    for mine, theirs in zip(resumed.checkpoints, whole.checkpoints, strict=True):
        assert fingerprint(str(mine)) == fingerprint(str(theirs))


def test_a_torn_state_is_passed_over(
    m0: ModelRef, examples: list[Example], tmp_path: Path, whole: Trained
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(m0, examples, tmp_path, CHECKPOINTED, progress=killed_at(3))
    torn = tmp_path / "unfinished" / "checkpoint-4"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_st')

    resumed = train(m0, examples, tmp_path, CHECKPOINTED)

    assert resumed.model.fingerprint == whole.model.fingerprint


def test_without_checkpoints_it_starts_over(
    m0: ModelRef, examples: list[Example], tmp_path: Path, whole: Trained
) -> None:
    """And the checkpoints of the other training made no difference to its weights."""
    with pytest.raises(KeyboardInterrupt):
        train(m0, examples, tmp_path, progress=killed_at(4))
    done = []

    again = train(m0, examples, tmp_path, progress=lambda _, step, __: done.append(step))

    assert done == [1, 2, 3, 4, 5, 6]
    assert again.model.fingerprint == whole.model.fingerprint


def test_a_checkpoint_between_two_epochs_is_continued(
    m0: ModelRef, examples: list[Example], tmp_path: Path, whole: Trained
) -> None:
    settings = SETTINGS.model_copy(update={"checkpoint_every": 3})
    with pytest.raises(KeyboardInterrupt):
        train(m0, examples, tmp_path, settings, progress=killed_at(4))

    assert train(m0, examples, tmp_path, settings).model.fingerprint == whole.model.fingerprint


def test_a_disk_that_fills_up_is_one_line_and_can_be_continued(
    m0: ModelRef, examples: list[Example], tmp_path: Path, whole: Trained
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Enough for the weights, not for the optimizer's state, which torch writes in its own way.
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"unfinished: .*make room") as caught:
            train(m0, examples, tmp_path, CHECKPOINTED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)

    resumed = train(m0, examples, tmp_path, CHECKPOINTED)

    assert resumed.model.fingerprint == whole.model.fingerprint


def test_a_tokenizer_without_pad_token_stays_so(
    m0: ModelRef,
    examples: list[Example],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    start = tmp_path / "start"
    shutil.copytree(m0.location, start)
    tokenizer = AutoTokenizer.from_pretrained(start)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(start)
    config = json.loads((start / "config.json").read_text())
    config["pad_token_id"] = None
    (start / "config.json").write_text(json.dumps(config))
    capfd.readouterr()

    trained = train(ModelRef(location=str(start)), examples, tmp_path / "m1")

    assert AutoTokenizer.from_pretrained(trained.model.location).pad_token is None
    assert json.loads((Path(trained.model.location) / "config.json").read_text()) == config
    assert capfd.readouterr().err == ""


def test_checkpoints_are_models(m0: ModelRef, examples: list[Example], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"checkpoint_every": 3, "dtype": "bfloat16"})

    trained = train(m0, examples, tmp_path, settings)

    assert [path.name for path in trained.checkpoints] == ["step-00003", "step-00006"]
    model = AutoModelForCausalLM.from_pretrained(trained.checkpoints[0])
    assert model.dtype == torch.bfloat16
    assert fingerprint(str(trained.checkpoints[1])) == trained.model.fingerprint
    assert fingerprint(str(trained.checkpoints[0])) != trained.model.fingerprint
    assert not (tmp_path / "unfinished").exists()


def test_finished_weights_are_returned_without_training(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    first = train(m0, examples, tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")

    again = train(m0, examples, tmp_path / "b", progress=killed_at(1))

    assert again.metrics == first.metrics
    assert again.model.location == str(tmp_path / "b" / "weights")


def test_a_folder_of_another_training_is_refused(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    train(m0, examples[:8], tmp_path, SFT(learning_rate=1e-3, max_steps=1))

    with pytest.raises(StoreError, match="a training with another settings, rows; delete"):
        train(m0, examples[:9], tmp_path, SFT(learning_rate=2e-3, max_steps=1))


def test_rows_that_are_left_out_are_counted(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    long = Example(tuple(range(3, 40)), tuple(range(3, 40)))

    trained = train(
        m0, [long, *examples], tmp_path, SETTINGS.model_copy(update={"too_long": "drop"})
    )

    metrics = trained.metrics
    assert (metrics["rows_in"], metrics["rows_trained"], metrics["rows_too_long"]) == (25, 24, 1)
    with pytest.raises(DataError, match="row 0 has 74 tokens, and only 48 fit"):
        train(m0, [long, *examples], tmp_path / "error")


def test_a_training_that_diverges_saves_no_model(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    settings = SFT(learning_rate=1e30, schedule="constant", batch_size=8, epochs=3, max_grad_norm=0)

    with pytest.raises(HarnessError, match="diverged"):
        train(m0, examples, tmp_path, settings)

    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("save", ["merged", "adapter"])
def test_lora_trains_the_adapter_alone(
    m0: ModelRef, examples: list[Example], tmp_path: Path, save: str
) -> None:
    settings = SFT(
        learning_rate=3e-2,
        batch_size=8,
        epochs=2,
        checkpoint_every=2,
        lora=LoRA(r=4, alpha=8, dropout=0.1, save=save),
    )
    whole = train(m0, examples, tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        train(m0, examples, tmp_path / "cut", settings, progress=killed_at(5))
    resumed = train(m0, examples, tmp_path / "cut", settings)

    assert resumed.model.fingerprint == whole.model.fingerprint
    assert whole.metrics["final_loss"] < whole.metrics["losses"][0][1]
    folder = Path(whole.model.location)
    if save == "merged":
        before = load_file(Path(m0.location) / "model.safetensors")
        after = load_file(folder / "model.safetensors")
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == {name for name in before if name.endswith("proj.weight")}
    else:
        said = json.loads((folder / "adapter_config.json").read_text())
        assert said["base_model_name_or_path"] == m0.location
        assert not (folder / "model.safetensors").exists()


def test_memory_that_runs_out_is_one_line(
    m0: ModelRef, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocate(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(trl_sft, "load", allocate)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=79_100_000_000)
    )

    with pytest.raises(HarnessError, match=r"memory \(79 GB\) does not hold.*micro_batch_size"):
        train(m0, examples, tmp_path)
