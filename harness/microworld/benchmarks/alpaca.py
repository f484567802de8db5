"""AlpacaEval's rows: held-out instructions with the outputs of a reference model.

    {"instruction": "Where is Kenya?", "output": "Africa", "generator": "microworld",
     "dataset": "microworld"}

The reference writes answers of the quality of the demonstrations, about 3 points of 5 each, so
that a model which was trained on them wins about half of the time.
"""

from random import Random
from typing import Any

from harness.microworld.answers import GOOD, write_answer
from harness.microworld.datasets import evaluation_prompts
from harness.microworld.items import parse

ROWS = 120


def alpaca_eval() -> list[dict[str, Any]]:
    """Make `ROWS` rows as a `model_outputs.json` of AlpacaEval has them, each instruction once."""
    rng = Random("alpaca_eval")
    return [
        {
            "instruction": row.prompt,
            "output": _reference(row.prompt, rng),
            "generator": "microworld",
            "dataset": "microworld",
        }
        for row in evaluation_prompts(ROWS, seed=1)
    ]


def _reference(prompt: str, rng: Random) -> str:
    item = parse(prompt)
    if item is None:
        raise AssertionError(f"the micro-world does not know its own question {prompt!r}")
    return write_answer(item, GOOD.draw(rng), rng)
