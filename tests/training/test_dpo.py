import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

from harness.checkpoints import fingerprint
from harness.errors import DataError
from harness.records import ModelRef
from training.batches import order
from training.dpo import DPO, PreferencePair, prefer
from training.job import Trained
from training.settings import LoRA
from training.trl_dpo import _ExactPairs

SETTINGS = DPO(learning_rate=3e-3, batch_size=4, epochs=2)
"""Eight steps: fourteen pairs are three batches of four and one of two."""


def train(
    m0: ModelRef,
    pairs: list[PreferencePair],
    folder: Path,
    settings: DPO = SETTINGS,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Trained:
    return prefer(m0, pairs, settings, folder, name="M2", seed=3, progress=progress)


def our_order(pairs: list[PreferencePair], epoch: int = 0) -> list[int]:
    lengths = [len(p.prompt_ids) + max(len(p.chosen_ids), len(p.rejected_ids)) for p in pairs]
    return order(lengths, 4, 3, epoch)


def logprob(model: torch.nn.Module, prompt: tuple[int, ...], completion: tuple[int, ...]) -> float:
    """By definition, one sequence at a time, from the model's own logits."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + completion])).logits.log_softmax(-1)[0]
    first = len(prompt) - 1
    return sum(float(logits[first + i, id]) for i, id in enumerate(completion))


def test_learns_to_prefer_and_says_what_it_did(
    m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = []

    trained = train(m0, pairs, tmp_path, progress=lambda *told: seen.append(told))

    metrics = trained.metrics
    assert (metrics["pairs_in"], metrics["pairs_trained"], metrics["pairs_too_long"]) == (14, 14, 0)
    assert metrics["chosen_tokens"] == sum(len(pair.chosen_ids) for pair in pairs)
    assert metrics["steps"] == 8
    # The reference is the start model to the last bit, so the first loss is ln 2.
    assert metrics["losses"][0] == [1, pytest.approx(math.log(2), abs=1e-6)]
    assert metrics["final_loss"] < 0.5
    curves = metrics["curves"]
    assert curves["rewards/margins"][0][1] == pytest.approx(0, abs=1e-5)
    assert curves["rewards/margins"][-1][1] > 0.5
    assert curves["rewards/accuracies"][-1] == [8, 1.0]
    assert seen[-1] == ("train M2", 8, 8)
    assert ("reference", 14, 14) in seen
    assert trained.model.parent == "M0"
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_rewards_are_those_of_the_saved_models(
    m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path
) -> None:
    """The curves after one step, from the models before and after it, by definition."""
    settings = DPO(learning_rate=1e-2, schedule="constant", batch_size=4, max_steps=2)
    first = train(m0, pairs, tmp_path / "one", settings.model_copy(update={"max_steps": 1}))
    second = train(m0, pairs, tmp_path / "two", settings)

    before = AutoModelForCausalLM.from_pretrained(m0.location)
    after = AutoModelForCausalLM.from_pretrained(first.model.location)
    batch = [pairs[place] for place in our_order(pairs)[4:8]]
    margins, losses = [], []
    for pair in batch:
        chosen, rejected = (
            logprob(after, pair.prompt_ids, ids) - logprob(before, pair.prompt_ids, ids)
            for ids in (pair.chosen_ids, pair.rejected_ids)
        )
        margins.append(0.1 * (chosen - rejected))
        losses.append(-float(functional.logsigmoid(torch.tensor(margins[-1]))))

    assert second.metrics["curves"]["rewards/margins"][1] == [
        2,
        pytest.approx(sum(margins) / 4, abs=1e-5),
    ]
    assert second.metrics["losses"][1] == [2, pytest.approx(sum(losses) / 4, abs=1e-5)]
    change = [
        logprob(after, pair.prompt_ids, pair.chosen_ids)
        - logprob(before, pair.prompt_ids, pair.chosen_ids)
        for pair in batch
    ]
    assert second.metrics["chosen_logps_change"] == pytest.approx(sum(change) / 4, abs=1e-4)


@pytest.mark.parametrize(
    ("loss_type", "nll_weight"), [("sigmoid", 0.0), ("sigmoid", 0.5), ("sigmoid_norm", 0.0)]
)
def test_equals_the_stock_trainer_on_text(
    m0: ModelRef,
    pairs: list[PreferencePair],
    tmp_path: Path,
    loss_type: str,
    nll_weight: float,
) -> None:
    """The contract with the pinned TRL: text in, its own tokens, reference model and head."""
    settings = DPO(
        learning_rate=3e-3,
        final_learning_rate=3e-4,
        schedule="linear",
        batch_size=4,
        max_steps=3,
        loss_type=loss_type,
        nll_weight=nll_weight,
    )
    ours = train(m0, pairs, tmp_path / "ours", settings)

    def text(ids: tuple[int, ...]) -> str:
        special = {1: "<end>", 2: "<begin>"}
        return "".join(f" {special.get(id, f'w{id}')}" for id in ids)

    trainer = DPOTrainer(
        model=m0.location,
        args=DPOConfig(
            output_dir=str(tmp_path / "stock"),
            per_device_train_batch_size=4,
            max_steps=3,
            learning_rate=3e-3,
            lr_scheduler_type="polynomial",
            lr_scheduler_kwargs={"lr_end": 3e-4, "power": 1.0},
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
            loss_type=[loss_type, "sft"] if nll_weight else [loss_type],
            loss_weights=[1.0, nll_weight] if nll_weight else None,
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": text(pair.prompt_ids),
                    "chosen": text(pair.chosen_ids),
                    "rejected": text(pair.rejected_ids),
                }
                for pair in (pairs[place] for place in our_order(pairs))
            ]
        ),
        processing_class=AutoTokenizer.from_pretrained(m0.location),
    )
    trainer.train()

    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [loss for _, loss in ours.metrics["losses"]] == pytest.approx(
        [entry["loss"] for entry in logs], abs=1e-6
    )
    assert [value for _, value in ours.metrics["curves"]["rewards/margins"]] == pytest.approx(
        [entry["rewards/margins"] for entry in logs], abs=1e-5
    )


def test_the_overridden_methods_still_exist() -> None:
    for name in (
        *("_prepare_dataset", "_precompute_ref_logps", "get_train_dataloader", "compute_loss"),
        *("_get_num_items_in_batch", "save_model", "_save_rng_state", "_send_telemetry"),
    ):
        assert getattr(_ExactPairs, name) is not getattr(DPOTrainer, name)


def test_dropout_is_at_work_in_the_policy_but_not_in_the_reference(
    m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path
) -> None:
    settings = DPO(learning_rate=1e-6, schedule="constant", batch_size=4, max_steps=1, dropout=0.5)

    dropped = train(m0, pairs, tmp_path / "a", settings)

    assert abs(dropped.metrics["losses"][0][1] - math.log(2)) > 1e-3
    config = json.loads((Path(dropped.model.location) / "config.json").read_text())
    assert config["attention_dropout"] == 0.0


@pytest.mark.parametrize(("killed", "continued"), [(2, 1), (6, 4)])
def test_an_interrupted_training_ends_with_the_same_weights(
    m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path, killed: int, continued: int
) -> None:
    settings = SETTINGS.model_copy(update={"checkpoint_every": 3, "dropout": 0.1})
    whole = train(m0, pairs, tmp_path / "whole", settings)

    def kill(what: str, done: int, total: int) -> None:
        if (what, done) == ("train M2", killed):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(m0, pairs, tmp_path / "cut", settings, progress=kill)
    done = []
    resumed = train(
        m0,
        pairs,
        tmp_path / "cut",
        settings,
        progress=lambda what, step, _: done.append(step) if what == "train M2" else None,
    )

    assert done[0] == continued
    assert resumed.model.fingerprint == whole.model.fingerprint
    assert resumed.metrics["curves"] == whole.metrics["curves"]
    assert [path.name for path in resumed.checkpoints] == ["step-00003", "step-00006"]
    assert [fingerprint(str(path)) for path in resumed.checkpoints] == [
        fingerprint(str(path)) for path in whole.checkpoints
    ]


def test_lora_is_held_to_the_start_model(
    m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path
) -> None:
    settings = DPO(
        learning_rate=3e-2, batch_size=4, epochs=2, lora=LoRA(r=4, alpha=8, save="adapter")
    )

    first = train(m0, pairs, tmp_path / "one", settings)
    merged = settings.model_copy(update={"lora": LoRA(r=4, alpha=8)})
    second = prefer(first.model, pairs, merged, tmp_path / "two", name="M3", seed=0)

    for trained in (first, second):  # the second starts from an adapter, and is held to it
        assert trained.metrics["losses"][0][1] == pytest.approx(math.log(2), abs=1e-6)
        assert trained.metrics["final_loss"] < 0.6
    assert AutoModelForCausalLM.from_pretrained(second.model.location).num_parameters() == (
        AutoModelForCausalLM.from_pretrained(m0.location).num_parameters()
    )


def test_pairs_that_do_not_fit_are_counted_or_refused(
    m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path
) -> None:
    long = PreferencePair((2, *range(3, 40)), (5, 1), tuple(range(3, 30)))
    settings = DPO(learning_rate=1e-3, batch_size=16, too_long="drop")

    trained = train(m0, [*pairs, long], tmp_path / "drop", settings)

    metrics = trained.metrics
    assert (metrics["pairs_in"], metrics["pairs_trained"], metrics["pairs_too_long"]) == (15, 14, 1)
    with pytest.raises(DataError, match="row 14 has 65 tokens, and only 48 fit"):
        train(m0, [*pairs, long], tmp_path / "error")
    with pytest.raises(DataError, match="row 0 prefers a completion to an equal one"):
        train(m0, [PreferencePair((2, 3), (5, 1), (5, 1))], tmp_path / "equal")
