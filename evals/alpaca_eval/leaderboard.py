"""Where a model would stand in AlpacaEval 2.0's public leaderboard, as the package has it.

    win rate 17.19    rank 100 of 223, below xwinlm-13b-v0.1 (17.4), above claude (17.0)

Only figures of the leaderboard's own judge and reference have a place there. The table is read from
the installed package, which is neither imported nor written to.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from evals.stored_files import read_csv
from harness.records import Metric

Column = Literal["win_rate", "length_controlled_winrate"]
_TABLE = "leaderboards/data_AlpacaEval_2/weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"


def standing(name: str, model: str, value: float, column: Column) -> Metric | None:
    """Rank a value among the leaderboard's, 1 being best; None without the package.

    Args:
        name: What to call the metric.
        model: A row of the same model is not counted against it.
        value: In percent.
        column: By which figure.
    """
    table = _table()
    others = sorted(
        ((float(row[column]), row[""]) for row in table if row[column] and row[""] != model),
        reverse=True,
    )
    if not others:
        return None
    better = sum(other > value for other, _ in others)
    above, below = others[:better][-1:], others[better:][:1]
    words = [f"below {who} ({of:.1f})" for of, who in above]
    words += [f"above {who} ({of:.1f})" for of, who in below]
    return Metric(
        name=name,
        value=better + 1,
        n=len(others) + 1,
        note=", ".join(words),
        neighbours={who: of for of, who in (*above, *below)},
    )


@cache
def _table() -> list[dict[str, str]]:
    spec = find_spec("alpaca_eval")  # found, not imported: that takes seconds
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0], _TABLE) if folders else None
    return read_csv(path) if path and path.is_file() else []
