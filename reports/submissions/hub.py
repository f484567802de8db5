"""For the Hugging Face hub: a model card with the figures, and the files that feed leaderboards.

    README.md                 model-index: every main figure, with n, interval, failures and judge
    .eval_results/gsm8k.yaml  the benchmarks that have a leaderboard there, on their own data

Both are made by huggingface_hub's own classes. What is measured on other questions than a data
set's own is called by where the questions are from, and enters no leaderboard.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from harness.errors import DataError
from harness.protocols import Bundle, Entry, Rule
from reports.figures import plain
from reports.markdown import escape
from reports.submissions import hub_files, private, published
from reports.submissions.card_figures import Figure, figures
from reports.submissions.hub_files import CARD, LEADERBOARDS, RESULTS
from reports.submissions.published import Options


class Hub:
    """A model card with its model-index, and .eval_results, for a repository on the hub."""

    target: ClassVar[str] = (
        "the model's repository on the Hugging Face hub: upload README.md and .eval_results; the "
        "hub shows the latter in the leaderboards of benchmark data sets, of which GSM8K is one"
    )

    class Config(Options):
        """What the card says beside the figures."""

        license: str | None = None
        """Of the weights, as the hub writes it: apache-2.0, mit ..."""
        base_model: str | None = None
        """The hub id of what it was trained from; M0's without it, where that is on the hub."""
        source: str | None = None
        """An address where the run behind the figures can be seen."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def write(self, entry: Entry) -> Bundle:
        """Lay out the main figures of every evaluation.

        Raises:
            DataError: no figure of the model could be computed.
        """
        shown = list(figures(entry))
        if not shown:
            raise DataError(
                f"no evaluation has a figure of {entry.model.name}, so there is nothing for a card"
            )
        card = ModelCardData(
            model_name=entry.name,
            eval_results=[self._indexed(figure) for figure in shown],
            license=self.config.license,
            base_model=self.config.base_model or _base_model(entry),
            pipeline_tag="text-generation",
            tags=["self-rewarding"],
        )
        files = {CARD: f"---\n{card.to_yaml()}\n---\n\n{_body(entry, shown)}"}
        for figure in shown:
            if figure.data and figure.data.id in LEADERBOARDS and not figure.limited:
                ranked = eval_result_entries_to_yaml([self._ranked(figure)])
                files[f"{RESULTS}/{figure.metric.name}.yaml"] = str(
                    yaml.safe_dump(ranked, sort_keys=False)
                )
        notes = dict.fromkeys(figure.caution for figure in shown if figure.caution)
        return Bundle(files, tuple(notes))

    def _indexed(self, figure: Figure) -> EvalResult:
        """Make an entry of the model-index."""
        data = figure.data
        return EvalResult(
            task_type="text-generation",
            dataset_type=data.id if data else figure.source,
            dataset_name=figure.questions if data else f"{figure.questions} ({figure.source})",
            dataset_config=data.config if data else figure.questions,
            dataset_split=data.split if data else None,
            metric_type=figure.metric.name,
            metric_name=figure.name,
            metric_value=figure.metric.value,
            metric_args=figure.details,
            source_url=self.config.source,
        )

    def _ranked(self, figure: Figure) -> EvalResultEntry:
        """Make an entry of a leaderboard, which wants percent."""
        assert figure.data is not None and figure.metric.value is not None
        return EvalResultEntry(
            dataset_id=figure.data.id,
            task_id=LEADERBOARDS[figure.data.id],
            value=round(100 * figure.metric.value, 4),
            source_url=self.config.source,
            notes=_sentence(figure),
        )

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Tell by a card with a model-index, or by `.eval_results`."""
        return hub_files.recognises(folder)

    @staticmethod
    def check(folder: Path) -> Sequence[Rule]:
        """Read everything back by huggingface_hub's own classes."""
        return hub_files.check(folder)


def _base_model(entry: Entry) -> str | None:
    """Find the hub id of M0; None where it is a folder, or the embedded world's."""
    asked = entry.record.request.get("model")
    location = str(asked.get("location", "")) if isinstance(asked, dict) else ""
    return None if published.is_folder(location) or "/" not in location else location


def _sentence(figure: Figure) -> str:
    """Say in a line how a figure came about, in percent."""
    metric = figure.metric
    parts = [metric.note, f"n={metric.n}"]
    if metric.low is not None and metric.high is not None:
        parts.append(f"95 % interval {100 * metric.low:.2f} to {100 * metric.high:.2f}")
    parts.append(f"{metric.failed} failed")
    parts.append(figure.evaluation.judge and f"judged by {figure.evaluation.judge}")
    return str(private.scrub("; ".join(filter(None, parts))))


def _body(entry: Entry, shown: Sequence[Figure]) -> str:
    """Write the card for people."""
    model = entry.model
    trained = f", trained from {model.parent}" if model.parent else ""
    weights = f" Its weights hash to `{model.fingerprint}`." if model.fingerprint else ""
    protocols = {figure.evaluation.evaluation: figure.evaluation for figure in shown}
    parts = [
        f"# {escape(entry.name)}",
        f"{escape(model.name)} of a self-rewarding run{escape(trained)}.{weights}",
        "## Evaluation",
        "\n".join(_table(shown)),
        "## Protocols",
        *(
            f"- **{escape(name)}**: {escape(private.scrub(result.description))}"
            for name, result in protocols.items()
            if result.description
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _table(shown: Sequence[Figure]) -> Iterator[str]:
    yield "| evaluation | metric | value | 95 % interval | n | failed | judge | note |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |"
    for figure in shown:
        metric = figure.metric
        interval = ""
        if metric.low is not None and metric.high is not None:
            interval = f"{plain(metric.low)} to {plain(metric.high)}"
        cells = (
            figure.evaluation.evaluation,
            figure.name,
            plain(metric.value or 0.0),
            interval,
            str(metric.n),
            str(metric.failed),
            str(figure.details.get("judge", "")),
            figure.caution or str(figure.details.get("note", "")),
        )
        yield f"| {' | '.join(map(escape, cells))} |"
