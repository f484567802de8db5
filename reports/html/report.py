"""A run as `report.html`, with the samples behind its numbers; several as `compare.html`.

Each is one file that opens from disk and needs nothing else.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from harness.protocols import NamedRun
from harness.records import Record, RunRecord
from reports.changes import changes
from reports.charts import svg
from reports.charts.gallery import gallery
from reports.comparison.page import comparison
from reports.figures import visible
from reports.files import write
from reports.html.packing import pack
from reports.html.page import page
from reports.html.samples import sampled
from reports.page import ANSWERS, report
from reports.series import chain, chosen, models
from reports.verdicts import subject


class Html:
    """Writes `report.html` and `compare.html`."""

    class Config(Record):
        """How large the page may be."""

        most_megabytes: float = Field(default=20.0, gt=0)
        """Of samples; above it, the longest texts are cut, and the page says so."""
        most_samples: int = Field(default=2_000, gt=0)
        """Of an evaluation; of more items some are drawn, failed ones first, and the page says so.
        All of them are in the run's folder."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def render(self, record: RunRecord, folder: Path) -> Path:
        """Write the report, from the record alone; the same record gives the same bytes.

        Raises:
            StoreError: the folder cannot be written.
        """
        return write(folder / "report.html", html(record, self.config))

    def compare(self, runs: Sequence[NamedRun], folder: Path) -> Path:
        """Write the comparison, from the records alone; the same records give the same bytes.

        Raises:
            ConfigError: two of them are the same run.
            StoreError: the folder cannot be written.
        """
        sections = [replace(section, behind=False) for section in comparison(runs)]
        return write(folder / "compare.html", page("Comparison of runs", sections))


def html(record: RunRecord, config: Html.Config | None = None) -> str:
    """Write a run as a page."""
    config = config or Html.Config()
    changed, found = changes(record), sampled(record, config.most_samples)
    names = [model.name for model in models(record)]
    base = visible(chosen(record.request.get("model")), longest=60)
    span = f"{names[0]} to {names[-1]}" if names else ""
    narrow = gallery(record, changed, width=svg.NARROW)
    return page(
        title=f"{subject(record)}: a run of {', '.join(filter(None, (base, span)))}",
        sections=[one for one in report(record, changed) if one.title != ANSWERS],
        samples=pack(found, names, chain(record), int(config.most_megabytes * 1e6))
        if found
        else None,
        narrow={chart.name: chart.svg for charts in narrow.values() for chart in charts},
    )
