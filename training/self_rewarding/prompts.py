"""A round's new prompts: written by a model or drawn from a file, and kept for the rounds after.

    prompts.jsonl   "5f2c..."  "What does the cow eat?"

None is held out for an evaluation, and none comes twice in a round.
"""

from pathlib import Path

from pydantic import JsonValue

from harness.data import datasets
from harness.data.examples import PromptRow, text_id
from harness.protocols import RowLog, Workspace
from harness.records import ModelRef
from training.self_rewarding import seeds
from training.self_rewarding.propose import Proposals, draw, load_template, propose
from training.self_rewarding.settings import SelfRewardingSettings

_LOG = "prompts"


def new_prompts(
    settings: SelfRewardingSettings, model: ModelRef, seed: int, workspace: Workspace
) -> tuple[tuple[PromptRow, ...], JsonValue]:
    """Get a round's prompts, and how they came about.

    Args:
        settings: The method's.
        model: M_t, which writes them unless the settings name another model or a file.
        seed: The round's.
        workspace: The stage's.
    """
    with workspace.part("prompts"):
        made = _propose(settings, model, seed, workspace)
    rows = tuple(PromptRow(text_id(prompt), prompt) for prompt in made.prompts)
    with workspace.log(_LOG) as log:
        for row in rows:
            if row.id not in log:
                log.append(row.id, row.prompt)
    return rows, made.metrics | _source(settings)


def _source(settings: SelfRewardingSettings) -> dict[str, JsonValue]:
    """Say by which exact template the prompts were written, or where they are from."""
    proposing = settings.proposing
    if proposing.file is not None:
        return {"file": proposing.file}
    template = load_template(proposing.template, proposing.separator)
    return {"template": f"{Path(proposing.template).stem}@{template.fingerprint}"}


def _propose(
    settings: SelfRewardingSettings, model: ModelRef, seed: int, workspace: Workspace
) -> Proposals:
    proposing = settings.proposing
    earlier = [prompt for folder in workspace.earlier for prompt in _kept(folder)]
    held_out = datasets.held_out(settings.held_out)
    if proposing.apart_from == "round":
        earlier = []
    if proposing.file is not None:
        given = datasets.prompts(proposing.file, None, workspace.seed)
        prompts = [row.prompt for row in given.rows]
        # With one seed the rounds go through one shuffled list, each where the last one stopped.
        order = workspace.seed if proposing.apart_from == "run" else seed
        return draw(prompts, proposing.wanted, order, earlier, held_out)
    human = seeds.load(settings.seeds, settings.held_out, workspace.seed).ift
    shown = list(dict.fromkeys(row.prompt for row in human))
    with (
        workspace.engine.open(proposing.model or model) as writer,
        workspace.log("proposals") as log,
    ):
        return propose(writer, shown, proposing, log, seed, earlier, held_out, workspace.progress)


def _kept(folder: Path) -> list[str]:
    path = folder / f"{_LOG}.jsonl"
    if not path.exists():  # the first stage has none, and stays as it is
        return []
    with RowLog(path) as log:
        return list(log.values())
