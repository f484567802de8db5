"""Which model of a run enters a leaderboard, and under what name.

runs/micro, M0 SFT M1 M2 M3 measured   M3 as `M3`, or --model M2 --name my-model
runs/micro, 3 rounds asked, 2 measured  refused without --model
"""

import re

from harness.errors import ConfigError
from harness.protocols import Entry
from harness.records import ModelRef, RunRecord
from harness.store import Store

_NAME = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)?")


def entry(store: Store, model: str | None = None, name: str | None = None) -> Entry:
    """Pick a model of a run.

    Args:
        store: The run.
        model: Its name in the run; the last one without it.
        name: What the leaderboard shall call it, `organisation/name` where it has such; the same
            name as in the run without it.

    Raises:
        ConfigError: the run has not measured it, or the name cannot be used.
        StoreError: there is no run.
    """
    record = store.record()
    measured = _measured(record)
    if not measured:
        raise ConfigError(
            f"{store.folder} has measured no model yet; continue it, `harness status "
            f"{store.folder}` says how far it is"
        )
    there = ", ".join(measured)
    rounds = max(s.stage.iteration for s in record.stages if s.stage.kind == "evaluate")
    asked = record.request.get("iterations")
    if model is None and not isinstance(asked, int):
        raise ConfigError(
            f"the request of {store.folder} does not say how many rounds were to come, so that "
            f"its last model is not known; name one with --model ({there})"
        )
    if model is None and asked != rounds:
        raise ConfigError(
            f"{store.folder} is not finished: round {rounds} of {asked} is the last one measured; "
            f"continue it, or name a model with --model ({there})"
        )
    chosen = model or list(measured)[-1]
    if chosen not in measured:
        raise ConfigError(
            f"{store.folder} has no results of {chosen!r}: it measured {there}; name one with "
            "--model"
        )
    called = name or chosen
    if not _NAME.fullmatch(called):
        raise ConfigError(
            f"{called!r} cannot be a model's name in files and tables; give another with --name, "
            "of letters, digits and . _ + -, with an organisation and / before it where wanted"
        )
    return Entry(
        record=record,
        model=measured[chosen],
        name=called,
        published=store.published(chosen),
    )


def _measured(record: RunRecord) -> dict[str, ModelRef]:
    """List the models that evaluations have finished with, oldest first."""
    return {
        model.name: model
        for result in record.stages
        if result.stage.kind == "evaluate"
        for model in (*result.comparators, result.model)
    }
