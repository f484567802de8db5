"""Learning from perfect answers only: the seeds and every round's, each once, from M0."""

from pathlib import Path

from harness.records import ModelRef
from tests.training.self_rewarding.scripts import judged, workspace
from training.self_rewarding.positives import imitate, keep, perfect
from training.self_rewarding.settings import SelfRewardingSettings
from training.sft import Example

SETTINGS = SelfRewardingSettings(
    seeds={"ift": "microworld:ift"},
    sft={"learning_rate": 1e-3, "batch_size": 8},
    dpo={"learning_rate": 1e-3},
)


def test_perfect_is_all_points_from_every_verdict() -> None:
    rows = [
        judged("all", 5, 5, 5),
        judged("all", 5, 5, 5),
        judged("nearly", 5, 5, 4),
        judged("cut off", 5, 5, ended=False),
        judged("unread", None, None),
        judged("read once", 5, None),
    ]
    found = perfect([("p", rows), ("q", [])])
    assert [bytes(e.completion_ids[:-1]).decode() for e in found] == ["all", "read once"]
    assert all(example.prompt_ids == (1, 2, 3) for example in found)
    assert all(example.completion_ids[-1] == 256 for example in found)


def test_every_round_starts_from_m0_with_all_examples_so_far(
    m0: ModelRef, examples: list[Example], tmp_path: Path
) -> None:
    first, second, third = (tmp_path / name for name in ("1", "2", "3"))
    keep(examples[:8], workspace(first, None, m0))
    two = workspace(second, None, m0, earlier=[first])
    made = imitate(examples[8:12], m0, "M2", SETTINGS, two)
    assert made.metrics["rows_trained"] == 12
    kept = {path: path.read_bytes() for path in tmp_path.rglob("examples.jsonl")}
    assert imitate(examples[8:12], m0, "M2", SETTINGS, two) == made, "again is nothing new"
    three = workspace(third, None, m0, earlier=[first, second])
    last = imitate(examples[12:15], m0, "M3", SETTINGS, three)
    assert last.metrics["rows_trained"] == 15
    assert (last.model.name, last.model.parent) == ("M3", "M0")
    assert kept == {path: path.read_bytes() for path in kept}
