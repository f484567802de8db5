"""Which checkpoint of a training to keep: the last before one that is no better.

    step-00200 beats M1, step-00400 beats step-00200, step-00600 does not  ->  step-00400

The paper saves every 200 steps and lets Claude 2 compare the generations of neighbours; here a
model judges both generations with its own rubric, and more wins than losses is better.

Where not even the first checkpoint beats the start model, the first is kept, with a warning: the
start model under a new name would claim a training that was thrown away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from harness.checkpoints import fingerprint
from harness.data import datasets
from harness.data.examples import PromptRow
from harness.judge import Rubric
from harness.protocols import Workspace
from harness.records import ModelRef
from training.job import Trained
from training.self_rewarding import judging
from training.self_rewarding.pairs import Candidate, Judged
from training.self_rewarding.settings import Selection, SelfRewardingSettings


@dataclass(frozen=True)
class Selected:
    """The model to go on with, and how the checkpoints compared."""

    model: ModelRef
    metrics: dict[str, JsonValue] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def select(
    trained: Trained,
    start: ModelRef,
    judge: ModelRef,
    rubric: Rubric,
    settings: SelfRewardingSettings,
    workspace: Workspace,
) -> Selected:
    """Pick the checkpoint to go on with, the finished model where nothing else is asked.

    Args:
        trained: What the training left, its checkpoints included.
        start: The model it began from, the first checkpoint's predecessor.
        judge: Who compares: M_t in a round of its own, M1 itself in the first.
        rubric: The judge's.
        settings: With `selection` set.
        workspace: The stage's.
    """
    if settings.selection is None or not trained.checkpoints:
        return Selected(trained.model)
    points = [start, *_checkpoints(trained)]
    prompts = _prompts(settings.selection, workspace.seed)
    with workspace.part("selection"):
        answers = _answers(points, prompts, settings, workspace)
        with (
            workspace.log(f"selection-{trained.model.name}-verdicts") as log,
            workspace.engine.open(judge) as model,
        ):
            jury = settings.judging.judge(rubric, model, workspace.seed)
            given = judging.judge_candidates(jury, prompts, answers, log)
    scores = {key: Judged(answers[key], outcomes).score for key, outcomes in given.items()}
    return last_better(points, scores, [row.id for row in prompts])


def _prompts(selection: Selection, seed: int) -> tuple[PromptRow, ...]:
    return datasets.prompts(selection.prompts, selection.rows, seed).rows


def _checkpoints(trained: Trained) -> list[ModelRef]:
    """List the models of a training in order, the finished one last and only once."""
    points = []
    for folder in map(str, trained.checkpoints):
        found = {"location": folder, "fingerprint": fingerprint(folder)}
        if found["fingerprint"] != trained.model.fingerprint:
            points.append(trained.model.model_copy(update=found))
    return [*points, trained.model]


def _answers(
    points: Sequence[ModelRef],
    prompts: Sequence[PromptRow],
    settings: SelfRewardingSettings,
    workspace: Workspace,
) -> dict[str, Candidate]:
    """Let every model answer every prompt, by `<prompt id>/<place of the model>`.

    So keyed, the same answer of two models is one text to judge, and a tie.
    """
    sampling = settings.candidates.sampling(workspace.seed, n=1)
    answers: dict[str, Candidate] = {}
    for number, point in enumerate(points):
        with (
            workspace.log(f"selection-{points[-1].name}-{number}") as log,
            workspace.engine.open(point) as model,
        ):
            written = judging.write_candidates(model, prompts, sampling, log)
        answers |= {f"{row.id}/{number}": written[f"{row.id}/0"] for row in prompts}
    return answers


def last_better(
    points: Sequence[ModelRef], scores: Mapping[str, float | None], ids: Sequence[str]
) -> Selected:
    """Walk from checkpoint to checkpoint as long as each wins more than it loses.

    Args:
        points: The start model and what the training made of it, in order.
        scores: By `<prompt id>/<place in points>`; None where an answer could not be judged.
        ids: Of the prompts.
    """
    compared: list[JsonValue] = []
    kept = 0
    for number in range(1, len(points)):
        wins = losses = failed = 0
        for id in ids:
            now, before = scores[f"{id}/{number}"], scores[f"{id}/{number - 1}"]
            if now is None or before is None:
                failed += 1
            else:
                wins += now > before
                losses += now < before
        name = _name(points[number])
        compared.append({"checkpoint": name, "wins": wins, "losses": losses, "failed": failed})
        if wins <= losses:
            break
        kept = number
    model = points[max(kept, 1)]
    warnings: tuple[str, ...] = ()
    if kept == 0:
        warnings = (
            f"the first checkpoint of {model.name} does not beat {points[0].name} on the "
            f"{len(ids)} validation prompts; {_name(model)} is kept all the same",
        )
    return Selected(model, {"compared": compared, "kept": _name(model)}, warnings)


def _name(point: ModelRef) -> str:
    """Name a checkpoint by its folder, e.g. `step-00200`, or `weights` for the finished model."""
    return Path(point.location).name
