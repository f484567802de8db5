"""Answers from elsewhere as an opponent's, joined to the prompts.

They are files in the layouts of `harness.data.outputs`. A prompt without an answer there fails as
`opponent_failed`; an answer without a prompt is not needed. The opponent goes by the name in the
rows, or by the file's. A model of the run may have the same name (M2 of another run, say), so such
a name is told apart by the file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.protocol import protocol
from harness.data import outputs
from harness.data.examples import PromptRow
from harness.errors import DataError

_OF_A_RUN = re.compile(r"M\d+|SFT|previous|all")
_ENDINGS = (".json", ".jsonl", ".gz", ".csv", ".parquet")


@dataclass(frozen=True)
class Opponent:
    """Somebody else, and the answers by prompt id."""

    name: str
    answers: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """A hash of who answered what."""
        return protocol(self.name, *(text for pair in self.answers.items() for text in pair))

    @classmethod
    def read(cls, file: str, prompts: Sequence[PromptRow]) -> "Opponent":
        """Read the answers that a file has to these prompts.

        Raises:
            DataError: the file is not there, holds no answers, none to these prompts, or two
                different ones to the same.
        """
        stored = outputs.read(file)
        found = {row.id: stored.find(row.id, (row.prompt,)) for row in prompts}
        answers = {id: answer for id, answer in found.items() if answer is not None}
        if not answers:
            raise DataError(
                f"{file} has {len(stored)} answers, and none to any of the {len(prompts)} prompts; "
                "name answers to the same prompts (the same instruction, prompt or question_id)"
            )
        return cls(_name(stored), answers)


def is_file(name: str) -> bool:
    """Tell the name of a file from that of a model: by its ending, or because it is there."""
    return name.endswith(_ENDINGS) or Path(name).is_file()


def _name(stored: outputs.Outputs) -> str:
    file = Path(stored.source).name.split(".json")[0]
    return f"{stored.name} of {file}" if _OF_A_RUN.fullmatch(stored.name) else stored.name
