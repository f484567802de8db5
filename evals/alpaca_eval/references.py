"""What AlpacaEval asks, with a reference model's outputs: rows of a `model_outputs.json`.

    {"instruction": "Who made Berlin?", "output": "...", "generator": "gpt4_1106_preview",
     "dataset": "selfinstruct"}

`alpaca_eval` are the official ones, where `harness data pull` put them; `microworld` are the
embedded world's. A prompt's id is the item's.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from evals import stored_files
from evals.alpaca_eval import instructions
from harness.data import folder
from harness.data.examples import PromptRow
from harness.errors import DataError
from harness.microworld.benchmarks import alpaca_eval

MICROWORLD, OFFICIAL = "microworld", "alpaca_eval"


@dataclass(frozen=True)
class References:
    """The instructions, and what the reference answered to each."""

    name: str
    """The reference model's."""
    prompts: tuple[PromptRow, ...]
    outputs: dict[str, str]
    """By prompt id."""

    @property
    def fingerprint(self) -> str:
        """A hash of instructions and outputs."""
        content = [(row.prompt, self.outputs[row.id]) for row in self.prompts]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def read(source: str, limit: int | None = None) -> References:
    """Read the reference outputs.

    Args:
        source: A file, `alpaca_eval` or `microworld`.
        limit: How many instructions to draw, in their own order; all without it.

    Raises:
        DataError: no such file, or not rows of one model with an output to each instruction.
    """
    rows = alpaca_eval() if source == MICROWORLD else stored_files.read(locate(source)).rows
    checked = [_checked(row, f"{source}, entry {number}") for number, row in enumerate(rows, 1)]
    names = sorted({str(row.get("generator") or "reference") for row in rows})
    if len(names) != 1:
        raise DataError(f"{source} has outputs of {', '.join(names)}; wanted one model")
    outputs = {row.id: output for row, output in checked}
    counts = Counter(row.id for row, _ in checked)
    for row, _ in checked:
        if counts[row.id] > 1:
            raise DataError(f"{source} has the instruction {row.prompt[:60]!r} twice; keep one")
    drawn = list(range(len(checked)))
    if limit is not None and limit < len(checked):
        drawn = sorted(Random(0).sample(drawn, limit))
    return References(names[0], tuple(checked[place][0] for place in drawn), outputs)


def locate(source: str) -> Path:
    """Say which file a source is.

    Raises:
        DataError: the official one was not pulled.
    """
    if source != OFFICIAL:
        return Path(source)
    path = folder.find("alpaca_eval/gpt4_baseline.json")
    if path is None:
        raise DataError(
            f"AlpacaEval's reference outputs are not in {folder.folder()}: give `harness data pull "
            "alpaca_eval`, or name a model_outputs.json as data"
        )
    return path


def _checked(row: dict[str, Any], where: str) -> tuple[PromptRow, str]:
    instruction, output = row.get("instruction"), row.get("output")
    if not isinstance(instruction, str) or not isinstance(output, str):
        raise DataError(
            f"{where}, lacks instruction or output, both texts; wanted a model_outputs.json"
        )
    dataset = row.get("dataset")
    category = dataset if isinstance(dataset, str) else None
    return PromptRow(instructions.item_id(instruction), instruction, category), output
