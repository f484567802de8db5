"""Which checkpoint is kept: the last before one that is no better."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.engines.scripted import Scripted
from harness.judge import pointwise
from harness.protocols import Request
from harness.records import ModelRef
from tests.training.self_rewarding.scripts import Recorded, workspace
from training.job import Trained
from training.self_rewarding.selection import Selected, last_better, select
from training.self_rewarding.settings import SelfRewardingSettings

POINTS = [ModelRef(name="M1", location="m1")] + [
    ModelRef(name="M2", location=f"run/{name}") for name in ("step-2", "step-4", "weights")
]
IDS = ["a", "b", "c"]


def walk(*scores: Sequence[float | None]) -> Selected:
    """Walk along the scores of M1 and of the three models after it, by prompt."""
    table = {f"{id}/{n}": row[i] for n, row in enumerate(scores) for i, id in enumerate(IDS)}
    return last_better(POINTS, table, IDS)


def test_it_stops_before_the_first_that_is_no_better() -> None:
    kept = walk([1, 1, 1], [2, 2, 0], [3, 3, 3], [3, 3, 3])
    assert kept.model is POINTS[2]
    assert kept.warnings == ()
    assert kept.metrics == {
        "compared": [
            {"checkpoint": "step-2", "wins": 2, "losses": 1, "failed": 0},
            {"checkpoint": "step-4", "wins": 3, "losses": 0, "failed": 0},
            {"checkpoint": "weights", "wins": 0, "losses": 0, "failed": 0},
        ],
        "kept": "step-4",
    }


def test_what_comes_after_is_not_looked_at() -> None:
    assert walk([1, 1, 1], [2, 2, 2], [1, 1, 3], [5, 5, 5]).model is POINTS[1]
    assert walk([1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]).model is POINTS[3]


def test_the_first_is_kept_with_a_warning_where_not_even_it_is_better() -> None:
    kept = walk([3, 3, 3], [3, 4, 2], [5, 5, 5], [5, 5, 5])
    assert kept.model is POINTS[1]
    assert len(kept.metrics["compared"]) == 1
    [warning] = kept.warnings
    assert "the first checkpoint of M2 does not beat M1 on the 3 validation prompts" in warning


def test_what_could_not_be_judged_is_no_loss_and_no_win() -> None:
    kept = walk([1, None, 1], [2, 5, None], [3, 6, 3], [None, None, None])
    assert kept.model is POINTS[2]
    assert [row["failed"] for row in kept.metrics["compared"]] == [2, 1, 3]
    assert [row["wins"] for row in kept.metrics["compared"]] == [1, 2, 0]


SAYS = {"m1": "poor", "step-2": "fair", "step-4": "good", "weights": "good"}
POINTS_FOR = {"poor": 1, "fair": 3, "good": 4}


def reply(ref: ModelRef, request: Request, index: int) -> str:
    if "Score" not in request.prompt[0].content:
        return SAYS[Path(ref.location).name]
    # Another verdict on every request, so that judging the same text twice would make winners.
    noise = 0.1 * (len(request.id) % 2) * int(request.id[-1])
    word = next(word for word in POINTS_FOR if f"\n{word}\n" in request.prompt[0].content)
    return f"It is {word}. Score: {POINTS_FOR[word] + noise}"


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """A training whose folders can be told apart by their content."""
    folders = [tmp_path / name for name in ("step-2", "step-4", "weights")]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text(folder.name)
    last = ModelRef(name="M2", location=str(folders[2]), parent="M1", fingerprint="last")
    return Trained(last, tuple(folders[:2]), {})


def settings(tmp_path: Path, **more: object) -> SelfRewardingSettings:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f'{{"prompt": "Ask {i}"}}\n' for i in range(5)))
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Give a Score.\n{instruction}\n{response}\nNow?")
    return SelfRewardingSettings(
        seeds={"ift": "microworld:ift"},
        rubric=str(rubric),
        sft={"learning_rate": 1, "checkpoint_every": 2},
        dpo={"learning_rate": 1, "checkpoint_every": 2},
        selection={"prompts": str(prompts), "rows": 4},
        **more,
    )


def pick(trained: Trained, config: SelfRewardingSettings, folder: Path) -> tuple[Selected, list]:
    engine = Recorded(Scripted(Scripted.Config(), reply))
    start = ModelRef(name="M1", location="m1")
    judge = ModelRef(name="judge", location="judge")
    place = workspace(folder, engine, start)
    return select(trained, start, judge, pointwise(config.rubric), config, place), engine.opened


def test_every_checkpoint_answers_and_one_judge_compares(trained: Trained, tmp_path: Path) -> None:
    config = settings(tmp_path)
    kept, opened = pick(trained, config, tmp_path / "stage")
    assert kept.model.location == str(trained.checkpoints[1])
    assert (kept.model.name, kept.model.parent) == ("M2", "M1")
    assert kept.model.fingerprint not in ("last", None)
    assert [row["wins"] for row in kept.metrics["compared"]] == [4, 4, 0]
    assert kept.metrics["compared"][2]["losses"] == 0, "the same answers are ties"
    assert opened == ["M1", "M2", "M2", "M2", "judge"]
    rows = {path: path.read_bytes() for path in (tmp_path / "stage").iterdir()}
    assert pick(trained, config, tmp_path / "stage")[0] == kept
    assert rows == {path: path.read_bytes() for path in (tmp_path / "stage").iterdir()}


def test_the_finished_model_is_asked_only_once(trained: Trained, tmp_path: Path) -> None:
    """Where the last step was saved as a checkpoint too."""
    (Path(trained.model.location) / "config.json").write_text("step-4")
    config = settings(tmp_path)
    whole = pick(trained, config, tmp_path / "1")[0]
    same = trained.model.model_copy(update={"fingerprint": whole.model.fingerprint})
    kept, opened = pick(Trained(same, trained.checkpoints, {}), config, tmp_path / "2")
    assert kept.model is same
    assert opened == ["M1", "M2", "M2", "judge"]


def test_without_selection_the_finished_model_is_kept(trained: Trained, tmp_path: Path) -> None:
    config = settings(tmp_path)
    off = config.model_copy(update={"selection": None})
    assert pick(trained, off, tmp_path / "stage") == (Selected(trained.model), [])
    bare = Trained(trained.model, (), {})
    assert pick(bare, config, tmp_path / "stage") == (Selected(trained.model), [])
