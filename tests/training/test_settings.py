import subprocess
import sys

import pytest
from pydantic import ValidationError

from training.dpo import DPO
from training.sft import SFT


def test_the_papers_figures_and_the_micro_worlds_can_be_said() -> None:
    SFT(learning_rate=5.5e-6, final_learning_rate=1.1e-6, batch_size=16, dropout=0.1)
    SFT(learning_rate=1e-3, warmup_steps=20, batch_size=32, epochs=2)
    DPO(learning_rate=1e-6, final_learning_rate=1e-7, batch_size=16, beta=0.1)
    DPO(learning_rate=6e-5, warmup_steps=5, batch_size=16, epochs=2)


def test_a_rate_that_does_not_fall_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be below learning_rate 1e-06"):
        DPO(learning_rate=1e-6, final_learning_rate=1e-6)


def test_a_batch_that_cannot_be_made_of_micro_batches_is_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of micro_batch_size 5"):
        SFT(learning_rate=1e-3, batch_size=16, micro_batch_size=5)


def test_settings_load_without_torch() -> None:
    code = "import sys, training.sft, training.dpo; print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
