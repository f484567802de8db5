"""Judge-agreement figures from judgements that others have stored.

    votes      MT-Bench judgements, and the human votes on the same answers
    pandalm    PandaLM's test set, and what models made of it
    llmbar     LLMBar's judgements in both orders, labels included
    ranked     scores beside ranks, in files of whatever origin

What a file is is told by its columns. Where people's labels are in a file of their own and that is
not named, it is looked for beside the judgements.
"""

from collections.abc import Sequence
from pathlib import Path

from evals import stored_files
from evals.judge_agreement.formats import Format
from evals.judge_agreement.llmbar import LLMBAR
from evals.judge_agreement.pandalm import PANDALM
from evals.judge_agreement.ranked import RANKED
from evals.judge_agreement.votes import VOTES
from harness.data.files import Table
from harness.errors import DataError
from harness.records import EvalResult

_FORMATS = (VOTES, PANDALM, LLMBAR, RANKED)
_KNOWN = (
    "MT-Bench votes with pair judgements, PandaLM's test set with results, LLMBar's results, or "
    "rows with responses that have a rank and a score"
)


def score(files: Sequence[Path]) -> Sequence[EvalResult]:
    """Compute how well judges agree with people, from stored judgements, one result a judge.

    Raises:
        DataError: a file is in no known format, or people's labels are missing.
    """
    tables = [stored_files.read(file) for file in files]
    formats = [_format(table) for table in tables]
    found: list[EvalResult] = []
    for one in _FORMATS:
        of_it = [table for table, known in zip(tables, formats, strict=True) if known is one]
        judgements = [table for table in of_it if one.is_judgements(table.rows[0])]
        if judgements:
            labels: list[Table] = [table for table in of_it if table not in judgements]
            if not labels and any(map(one.needs_labels, judgements)):
                labels = [_beside(one, judgements[0])]
            found += one.results(judgements, labels)
        elif of_it:
            raise DataError(
                f"{of_it[0].source} holds what people said and no judge; "
                "name a file of judgements too"
            )
    remarks = [remark for table in tables for remark in table.remarks]
    return [_remarked(result, remarks) for result in found]


def _remarked(result: EvalResult, remarks: Sequence[str]) -> EvalResult:
    """Say of every figure what was wrong with the files."""
    metrics = (
        one.model_copy(update={"note": "; ".join(filter(None, [one.note, *remarks]))})
        for one in result.metrics
    )
    return result.model_copy(update={"metrics": tuple(metrics)})


def _format(table: Table) -> Format:
    first = table.rows[0]
    found = [one for one in _FORMATS if one.is_judgements(first) or one.is_labels(first)]
    if not found:
        raise DataError(f"{table.source} has the columns {', '.join(first)}; wanted {_KNOWN}")
    return found[0]


def _beside(format: Format, judgements: Table) -> Table:
    """Find the labels in the folder of the judgements."""
    for file in sorted(Path(judgements.source).parent.glob("*.json*")):
        try:
            table = stored_files.read(file)
        except DataError:
            continue  # whatever else lies there
        if format.is_labels(table.rows[0]):
            return table
    raise DataError(
        f"{judgements.source} holds judgements only; name {format.labels} too, or put it beside"
    )
