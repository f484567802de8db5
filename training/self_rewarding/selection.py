"""Which checkpoint of a training to keep: the last before one that is no better.

    step-00200 beats M1, step-00400 beats step-00200, step-00600 does not  ->  step-00400

The paper saves every 200 steps and lets Claude 2 compare the generations of neighbours; here a
model judges both generations with its own rubric, and more wins than losses is better.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from harness import datasets
from harness.checkpoints import fingerprint
from harness.examples import PromptRow
from harness.judge import Judge, Rubric
from harness.protocols import Workspace
from harness.records import ModelRef
from training.job import Trained
from training.self_rewarding import judging
from training.self_rewarding.pairs import Judged
from training.self_rewarding.settings import SelfRewardingSettings


def select(
    trained: Trained,
    start: ModelRef,
    judge: ModelRef,
    rubric: Rubric,
    settings: SelfRewardingSettings,
    workspace: Workspace,
) -> tuple[ModelRef, dict[str, JsonValue]]:
    """Pick the checkpoint to go on with, and say how each compared with the one before.

    Args:
        trained: What the training left, its checkpoints included.
        start: The model it began from, the first checkpoint's predecessor.
        judge: Who compares: M_t in a round of its own, M1 itself in the first.
        rubric: The judge's.
        settings: With `selection` set.
        workspace: The stage's.
    """
    if settings.selection is None or not trained.checkpoints:
        return trained.model, {}
    loaded = datasets.prompts(
        settings.selection.prompts, settings.selection.rows, workspace.seed
    )
    points = [start, *(_checkpoint(trained.model, folder) for folder in trained.checkpoints)]
    points.append(trained.model)
    with workspace.part("selection"), workspace.log(f"selection-{trained.model.name}") as log:
        answers = {}
        for number, point in enumerate(points):
            rows = [PromptRow(f"{number}/{row.id}", row.prompt) for row in loaded.rows]
            sampling = settings.candidates.sampling(workspace.seed, n=1)
            with workspace.engine.open(point) as model:
                answers |= judging.write_candidates(model, rows, sampling, log)
        asked = [
            PromptRow(f"{number}/{row.id}", row.prompt)
            for number in range(len(points))
            for row in loaded.rows
        ]
        with (
            workspace.engine.open(judge) as model,
            workspace.log(f"selection-{trained.model.name}-verdicts") as verdicts,
        ):
            jury = Judge(rubric, model, settings.judging.sampling(workspace.seed))
            given = judging.judge_candidates(jury, asked, answers, verdicts)
    scores = {key: Judged(answers[key], outcomes).score for key, outcomes in given.items()}
    return _last_better(points, scores, [row.id for row in loaded.rows])


def _checkpoint(model: ModelRef, folder: Path) -> ModelRef:
    place = str(folder)
    return model.model_copy(update={"location": place, "fingerprint": fingerprint(place)})


def _last_better(
    points: Sequence[ModelRef], scores: Mapping[str, float | None], ids: Sequence[str]
) -> tuple[ModelRef, dict[str, JsonValue]]:
    """Walk from checkpoint to checkpoint as long as each wins more than it loses."""
    compared: list[JsonValue] = []
    kept = points[1]
    for number in range(1, len(points)):
        wins = losses = failed = 0
        for id in ids:
            now, before = scores[f"{number}/{id}/0"], scores[f"{number - 1}/{id}/0"]
            if now is None or before is None:
                failed += 1
            else:
                wins += now > before
                losses += now < before
        name = Path(points[number].location).name
        compared.append({"checkpoint": name, "wins": wins, "losses": losses, "failed": failed})
        if wins <= losses:
            break
        kept = points[number]
    return kept, {"compared": compared, "kept": Path(kept.location).name}
