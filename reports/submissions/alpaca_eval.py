"""A pull request to AlpacaEval: its files in their places, under the judge that judged.

    src/alpaca_eval/models_configs/<model>/configs.yaml, prompt.txt
    results/<model>/model_outputs.json
    results/<model>/<judge>/annotations.json
    src/alpaca_eval/leaderboards/data_AlpacaEval_2/<judge>_leaderboard.csv           one row to add
    src/alpaca_eval/metrics/weights/<judge>/length_controlled_v1/baseline_<reference>.csv

Figures of another judge than the leaderboard's have another folder and another table: they are
never a row of the GPT-4-Turbo one. The rules are in `pull_request`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import yaml

from harness.errors import DataError
from harness.protocols import Bundle, Entry, Rule
from harness.records import EvalResult
from reports.submissions import private, published, pull_request
from reports.submissions.published import Options
from reports.submissions.pull_request import Places


class AlpacaEval:
    """A pull request to AlpacaEval's leaderboard: outputs, annotations, configuration and rows."""

    target: ClassVar[str] = (
        "github.com/tatsu-lab/alpaca_eval as a pull request (the results with `git add -f`), where "
        "results are CC-BY-NC-4.0; it is dormant: no model was merged after 2024-12-28, and the "
        "judge of its leaderboard can no longer be called"
    )

    class Config(Options):
        """How the model is shown."""

        evaluation: str | None = None
        """What the run calls the evaluation, where it asked AlpacaEval more than once."""
        pretty_name: str | None = None
        """What the website calls the model; its name without."""
        link: str | None = None
        """Where the website sends who wants to know more of it."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def write(self, entry: Entry) -> Bundle:
        """Take what the evaluation published, under the entry's name and its judge's.

        Raises:
            HarnessError: the run did not ask AlpacaEval, or has no output of the model.
        """
        result = published.result(entry, "alpaca_eval", self.config.evaluation)
        name = published.one_word(entry)
        outputs = published.read_rows(entry, result, "model_outputs.json")
        told = ("annotator", "generator_1")
        annotations = published.read_rows(entry, result, "annotations.json", told)
        if not annotations:
            raise DataError(f"{entry.model.name} has no output to any instruction: nothing to send")
        judge = published.file_name(private.scrub(annotations[0]["annotator"]))
        places = Places(name, judge, annotations[0]["generator_1"])
        outputs = [row | {"generator": name} for row in outputs]
        annotations = [row | {"generator_2": name, "annotator": judge} for row in annotations]
        files = {
            places.config: self._config(entry, result),
            places.prompt: "{instruction}",
            places.outputs: json.dumps(outputs, indent=2) + "\n",
            places.annotations: json.dumps(annotations, indent=2) + "\n",
            places.leaderboard: _renamed(entry, result, "leaderboard.csv", name),
        }
        if (entry.published / result.evaluation / "weights.csv").exists():
            files[places.weights] = _renamed(entry, result, "weights.csv", name)
        shown = ("win_rate", "length_controlled_win_rate")
        return Bundle(files, published.notes(result, shown))

    def _config(self, entry: Entry, result: EvalResult) -> str:
        """Describe how outputs were sampled; AlpacaEval's own code cannot sample them again."""
        asked = published.options(entry, result.evaluation)
        model = {
            "prompt_template": f"{entry.name}/prompt.txt",
            "fn_completions": None,
            "completions_kwargs": {
                "model_name": published.known_as(entry),
                "max_new_tokens": asked.get("max_tokens"),
                "temperature": asked.get("temperature"),
                "top_p": asked.get("top_p"),
            },
            "pretty_name": self.config.pretty_name or entry.name,
        }
        if self.config.link:
            model["link"] = self.config.link
        return str(yaml.safe_dump({entry.name: model}, sort_keys=False))

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Tell by `results/<model>/model_outputs.json`."""
        return any(folder.glob("results/*/model_outputs.json"))

    @staticmethod
    def check(folder: Path) -> Sequence[Rule]:
        """Apply AlpacaEval's rules to a pull request of one model."""
        return pull_request.check(folder)


def _renamed(entry: Entry, result: EvalResult, file: str, name: str) -> str:
    """Give the one row of a published table another name.

    Raises:
        DataError: the file has not one row.
    """
    lines = published.read(entry, result, file).splitlines()
    if len(lines) != 2:
        raise published.damaged(
            entry, result, file, f"has {len(lines)} lines, not a header and a row"
        )
    return f"{lines[0]}\n{name},{lines[1].partition(',')[2]}\n"
