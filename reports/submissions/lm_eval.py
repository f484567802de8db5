"""Results and samples of the NLP benchmarks, as lm-eval writes them and its readers look for them.

    my-model/results_1970-01-01T00-00-00.json
    my-model/samples_arc_easy_1970-01-01T00-00-00.jsonl

The folder is called as lm-eval sanitizes a model's name: `org/model` is `org__model`. The date is
that of the published files, which is none, so that a run gives the same bytes. What a reader may
rely on is in `results_files`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from harness.errors import DataError
from harness.protocols import Bundle, Entry, Rule
from reports.submissions import findings, private, published, results_files
from reports.submissions.published import Options


class LMEval:
    """Results and samples of lm-eval's tasks, without places on this machine."""

    target: ClassVar[str] = (
        "no leaderboard: the Open LLM Leaderboard is retired; the files are for readers of "
        "lm-eval's results, such as a data set on the hub"
    )

    class Config(Options):
        """Which evaluation is meant."""

        evaluation: str | None = None
        """What the run calls the evaluation, where it asked the benchmarks more than once."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def write(self, entry: Entry) -> Bundle:
        """Take what the evaluation published, under the entry's name.

        Raises:
            HarnessError: the run did not ask the benchmarks, or published nothing.
        """
        result = published.result(entry, "nlp_benchmarks", self.config.evaluation)
        folder = entry.published / result.evaluation
        names = sorted(path.name for path in folder.glob("*.json*"))
        tables = [name for name in names if name.startswith("results_")]
        if len(tables) != 1:
            raise DataError(
                f"{folder} has {len(tables)} files results_*.json and the evaluation publishes "
                "one: restore it, or measure the model again"
            )
        table = findings.mapping(folder / tables[0])
        home = results_files.sanitized(entry.name)
        files = {f"{home}/{tables[0]}": json.dumps(_named(table, entry), indent=2)}
        for name in names:
            if name.startswith("samples_"):
                files[f"{home}/{name}"] = published.read(entry, result, name)
        return Bundle(files)

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Tell by `<model>/results_*.json`."""
        return bool(results_files.tables(folder))

    @staticmethod
    def check(folder: Path) -> Sequence[Rule]:
        """Apply what readers of lm-eval's files rest on."""
        return results_files.check(folder)


def _named(table: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Give the model its name, and take out where it lies."""
    scrubbed: dict[str, Any] = private.scrub(table)
    config = _table(scrubbed.get("config"))
    arguments = _table(config.get("model_args")) | {"pretrained": published.known_as(entry)}
    return scrubbed | {
        "config": config | {"model": entry.name, "model_args": arguments},
        "model_name": entry.name,
        "model_name_sanitized": results_files.sanitized(entry.name),
    }


def _table(value: Any) -> dict[str, Any]:
    """Take a damaged table for an empty one: the rules name what it lacks."""
    return value if isinstance(value, dict) else {}
