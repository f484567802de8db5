"""What the Hugging Face hub would refuse of a model card and of `.eval_results`, as far as offline.

Everything is read back by huggingface_hub's own classes. The hub validates a card once more when it
is pushed, which wants a network.
"""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, parse_eval_result_entries

from harness.errors import DataError
from harness.protocols import Rule
from reports.submissions import private
from reports.submissions.findings import judged, repeated, text

CARD, RESULTS = "README.md", ".eval_results"
LEADERBOARDS = {"openai/gsm8k": "gsm8k"}
"""By data set on the hub that has a leaderboard, its task; of those that are asked here."""
_UNREADABLE = (DataError, AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError)
_DATA_SET = re.compile(r"[\w.-]+/[\w.-]+")
_INDEXED = re.compile(r"\A---\n.*^model-index:", re.MULTILINE | re.DOTALL)


def recognises(folder: Path) -> bool:
    """Tell by a card with a model-index, or by `.eval_results`."""
    card = folder / CARD
    indexed = card.is_file() and _INDEXED.match(card.read_text("utf-8", "replace"))
    return bool(indexed) or (folder / RESULTS).is_dir()


def check(folder: Path) -> Sequence[Rule]:
    """Apply every rule to a card and the results beside it."""
    return [
        *_card_rules(folder / CARD),
        *_results_rules(sorted((folder / RESULTS).glob("*.y*ml"))),
        Rule("the hub's own validation", "unchecked", "comes when the card is pushed"),
    ]


def _card_rules(path: Path) -> Iterator[Rule]:
    try:
        content = text(path)
        card = _parsed(content)
    except (DataError, ValueError, yaml.YAMLError) as error:
        yield judged("a model card that can be read", [_line(error)])
        return
    found = _figures(card)
    wrong = [] if found else ["it has no model-index with figures"]
    yield judged("a model card that can be read", wrong, fine=f"{len(found)} figures")
    yield judged("the same when it is written again", _changes(card, found))
    yield judged("figures are numbers", _no_numbers(found))
    yield judged(
        "each figure once", repeated((*one.unique_identifier, one.metric_name) for one in found)
    )
    yield judged("how sure each figure is", _unsure(found))
    yield judged("no private places", private.places(content))
    others = sorted(
        {str(one.dataset_type) for one in found if not _DATA_SET.fullmatch(str(one.dataset_type))}
    )
    wrong = [f"questions of {name}, which is no data set of the hub" for name in others]
    yield judged("data sets of the hub", wrong, "differs")


def _parsed(content: str) -> ModelCard:
    """Read a card.

    Raises:
        ValueError: its metadata are not what huggingface_hub reads.
    """
    try:
        return ModelCard(content)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"its metadata cannot be read ({error!r})") from error


def _figures(card: ModelCard) -> list[EvalResult]:
    """List the model-index of a card."""
    return card.data.get("eval_results") or []


def _changes(card: ModelCard, found: list[EvalResult]) -> list[str]:
    again = _figures(_parsed(str(card)))
    return [] if again == found else ["the model-index is not what is read of it"]


def _no_numbers(found: Sequence[EvalResult]) -> Iterator[str]:
    for one in found:
        if not _is_number(one.metric_value):
            yield f"{one.dataset_name}, {one.metric_name}: {one.metric_value!r:.40}"


def _unsure(found: Sequence[EvalResult]) -> Iterator[str]:
    for one in found:
        said = one.metric_args if isinstance(one.metric_args, dict) else {}
        if not isinstance(said.get("n"), int) or said["n"] < 1 or "failed" not in said:
            yield f"{one.dataset_name}, {one.metric_name} does not say n and failed"


def _results_rules(paths: Sequence[Path]) -> Iterator[Rule]:
    entries: list[tuple[str, EvalResultEntry]] = []
    wrong = []
    for path in paths:
        try:
            parsed = parse_eval_result_entries(yaml.safe_load(text(path)))
            entries += [(path.name, entry) for entry in parsed]
        except (
            DataError,
            ValueError,
            AttributeError,
            KeyError,
            TypeError,
            yaml.YAMLError,
        ) as error:
            wrong.append(f"{path.name}: {_line(error)}")
    said = f"{len(entries)} entries" if entries else "none: no benchmark of the hub was asked"
    yield judged(".eval_results that can be read", wrong, fine=said)
    if entries:
        yield judged("entries of a leaderboard", _entry_faults(entries))
        places = private.places([vars(entry) for _, entry in entries])
        yield judged("no private places in .eval_results", places)
        unknown = sorted({str(e.dataset_id) for _, e in entries} - LEADERBOARDS.keys())
        wrong = [f"whether {name} has one is not known here" for name in unknown]
        yield judged("a leaderboard for each entry", wrong, "differs")


def _entry_faults(entries: Sequence[tuple[str, EvalResultEntry]]) -> Iterator[str]:
    for name, entry in entries:
        if not _DATA_SET.fullmatch(str(entry.dataset_id)):
            yield f"{name}: {entry.dataset_id!r:.60} is no data set's id"
        task = LEADERBOARDS.get(str(entry.dataset_id))
        if task is not None and entry.task_id != task:
            yield f"{name}: {entry.dataset_id} has the task {task}, not {entry.task_id!r:.40}"
        if not _is_number(entry.value):
            yield f"{name}: the value is {entry.value!r:.40}"
        if entry.date is not None and not _is_date(entry.date):
            yield f"{name}: the date is {entry.date!r:.40}"
        if "n=" not in str(entry.notes):
            yield f"{name}: its notes do not say n"


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _is_date(value: Any) -> bool:
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return True


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
