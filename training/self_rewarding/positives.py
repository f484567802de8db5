"""The paper's ablation A.4: imitate the answers that were judged perfect, instead of preferring.

M0 is fine-tuned again on the seeds and on the perfect answers of all rounds so far.
"""

from collections.abc import Sequence
from pathlib import Path

from harness.protocols import RowLog, Workspace
from harness.records import ModelRef
from training.job import Trained
from training.self_rewarding.pairs import Judged
from training.self_rewarding.settings import SelfRewardingSettings
from training.sft import Example, fine_tune

PERFECT = 5.0
"""Every verdict on it gives all points."""
_LOG = "examples"


def perfect(groups: Sequence[tuple[str, Sequence[Judged]]]) -> list[Example]:
    """Pick the perfect answers, identical ones once."""
    found = {
        (judged.candidate.prompt_ids, judged.candidate.token_ids): None
        for _, candidates in groups
        for judged in candidates
        if judged.score == PERFECT and judged.candidate.ended
    }
    return [Example(prompt, completion) for prompt, completion in found]


def keep(examples: Sequence[Example], workspace: Workspace) -> None:
    """Keep a round's examples for the rounds after it."""
    with workspace.log(_LOG) as log:
        for number, example in enumerate(examples):
            if str(number) not in log:
                log.append(str(number), [example.prompt_ids, example.completion_ids])


def imitate(
    found: Sequence[Example],
    start: ModelRef,
    name: str,
    settings: SelfRewardingSettings,
    workspace: Workspace,
) -> Trained:
    """Fine-tune `start` on everything that was kept, this round's perfect answers included."""
    keep(found, workspace)
    folders = (*workspace.earlier, workspace.folder)
    examples = [example for folder in folders for example in _kept(folder)]
    with workspace.part(f"train {name}"):
        return fine_tune(
            start,
            examples,
            settings.sft,
            workspace.folder / name,
            name,
            workspace.seed,
            workspace.progress,
            workspace.run,
            settings.launcher,
        )


def _kept(folder: Path) -> list[Example]:
    with RowLog(folder / f"{_LOG}.jsonl") as log:
        return [Example(tuple(prompt), tuple(completion)) for prompt, completion in log.values()]
