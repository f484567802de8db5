"""AlpacaEval's figures from stored judgements: `harness score alpaca_eval FILE...`.

    harness score alpaca_eval results/claude-2/annotations.json.gz df_gamed.csv

Files are told apart by what they hold: judgements (JSON), and the CSV files of `covariates`, which
are otherwise looked for beside the judgements, up to three folders above (beside AlpacaEval's own
`results`, that is), and in the data folder. One result a model, judge and reference, whatever files
their rows are in.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from evals.alpaca_eval import covariates, export, figures
from evals.alpaca_eval.annotations import UNNAMED, Judged, read
from evals.alpaca_eval.controlled import Controlled, control
from evals.alpaca_eval.covariates import Covariates, Kind, Weights
from evals.protocol import protocol
from harness.errors import DataError
from harness.records import EvalResult


def score(files: Sequence[Path]) -> list[EvalResult]:
    """Compute every model's figures.

    Raises:
        DataError: a file is none of those that can be read, or none holds judgements.
    """
    kinds = {path: covariates.kind(path) for path in files}
    named: dict[Kind, Path] = {kind: path for path, kind in kinds.items() if kind}
    judgements = [path for path, kind in kinds.items() if kind is None]
    if not judgements:
        raise DataError(
            f"no judgements among {', '.join(map(str, files))}; name an annotations.json"
        )
    published = covariates.read_weights(named["weights"]) if "weights" in named else {}

    @cache
    def found(folders: tuple[Path, ...]) -> Covariates:
        return covariates.find(named, folders)

    return [
        _result(judged, found(_folders(judged.files)), published.get(judged.model))
        for judged in read(judgements)
    ]


def _folders(files: Sequence[Path]) -> tuple[Path, ...]:
    """List where the judgements lie, then the folders above."""
    # As named before as meant: a link may lie where its target does not.
    paths = [*(path.absolute() for path in files), *(path.resolve() for path in files)]
    above = [(place, folder) for path in paths for place, folder in enumerate(path.parents[:4])]
    return tuple(dict.fromkeys(folder for _, folder in sorted(above, key=lambda one: one[0])))


def _result(judged: Judged, there: Covariates, published: Weights | None) -> EvalResult:
    controlled = control(judged, there)
    metrics = list(figures.metrics(judged, controlled))
    win_rate = metrics[0]
    metrics += figures.as_published(judged, there, win_rate)
    if published is not None and controlled.difficulty is not None:
        metrics.append(figures.by_published_weights(published, controlled, win_rate, there))
    metrics += figures.places(judged, metrics, official=controlled.difficulty is not None)
    return EvalResult(
        evaluation="alpaca_eval",
        model=judged.model,
        protocol=protocol("alpaca_eval", _instructions(judged), judged.reference, judged.annotator),
        description=describe(judged, there, controlled),
        judge="" if judged.annotator == UNNAMED else judged.annotator,
        metrics=tuple(metrics),
        items=tuple(export.items(judged, there)),
    )


def _instructions(judged: Judged) -> str:
    """Name the set of instructions; a run with missing rows is still one of AlpacaEval's."""
    if not judged.foreign:
        return "alpaca_eval"
    ids = "\n".join(sorted(one.id for one in judged.annotations))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


def describe(judged: Judged, there: Covariates, controlled: Controlled) -> str:
    """Say in a line what was compared with what, and by whom."""
    said = [
        f"{len(judged.annotations)} instructions, {judged.model} against {judged.reference}, "
        f"judged by {judged.annotator}"
    ]
    if judged.duplicates:
        said.append(f"{judged.duplicates} duplicate rows left out")
    if controlled.difficulty is not None:
        said.append(f"length control with {', '.join(there.files)}")
    return "; ".join([*said, *([controlled.note] if controlled.note else [])])
