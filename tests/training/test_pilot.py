from pathlib import Path

import pytest

from harness.errors import DataError
from harness.records import ModelRef
from training.dpo import DPO, PreferencePair
from training.pilot import longest_dpo_step, longest_sft_step
from training.settings import Launcher
from training.sft import SFT, Example


def test_the_longest_rows_are_tried(m0: ModelRef, examples: list[Example], tmp_path: Path) -> None:
    settings = SFT(
        learning_rate=1e-3, batch_size=8, micro_batch_size=4, checkpoint_every=1, epochs=3
    )
    seen = []

    step = longest_sft_step(
        m0, examples, settings, tmp_path / "pilot", 0, lambda *told: seen.append(told)
    )

    lengths = sorted(len(e.prompt_ids) + len(e.completion_ids) for e in examples)
    assert (step.rows, step.tokens, step.processes) == (4, sum(lengths[-4:]), 1)
    assert 0 < step.seconds < 60
    assert step.peak_memory > 50e6  # of this whole process, on a CPU
    assert step.device == "cpu"
    assert seen == [("train pilot", 1, 2), ("train pilot", 2, 2)]
    assert not (tmp_path / "pilot").exists()


def test_pairs_and_too_long_ones(m0: ModelRef, pairs: list[PreferencePair], tmp_path: Path) -> None:
    long = PreferencePair((2, *range(3, 40)), (5, 1), tuple(range(3, 30)))
    settings = DPO(learning_rate=1e-3, batch_size=2, too_long="drop")

    step = longest_dpo_step(m0, [long, *pairs], settings, tmp_path / "pilot", 0)

    def length(pair: PreferencePair) -> int:
        return len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))

    two = sorted(pairs, key=length)[-2:]
    shortest, most = (
        [2 * len(p.prompt_ids) + len(p.chosen_ids) + len(p.rejected_ids) for p in some]
        for some in (two, pairs)
    )
    assert step.rows == 2
    assert sum(shortest) - 6 <= step.tokens <= 2 * max(most)
    with pytest.raises(DataError, match="row 0 has 65 tokens"):
        refused = settings.model_copy(update={"too_long": "error"})
        longest_dpo_step(m0, [long, *pairs], refused, tmp_path / "pilot", 0)
    assert not (tmp_path / "pilot").exists()


@pytest.mark.slow
def test_through_a_launcher(m0: ModelRef, examples: list[Example], tmp_path: Path) -> None:
    two = Launcher(name="accelerate", processes=2, strategy="fsdp2")
    settings = SFT(learning_rate=1e-3, batch_size=8, micro_batch_size=2)

    step = longest_sft_step(m0, examples, settings, tmp_path / "pilot", 0, launcher=two)

    lengths = sorted(len(e.prompt_ids) + len(e.completion_ids) for e in examples)
    assert (step.rows, step.tokens, step.processes) == (4, sum(lengths[-4:]), 2)
