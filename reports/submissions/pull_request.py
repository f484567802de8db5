"""What AlpacaEval would refuse of a pull request, and what of it is not its protocol.

The rules are those of its README and of the scripts that check pull requests there, as of
2025-08-09, and what its figures rest on: rows that are complete, in the order of the reference, and
figures that follow from them. A bundle under the leaderboard's own judge must keep all; under
another, other questions are another protocol, and no fault.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.errors import DataError
from harness.protocols import Rule
from reports.submissions import leaderboard_row, private, published
from reports.submissions.findings import csv_rows, judged, missing, repeated, rows, text

OFFICIAL_JUDGE, OFFICIAL_REFERENCE = "weighted_alpaca_eval_gpt4_turbo", "gpt4_1106_preview"
INSTRUCTIONS = 805
MODES = ("minimal", "verified", "community", "dev")

_CONFIGS = "src/alpaca_eval/models_configs"
_TABLES = "src/alpaca_eval/leaderboards/data_AlpacaEval_2"
_WEIGHTS = "src/alpaca_eval/metrics/weights"


def check(folder: Path) -> Sequence[Rule]:
    """Apply every rule to a pull request of one model."""
    models = sorted(path.parent.name for path in folder.glob("results/*/model_outputs.json"))
    if len(models) != 1:
        wrong = [f"results has model_outputs.json of {', '.join(models) or 'none'}"]
        return [judged("one model", wrong)]
    judges = sorted(
        path.parent.name for path in folder.glob(f"results/{models[0]}/*/annotations.json")
    )
    if len(judges) != 1:
        wrong = [f"results/{models[0]} has annotations.json of {', '.join(judges) or 'none'}"]
        return [judged("one judge", wrong)]
    try:
        outputs = rows(folder / "results" / models[0] / "model_outputs.json")
        annotations = rows(folder / "results" / models[0] / judges[0] / "annotations.json")
    except DataError as error:
        return [judged("outputs and annotations can be read", [str(error)])]
    reference = str(annotations[0].get("generator_1")) if annotations else OFFICIAL_REFERENCE
    request = Request(folder, Places(models[0], judges[0], reference), outputs, annotations)
    return list(request.rules())


@dataclass(frozen=True)
class Places:
    """Where the files of a pull request belong."""

    model: str
    judge: str
    reference: str

    @property
    def config(self) -> str:
        """Its configuration."""
        return f"{_CONFIGS}/{self.model}/configs.yaml"

    @property
    def prompt(self) -> str:
        """The prompt that the configuration names."""
        return f"{_CONFIGS}/{self.model}/prompt.txt"

    @property
    def outputs(self) -> str:
        """What the model answered."""
        return f"results/{self.model}/model_outputs.json"

    @property
    def annotations(self) -> str:
        """What the judge said of it."""
        return f"results/{self.model}/{self.judge}/annotations.json"

    @property
    def leaderboard(self) -> str:
        """The table of the judge."""
        return f"{_TABLES}/{self.judge}_leaderboard.csv"

    @property
    def weights(self) -> str:
        """The table of the coefficients of length-controlled fits."""
        folder = f"{_WEIGHTS}/{self.judge}/length_controlled_v1"
        return f"{folder}/baseline_{published.file_name(self.reference)}.csv"


@dataclass(frozen=True)
class Request:
    """A pull request of one model, as it is found."""

    folder: Path
    places: Places
    outputs: Sequence[Mapping[str, Any]]
    annotations: Sequence[Mapping[str, Any]]

    @property
    def official(self) -> bool:
        """Whether it claims a row of the leaderboard, so that nothing may differ."""
        return self.places.judge == OFFICIAL_JUDGE

    @property
    def _otherwise(self) -> Literal["broken", "differs"]:
        """How a bundle stands that keeps to another protocol."""
        return "broken" if self.official else "differs"

    def rules(self) -> Iterator[Rule]:
        """Go through all rules, from files to figures to the protocol."""
        places = self.places
        wanted = [places.config, places.prompt, places.leaderboard]
        if self.official:
            wanted.append(places.weights)
        yield judged("every file in place", missing(self.folder, wanted))
        yield judged("no files of AlpacaEval's own", self._unwanted())
        yield judged("model configuration", self._config_faults())
        yield judged("one output an instruction", self._output_faults())
        yield judged("annotations of these outputs", self._annotation_faults())
        yield judged("under the folder of its judge", self._judge_faults())
        yield judged("preferences from 1 to 2", self._preference_faults())
        yield judged("no private places", private.places([places.judge, self._config]))
        yield from self._figures()
        yield from self._protocol()

    def _unwanted(self) -> list[str]:
        found = [
            path
            for name in ("reference_outputs.json", "leaderboard.csv")
            for path in sorted((self.folder / "results").rglob(name))
        ]
        return [path.relative_to(self.folder).as_posix() for path in found]

    @cached_property
    def _config(self) -> Any:
        try:
            return yaml.safe_load(text(self.folder / self.places.config))
        except (DataError, yaml.YAMLError) as error:
            return str(error).replace("\n", " ")

    def _config_faults(self) -> Iterator[str]:
        name, config = self.places.model, self._config
        if not isinstance(config, dict) or list(config) != [name]:
            found = ", ".join(map(str, config)) if isinstance(config, dict) else config
            yield f"configs.yaml wants the one key {name}, it has: {found}"
            return
        entry = config[name] if isinstance(config[name], dict) else {}
        wanted = ("prompt_template", "fn_completions", "completions_kwargs", "pretty_name")
        yield from (f"configs.yaml lacks {key}" for key in wanted if key not in entry)
        prompt = self.folder / self.places.prompt
        if prompt.is_file() and "{instruction}" not in prompt.read_text("utf-8", "replace"):
            yield "prompt.txt has no {instruction}"

    def _output_faults(self) -> Iterator[str]:
        yield from repeated(row.get("instruction") for row in self.outputs)
        for number, row in enumerate(self.outputs, start=1):
            if not all(isinstance(row.get(key), str) for key in ("instruction", "output")):
                yield f"entry {number} lacks instruction or output"
            elif row.get("generator") != self.places.model:
                yield f"entry {number} has the generator {row.get('generator')!r:.60}"

    def _annotation_faults(self) -> Iterator[str]:
        yield from repeated(row.get("instruction") for row in self.annotations)
        asked = [row.get("instruction") for row in self.outputs]
        told = [row.get("instruction") for row in self.annotations]
        if asked != told:
            lost = len(set(map(str, asked)) - set(map(str, told)))
            yield f"{lost} outputs have none" if lost else "they are in another order"
        answers = {str(row.get("instruction")): row.get("output") for row in self.outputs}
        for number, row in enumerate(self.annotations, start=1):
            if row.get("generator_2") != self.places.model:
                yield f"entry {number} has the generator_2 {row.get('generator_2')!r:.60}"
            elif row.get("generator_1") != self.places.reference:
                yield f"entry {number} has the generator_1 {row.get('generator_1')!r:.60}"
            elif row.get("output_2") != answers.get(str(row.get("instruction"))):
                yield f"entry {number} judges another output than that in model_outputs.json"

    def _judge_faults(self) -> list[str]:
        own = self.places.judge
        others = {str(row.get("annotator")) for row in self.annotations} - {own}
        return [f"{other} judged, and the folder is {own}" for other in sorted(others)]

    def _preference_faults(self) -> Iterator[str]:
        for number, row in enumerate(self.annotations, start=1):
            value = row.get("preference")
            if value is not None and not _is_preference(value):
                yield f"entry {number} has the preference {value!r:.40}"

    def _figures(self) -> Iterator[Rule]:
        """Compute all figures again, by the code of `harness score`."""
        places, weights = self.places, self.folder / self.places.weights
        files = [self.folder / places.annotations]
        try:
            row = leaderboard_row.row_of(self.folder / places.leaderboard, places.model)
            yield judged("leaderboard row", self._row_faults(row))
            if weights.is_file():
                leaderboard_row.coefficients(weights, places.model)
                files.append(weights)
            again = leaderboard_row.score(files)
        except DataError as error:
            yield judged("figures computed again", [str(error)])
            return
        yield judged("figures computed again", leaderboard_row.differences(row, again))
        if weights.is_file():
            told = leaderboard_row.coefficients(weights, places.model)
            yield from leaderboard_row.length_controlled(row, told, again)
        else:
            yield Rule("length-controlled rate", self._otherwise, "there is none, nor coefficients")
        yield from self._instructions([item.id for item in again.items])

    def _row_faults(self, row: Mapping[str, str]) -> Iterator[str]:
        if row.get("mode") not in MODES:
            yield f"mode is {row.get('mode')!r}, wanted one of {', '.join(MODES)}"
        known = {one.get("") for one in leaderboard_row.public_table(self.places.judge)}
        if self.places.model in known:
            yield f"{self.places.model} is in the leaderboard already; give another --name"
        others = {one.get("") for one in csv_rows(self.folder / self.places.leaderboard)}
        strange = sorted(map(str, others - known - {self.places.model}))
        yield from (f"{other} has a row and no configuration" for other in strange)

    def _instructions(self, ids: Sequence[str]) -> Iterator[Rule]:
        """Compare what was asked with AlpacaEval's 805, which `ids` name by their place."""
        otherwise = self._otherwise
        places = [int(id.rpartition("/")[2]) for id in ids if id.startswith("alpaca_eval/")]
        foreign = len(ids) - len(places)
        wrong = [f"{foreign} of {len(ids)} are of another set"] if foreign else []
        yield judged("AlpacaEval's instructions", wrong, otherwise)
        wrong = [f"{len(ids)} of them"] if len(ids) != INSTRUCTIONS else []
        yield judged(f"{INSTRUCTIONS} instructions", wrong, otherwise)
        if not foreign:
            wrong = [] if places == sorted(places) else ["difficulties are taken by their place"]
            yield judged("instructions in the reference's order", wrong, otherwise)

    def _protocol(self) -> Iterator[Rule]:
        """Say what of the protocol is not the leaderboard's."""
        places = self.places
        wrong = [f"judge substituted: {places.judge}, so under its own folder and table"]
        yield judged("the leaderboard's judge", [] if self.official else wrong, "differs")
        wrong = [f"reference {places.reference}"]
        same = places.reference == OFFICIAL_REFERENCE
        yield judged("the leaderboard's reference", [] if same else wrong, self._otherwise)
        failed = sum(row.get("preference") is None for row in self.annotations)
        wrong = [f"{failed} have the preference null and are not in n_total"] if failed else []
        yield judged("no judgement failed", wrong, "differs")
        told = sum(map(_has_probabilities, self.annotations))
        wrong = ["the judge told none, so that every preference is whole"] if not told else []
        yield judged("token probabilities", wrong, "differs", f"of {told} judgements")


def _is_preference(value: Any) -> bool:
    """Whether AlpacaEval reads it as one; 0 was a tie once."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (value == 0 or 1 <= value <= 2)


def _has_probabilities(row: Mapping[str, Any]) -> bool:
    raw = row.get("preference_raw_completion", row.get("raw_completion"))
    return isinstance(raw, dict) and bool(raw.get("logprobs"))
