"""Which models have their head replaced; that it computes the same is in test_sft and test_dpo."""

import pytest
import torch

from harness.records import ModelRef
from training.sft import SFT
from training.target_head import score_targets_only
from training.weights import load


@pytest.mark.parametrize(("trained_on", "replaced"), [("cuda", False), ("cpu", True)])
@pytest.mark.parametrize("lies_on", ["cpu", "meta"])
def test_where_a_model_will_be_trained_decides(
    m0: ModelRef, trained_on: str, lies_on: str, replaced: bool
) -> None:
    """Not where it lies: until FSDP has divided a model, it is on no GPU."""
    model = load(m0, SFT(learning_rate=1e-3)).model.to(lies_on)
    before = model.forward

    score_targets_only(model, torch.device(trained_on))

    assert (model.forward != before) is replaced
