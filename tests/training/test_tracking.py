import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.errors import ConfigError
from harness.records import ModelRef
from training import tracking
from training.dpo import DPO, PreferencePair, prefer
from training.sft import SFT, Example, fine_tune


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read a folder of TensorBoard's back: [(step, value), ...] by name."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_tensorboard_follows_both_kinds_of_training(
    m0: ModelRef, examples: list[Example], pairs: list[PreferencePair], tmp_path: Path
) -> None:
    sft = SFT(learning_rate=3e-3, batch_size=8, epochs=2, report_to=("tensorboard",))
    dpo = DPO(learning_rate=1e-3, batch_size=4, epochs=1, report_to=("tensorboard",))

    first = fine_tune(m0, examples, sft, tmp_path / "M1", "M1", seed=0, run="mine")
    prefer(first.model, pairs, dpo, tmp_path / "M2", "M2", seed=0, run="mine")

    losses = curves(tmp_path / "M1" / "tensorboard")["train/loss"]
    assert losses == [(step, pytest.approx(loss)) for step, loss in first.metrics["losses"]]
    assert "train/rewards/margins" in curves(tmp_path / "M2" / "tensorboard")
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
    [events] = (tmp_path / "M1" / "tensorboard").iterdir()
    assert b'"run_name": "mine/M1"' in events.read_bytes()


def test_nothing_follows_unless_asked(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    fine_tune(m0, examples, SFT(learning_rate=3e-3, max_steps=1), tmp_path, "M1", seed=0)
    assert not list(tmp_path.rglob("*tfevents*"))


def test_a_place_of_the_users_own_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "elsewhere")
    with tracking.followed(["tensorboard"], tmp_path):
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == "elsewhere"
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "elsewhere"
    assert not list(tmp_path.iterdir())


def test_each_training_is_a_run_of_its_own_in_wandb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = []
    fake = SimpleNamespace(finish=lambda: finished.append(os.environ.get("WANDB_DIR")))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    with pytest.raises(RuntimeError), tracking.followed(["wandb"], tmp_path):
        assert Path(os.environ["WANDB_DIR"]).is_dir()
        raise RuntimeError("diverged")
    assert finished == [str(tmp_path / "wandb")]
    assert "WANDB_DIR" not in os.environ


def test_a_tracker_that_is_missing_is_found_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    tracking.check(())
    with pytest.raises(ConfigError, match="wandb, which is not installed; pip install wandb"):
        tracking.check(("wandb", "wandb"))


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(ValidationError, match="'tensorboard', 'wandb' or 'trackio'"):
        SFT(learning_rate=1e-3, report_to=("excel",))
