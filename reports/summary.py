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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.protocols import NamedRun
from harness.records import Record, RunRecord
from reports.comparison.rows import rows
from reports.files import write


class Summary:
    """Writes `summary.json` and `compare.json`, whose rows are in `reports.comparison.rows`."""

    class Config(Record):
        """Nothing to configure."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def render(self, record: RunRecord, folder: Path) -> Path:
        """Write the rows, from the record alone; the same record gives the same bytes.

        Raises:
            StoreError: the folder cannot be written.
        """
        found = (row for s in record.stages for result in s.evaluations for row in result.rows())
        return write(folder / "summary.json", _json(found))

    def compare(self, runs: Sequence[NamedRun], folder: Path) -> Path:
        """Write the comparison's rows, from the records alone.

        Raises:
            ConfigError: two of them are the same run.
            StoreError: the folder cannot be written.
        """
        return write(folder / "compare.json", _json(rows(runs)))


def _json(found: Iterable[Mapping[str, object]]) -> str:
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in found)
    return f"[\n{lines}\n]\n" if lines else "[]\n"
