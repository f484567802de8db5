"""A run as `summary.json`: every metric of every model, for other tools to read.

    [
    {"model": "M2", "against": "M1", "evaluation": "head_to_head", "metric": "net_win",
     "value": 0.4375, "low": 0.352, "high": 0.523, "n": 256, "failed": 0, "protocol": "9f3c"},
    ...
    ]

The keys and the metrics' names are stable. `value` is null where nothing could be scored, `against`
where a metric compares no models. One row a line, in the order of the run.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from harness.records import Record, RunRecord
from harness.rows import unwritable

SummaryRow = dict[str, str | float | int | None]


class Summary:
    """Writes `summary.json`."""

    class Config(Record):
        """Nothing to configure."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def render(self, record: RunRecord, folder: Path) -> Path:
        """Write the rows, from the record alone; the same record gives the same bytes.

        Raises:
            StoreError: the folder cannot be written.
        """
        path = folder / "summary.json"
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows(record))
        try:
            path.write_text(f"[\n{lines}\n]\n" if lines else "[]\n", encoding="utf-8")
        except OSError as error:
            raise unwritable(path, error) from error
        return path


def rows(record: RunRecord) -> Iterator[SummaryRow]:
    """List every metric of the run."""
    for stage in record.stages:
        for result in stage.evaluations:
            for metric in result.metrics:
                yield {
                    "model": result.model,
                    "against": metric.against,
                    "evaluation": result.evaluation,
                    "metric": metric.name,
                    "value": _finite(metric.value),
                    "low": _finite(metric.low),
                    "high": _finite(metric.high),
                    "n": metric.n,
                    "failed": metric.failed,
                    "protocol": result.protocol,
                }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
